"""Rate limits as clients meet them: the same for all workers, and through a reload."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from tests.support.running_gateway import Gateway
from tests.support.waiting import wait_until


def test_four_workers_and_their_successors_share_one_limit(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="4", RATE_LIMIT="60/hour", **{f"RATE_LIMIT_{platform}X": "5/hour"})

    def send(number: int) -> tuple[int, str | None]:
        path, body = [("/call", {"function": "f"}), ("/admin/create-tenant", {"tenant_id": ""})][number % 2]
        answer = gateway.post_json(path, {"platform": platform, **body})
        return answer.status, answer.headers["Retry-After"]

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(send, range(40)))
        before = set(gateway.worker_pids())
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: before.isdisjoint(gateway.worker_pids()) and len(gateway.worker_pids()) == 4)
        answers += clients.map(send, range(60))
    statuses = [status for status, _ in answers]
    assert (statuses.count(404) + statuses.count(400), statuses.count(429)) == (60, 40)
    waits = [int(wait) for status, wait in answers if status == 429]
    assert all(0 < wait <= 3600 for wait in waits)
    refused = gateway.post_json("/call", {"platform": platform, "function": "f"})
    assert (refused.json["error"], refused.json["platform"]) == ("rate_limited", platform)
    others = [gateway.post_json("/call", {"platform": f"{platform}x", "function": "f"}).status for _ in range(7)]
    assert others == [404] * 5 + [429] * 2
    assert gateway.get("/health").status == 200

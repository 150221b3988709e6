"""GET /metrics: exact over all workers, and over their ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway
from tests.support.waiting import wait_until

WORKERS = 3


SAMPLE = re.compile(r'^(\w+)(?:\{\w+="([^"]*)"\})? (\S+)$', re.MULTILINE)  #: with one label or none, so no bucket


def values(gateway: Gateway) -> dict[tuple[str, str], float]:
    """Every value but those of buckets, by its name and its label."""
    answer = gateway.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {(name, label): float(value) for name, label, value in SAMPLE.findall(answer.body.decode())}


def gauges(gateway: Gateway) -> tuple[float, float]:
    told = values(gateway)
    return told["db_gateway_active_pools", ""], told["db_gateway_total_connections", ""]


def existing(gateway: Gateway) -> tuple[int, int]:
    health = gateway.get("/health").json
    return health["active_pools"], health["total_connections"]


def folder_of_files(gateway: Gateway) -> Path:
    """Where the only worker's numbers are; it has counted something."""
    (worker,) = gateway.worker_pids()
    return Path(re.findall(r"(/\S+)/counter_\d+\.db", Path(f"/proc/{worker}/maps").read_text())[0])


def kill_worker(gateway: Gateway) -> None:
    """Kill the only worker, and wait for the next."""
    (worker,) = gateway.worker_pids()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(gateway.worker_pids()) == 1 and gateway.worker_pids() != [worker])


def call(gateway: Gateway, platform: str, count: int) -> None:
    for _ in range(count):
        assert gateway.call(platform, "count_users").status == 200


def test_counters_of_all_workers_are_added_up_and_kept_after_their_end(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS=str(WORKERS))
    gateway.register(platform, SHOP)

    call(gateway, platform, 40)
    seen = values(gateway)
    assert seen["db_gateway_queries_total", platform] == 40
    assert seen["db_gateway_query_duration_seconds_count", platform] == 40
    leases = [seen.get((f"db_gateway_pool_{kind}", f"{platform}_main"), 0) for kind in ("hits", "misses")]
    assert sum(leases) == 40
    assert 1 <= leases[1] <= WORKERS  # each worker with a call had to connect once
    wait_until(lambda: gauges(gateway) == existing(gateway))  # a question of one's own may have to connect first

    before = set(gateway.worker_pids())
    os.kill(gateway.process.pid, signal.SIGHUP)
    wait_until(lambda: before.isdisjoint(gateway.worker_pids()) and len(gateway.worker_pids()) == WORKERS)
    call(gateway, platform, 10)
    assert values(gateway)["db_gateway_queries_total", platform] == 50

    victim = gateway.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in gateway.worker_pids() and len(gateway.worker_pids()) == WORKERS)
    call(gateway, platform, 10)
    assert values(gateway)["db_gateway_queries_total", platform] == 60
    assert values(gateway)["db_gateway_query_duration_seconds_count", platform] == 60


def test_failures_are_counted_by_code_and_unknown_names_make_no_series(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    before = values(gateway)

    def more(name: str, label: str) -> float:
        return values(gateway).get((name, label), 0) - before.get((name, label), 0)

    assert gateway.call(platform, "no_such_function").status == 404
    assert gateway.call("nobody-has-this-name", "f").status == 404
    assert gateway.get("/no/such/route").status == 404
    assert gateway.request("POST", "/call", b"rubbish", {"Content-Type": "application/json"}).status == 400
    assert more("db_gateway_errors_total", "function_not_found") == 1
    assert more("db_gateway_errors_total", "database_not_found") == 1
    assert more("db_gateway_errors_total", "not_found") == 1
    assert more("db_gateway_errors_total", "invalid_request") == 1
    assert more("db_gateway_queries_total", platform) == 1  # it reached its database
    assert "nobody-has-this-name" not in gateway.get("/metrics").body.decode()


def test_only_the_allowed_networks_may_read_metrics(start_gateway) -> None:
    gateway: Gateway = start_gateway(ALLOWED_NETWORKS="10.0.0.0/8")
    assert gateway.get("/metrics").status == 403


def test_files_of_ended_workers_do_not_pile_up_and_the_last_are_removed(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="1")
    gateway.register(platform, SHOP)
    call(gateway, platform, 1)
    directory = folder_of_files(gateway)
    for _ in range(3):
        kill_worker(gateway)
        call(gateway, platform, 1)
    assert values(gateway)["db_gateway_queries_total", platform] == 4
    assert len(list(directory.glob("counter_*.db"))) == 2  # of the one that works, and of all that have ended
    gateway.process.terminate()
    gateway.process.wait()
    assert not directory.exists()


def test_lost_files_stop_neither_calls_nor_the_gateway(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="1")
    gateway.register(platform, SHOP)
    call(gateway, platform, 1)
    shutil.rmtree(folder_of_files(gateway))
    call(gateway, platform, 1)
    kill_worker(gateway)
    call(gateway, platform, 5)
    assert "metrics of this worker will be missing" in gateway.log
    assert gateway.process.poll() is None


def test_requests_through_flask_are_counted_by_route_and_status_but_not_those_without_a_route(start_gateway) -> None:
    gateway: Gateway = start_gateway(WORKERS="1")
    gateway.get("/admin/databases?platform=nobody")
    gateway.get("/admin/databases")
    gateway.get("/no/such/route")
    gateway.request("BREW", "/admin/databases", b"", {})
    text = gateway.get("/metrics").body.decode()
    counted = re.findall(r"^db_gateway_http_request_duration_seconds_count\{([^}]*)\} (\S+)$", text, re.MULTILINE)
    by_labels = {tuple(sorted(re.findall(r'"([^"]*)"', labels))): float(count) for labels, count in counted}
    assert by_labels["/admin/databases", "200", "GET"] == 1
    assert by_labels["/admin/databases", "400", "GET"] == 1
    assert "BREW" not in text
    assert "/no/such/route" not in text

"""When a worker ends or hangs, all kinds of requests are still answered."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway
from tests.support.waiting import PATIENCE_SECONDS, wait_until


def answers_everything(gateway: Gateway, platform: str) -> None:
    assert gateway.register(platform, SHOP).status == 200
    assert gateway.call(platform, "count_users").status == 200
    assert gateway.get(f"/admin/databases?platform={platform}").status == 200
    assert gateway.get("/health/ready").status == 200


@pytest.mark.parametrize("workers", [2, 3])
def test_a_killed_worker_s_place_is_taken_again(start_gateway, platform: str, workers: int) -> None:
    gateway: Gateway = start_gateway(WORKERS=str(workers))
    answers_everything(gateway, platform)
    for victim in gateway.worker_pids():
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda gone=victim: gone not in gateway.worker_pids() and len(gateway.worker_pids()) == workers)
        answers_everything(gateway, platform)


def test_with_fewer_workers_than_places_all_requests_are_answered(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="3")
    for left in (2, 1):
        os.kill(gateway.process.pid, signal.SIGTTOU)
        wait_until(lambda count=left: len(gateway.worker_pids()) == count)
        answers_everything(gateway, platform)
    os.kill(gateway.process.pid, signal.SIGTTIN)
    wait_until(lambda: len(gateway.worker_pids()) == 2)
    answers_everything(gateway, platform)


def test_a_worker_that_hangs_keeps_only_its_own_requests_waiting(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="2")
    answers_everything(gateway, platform)
    deploys = max(gateway.worker_pids())  # the last place is given last
    os.kill(deploys, signal.SIGSTOP)
    body = json.dumps({"platform": platform, "tenant_id": "x"}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(
            b"POST /admin/create-tenant HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        for _ in range(5):
            assert gateway.call(platform, "count_users").status == 200
        os.kill(deploys, signal.SIGCONT)
        assert client.recv(12) == b"HTTP/1.1 201"

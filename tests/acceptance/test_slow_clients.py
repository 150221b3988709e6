"""Clients that are slow, silent or do not leave cost the others nothing."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway
from tests.support.waiting import PATIENCE_SECONDS, wait_until

CALL_HEAD = b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
CHUNKED_HEAD = CALL_HEAD.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")  # which a thread reads
REGISTER_HEAD = b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@contextmanager
def clients_that_sent(gateway: Gateway, start: bytes, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port))) for _ in range(count)]
        for client in clients:
            client.sendall(start)
        yield clients


@pytest.fixture
def small(start_gateway) -> Gateway:
    """Few threads, soon given up; requests in flight would get ten minutes when it stops."""
    return start_gateway(WORKERS="1", THREADS="1", POOL_WAIT_TIMEOUT_SECS="0.5", STATEMENT_TIMEOUT_MS="600000")


@pytest.mark.parametrize("more", [b"", b"10\r\n{"])
def test_requests_without_a_thread_in_time_are_refused_but_health_is_answered(small: Gateway, more: bytes) -> None:
    with clients_that_sent(small, CHUNKED_HEAD + more, 32):
        answer = small.get("/admin/databases?platform=a")
        assert (answer.status, answer.json["error"]) == (503, "pool_exhausted")
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Request-ID"] == answer.json["request_id"]
        assert small.get("/health").status == 200
    wait_until(lambda: small.get("/nowhere").status == 404)


@pytest.mark.parametrize("start", [b"P", CALL_HEAD[:20], CALL_HEAD[:-2], b"GET /health HTTP/1.1\r\n"])
def test_clients_with_an_incomplete_request_occupy_no_thread(small: Gateway, start: bytes) -> None:
    with clients_that_sent(small, start, 600):
        for path, status in (("/nowhere", 404), ("/health/ready", 200)):
            assert small.get(path).status == status
        answer = small.post_json("/call", {"platform": "nobody", "function": "f"})
        assert (answer.status, answer.json["error"]) == (404, "database_not_found")


def test_deploys_and_calls_do_not_wait_for_each_other(small: Gateway, platform: str) -> None:
    with clients_that_sent(small, CHUNKED_HEAD, 32):
        assert small.register(platform, SHOP).status == 200
    with clients_that_sent(small, REGISTER_HEAD, 2):
        assert small.call(platform, "count_users").status == 200


WAIT = """
CREATE FUNCTION wait() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN 1; END';
"""


def test_a_flood_of_calls_for_one_tenant_leaves_threads_for_the_others(
    start_gateway, admin: psycopg.Connection, platform: str
) -> None:
    gateway: Gateway = start_gateway(
        WORKERS="1",
        THREADS="2",
        LOCK_TIMEOUT_MS="3600000",
        STATEMENT_TIMEOUT_MS="3600000",
        POOL_WAIT_TIMEOUT_SECS="3600",
        MAX_CONNECTIONS_PER_POOL="3",
    )
    for tenant in ("flooding", "other"):
        assert gateway.register(platform, {**SHOP, "functions/wait.sql": WAIT}, tenant_id=tenant).status == 200
    conninfo = psycopg.conninfo.make_conninfo(admin.info.dsn, dbname=f"{platform}_flooding")
    with ThreadPoolExecutor(56) as callers:
        with psycopg.connect(conninfo) as holder:
            holder.execute("SELECT pg_advisory_lock(1)")
            flood = [callers.submit(gateway.call, platform, "wait", tenant_id="flooding") for _ in range(56)]
            early = [call.result() for call in itertools.islice(as_completed(flood), 8)]
            assert {(answer.status, answer.json["error"]) for answer in early} == {(503, "pool_exhausted")}
            assert all(answer.headers["Retry-After"] for answer in early)
            assert gateway.call(platform, "count_users", tenant_id="other").status == 200
        assert sorted(call.result().status for call in flood) == [200] * 48 + [503] * 8


def test_clients_that_do_not_close_delay_no_other_client(small: Gateway) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with clients_that_sent(small, request, 100) as clients:  # each of which may take its time to leave
        for client in clients:
            assert client.recv(20).startswith(b"HTTP/1.1 200")
        with closing(socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE_SECONDS)) as another:
            another.sendall(request)
            assert another.recv(20).startswith(b"HTTP/1.1 200")


def test_a_refusal_reaches_a_client_that_is_still_sending(small: Gateway) -> None:
    length = 20 * 2**20
    head = CALL_HEAD.replace(b"100", b"%d" % length)
    with closing(socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE_SECONDS)) as client:
        client.sendall(head + b"x" * length)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "payload_too_large"


def test_a_silent_client_does_not_keep_the_gateway_from_stopping(small: Gateway) -> None:
    with clients_that_sent(small, b"", 1) as (silent,):
        small.get("/health/live")
        small.process.terminate()
        small.process.wait(PATIENCE_SECONDS)
        assert silent.recv(1) == b""

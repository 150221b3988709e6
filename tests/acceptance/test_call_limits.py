"""Calls that take too long, answer too much, or lose their client; and numbers that must arrive as they were sent."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway
from tests.support.waiting import PATIENCE_SECONDS, wait_until

FUNCTIONS = """
CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END';
CREATE FUNCTION much(size integer) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', size) $$;
CREATE FUNCTION many(count integer) RETURNS SETOF text LANGUAGE sql STABLE
AS $$ SELECT repeat('x', 100) || generate_series(1, count) $$;
CREATE FUNCTION same(p jsonb, n numeric) RETURNS TABLE (p jsonb, n numeric) LANGUAGE sql AS 'SELECT $1, $2';
CREATE FUNCTION fail(size integer) RETURNS integer LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION '%', repeat('x', size); END $$;
CREATE FUNCTION warn(size integer) RETURNS integer LANGUAGE plpgsql
AS $$ BEGIN RAISE WARNING '%', repeat('x', size); RETURN 1; END $$;
CREATE FUNCTION meet(size integer, taken text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_lock_shared(1);
    WHILE (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (
        SELECT oid FROM pg_database WHERE datname = current_database())) < 6 LOOP PERFORM pg_sleep(0.01); END LOOP;
    RETURN repeat('x', size);
END $$;
CREATE FUNCTION remember(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before text := current_setting('work_mem');
BEGIN
    PERFORM set_config('work_mem', what, false);
    RETURN before;
END $$;
"""
FILES = {**SHOP, "functions/limits.pssql": FUNCTIONS}


def states(admin: psycopg.Connection, platform: str) -> set[str]:
    query = "SELECT state FROM pg_stat_activity WHERE datname = %s AND query LIKE '%%nap%%'"
    return {state for (state,) in admin.execute(query, [f"{platform}_main"])}


def test_a_client_that_hangs_up_leaves_no_query_behind(start_gateway, platform: str, admin) -> None:
    gateway: Gateway = start_gateway(STATEMENT_TIMEOUT_MS="3600000", WORKERS="1")
    gateway.register(platform, FILES)
    body = json.dumps({"platform": platform, "function": "nap", "params": [3000]}).encode()
    head = f"POST /call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(head.encode() + body)
        wait_until(lambda: "active" in states(admin, platform))
    wait_until(lambda: "active" not in states(admin, platform))
    assert gateway.call(platform, "nap", [0]).json["rows"] == [{"nap": 1}]


def test_a_call_over_its_time_is_a_504(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(STATEMENT_TIMEOUT_MS="1000", WORKERS="1")
    gateway.register(platform, FILES)
    answer = gateway.call(platform, "nap", [20])
    assert (answer.status, answer.json["error"], answer.json["sqlstate"]) == (504, "query_timeout", "57014")
    assert gateway.call(platform, "nap", [0]).status == 200


def test_an_answer_over_the_limit_costs_little_memory(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(MAX_RESPONSE_BYTES="1000000", WORKERS="1")
    gateway.register(platform, FILES)
    assert gateway.call(platform, "many", [5000]).json["row_count"] == 5000
    (worker,) = gateway.worker_pids()
    before = peak_kilobytes(worker)
    for function, count in (("much", 300_000_000), ("many", 2_000_000_000), ("much", 1_000_000)):
        answer = gateway.call(platform, function, [count])
        assert answer.json["error"] == "query_failed"
        assert "1000000 bytes" in answer.json["message"]
    assert peak_kilobytes(worker) - before < 30_000
    assert gateway.call(platform, "much", [3]).json["rows"] == [{"much": "xxx"}]


@pytest.mark.parametrize("function", ["fail", "warn"])
def test_an_error_or_a_warning_over_the_limit_costs_little_memory(start_gateway, platform: str, function: str) -> None:
    gateway: Gateway = start_gateway(MAX_RESPONSE_BYTES="1000000", WORKERS="1")
    gateway.register(platform, FILES)
    (worker,) = gateway.worker_pids()
    for size, statuses in ((900_000, {"fail": 400, "warn": 200}), (40_000_000, {"fail": 500, "warn": 500})):
        for _ in range(3):  # the statement is prepared for the second
            answer = gateway.call(platform, function, [size])
            assert answer.status == statuses[function], answer.body[:200]
            if size == 900_000:
                before = peak_kilobytes(worker)
            else:
                assert "larger than 1000000 bytes" in answer.json["message"]
                assert peak_kilobytes(worker) - before < 30_000
    assert gateway.call(platform, "much", [3]).json["rows"] == [{"much": "xxx"}]


def test_connections_keep_no_memory_of_large_calls(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="1")
    gateway.register(platform, FILES)
    (worker,) = gateway.worker_pids()
    size, text = 7_000_000, "x" * 7_000_000

    def call(_: int) -> int:
        return gateway.call(platform, "meet", [size, text]).status

    before = kilobytes(worker)
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(call, range(6))) == [200] * 6
    wait_until(lambda: kilobytes(worker) - before < 45_000)


def kilobytes(pid: int) -> int:
    return _kilobytes(pid, "VmRSS")


def peak_kilobytes(pid: int) -> int:
    return _kilobytes(pid, "VmHWM")


def _kilobytes(pid: int, what: str) -> int:
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def test_numbers_arrive_as_they_were_sent(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, FILES)
    numbers = '{"a": 123456789012345678901234567890, "b": 1.10, "c": 1e400}'
    call = f'{{"platform": "{platform}", "function": "same", "params": [{numbers}, 0.10]}}'
    answer = gateway.request("POST", "/call", call.encode(), {"Content-Type": "application/json"})
    as_server_writes = f"1{'0' * 400}"
    rows = f'[{{"p":{{"a": 123456789012345678901234567890, "b": 1.10, "c": {as_server_writes}}},"n":0.10}}]'
    assert answer.body.decode().startswith(f'{{"rows":{rows},')


def test_settings_of_a_call_do_not_reach_the_next(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="1")
    gateway.register(platform, FILES)
    first = gateway.call(platform, "remember", ["77kB"]).json["rows"]
    assert [gateway.call(platform, "remember", ["88kB"]).json["rows"] for _ in range(5)] == [first] * 5


@pytest.mark.parametrize(
    ("version", "framing"),
    [
        ("1.1", "Content-Length: {length}"),  # in the loop
        ("1.1", "Transfer-Encoding: chunked"),  # in a thread
        ("1.0", "Content-Length: {length}"),
    ],
)
def test_a_client_that_ends_its_sending_gets_its_answer(
    gateway: Gateway, platform: str, version: str, framing: str
) -> None:
    gateway.register(platform, FILES)
    for seconds in (0, 0.5):
        text = json.dumps({"platform": platform, "function": "nap", "params": [seconds]}).encode()
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text) if "chunked" in framing else text
        head = f"POST /call HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_SECONDS) as client:
            client.sendall(head.format(length=len(text)).encode() + body)
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(f"HTTP/{version} 200 OK\r\n".encode())
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["rows"] == [{"nap": 1}]

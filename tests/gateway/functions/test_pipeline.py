"""Calls over the connection's own socket: every form of answer, in parts of any size, and connections that end."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import Format

from gateway.errors import ConnectionFailed, GatewayError, QueryFailed, ResponseTooLarge
from gateway.functions.call_session import session_of
from gateway.functions.collected_rows import CollectedRows
from gateway.functions.pipeline import is_plain
from tests.gateway.functions.conftest import Caller
from tests.support.server_proxy import ServerProxy
from tests.support.waiting import wait_until

FUNCTIONS = """
CREATE TABLE kept (id integer);
CREATE TABLE once (id integer CONSTRAINT twice UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION numbers(n integer) RETURNS SETOF integer LANGUAGE sql AS 'SELECT generate_series(1, n)';
CREATE FUNCTION texts(n integer, size integer) RETURNS SETOF text LANGUAGE sql
AS $$ SELECT repeat('x', size) FROM generate_series(1, n) $$;
CREATE FUNCTION nulls(n integer) RETURNS SETOF kept LANGUAGE sql AS 'SELECT NULL::kept FROM generate_series(1, n)';
CREATE FUNCTION warns(n integer) RETURNS SETOF integer LANGUAGE plpgsql AS $$ BEGIN
    FOR i IN 1..n LOOP RAISE WARNING 'number %: %', i, repeat('w', i); RETURN NEXT i; END LOOP;
END $$;
CREATE FUNCTION reports() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
    SET application_name = 'other'; SET TimeZone = 'Asia/Tokyo'; SET client_encoding = 'LATIN1'; RETURN 1;
END $$;
CREATE FUNCTION notifies() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
    LISTEN here; NOTIFY here, 'payload'; RETURN 1;
END $$;
CREATE FUNCTION prepares() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE 'PREPARE own AS SELECT 1'; RETURN 1;
END $$;
CREATE FUNCTION replaces(victim text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM pg_prepared_statements WHERE name = victim) THEN
        EXECUTE format('DEALLOCATE %I', victim);
    END IF;
    EXECUTE format('PREPARE %I AS INSERT INTO kept VALUES (99)', victim);
    RETURN 1;
END $$;
CREATE FUNCTION drops(statement text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE format('DEALLOCATE %I', statement); INSERT INTO kept VALUES (5); RETURN 1;
END $$;
CREATE FUNCTION drops_all() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
    DEALLOCATE ALL; INSERT INTO kept VALUES (6); RETURN 1;
END $$;
CREATE FUNCTION fails_after(n integer) RETURNS SETOF integer LANGUAGE sql
AS 'SELECT 1 / (n - i) FROM generate_series(0, n) AS i';
CREATE FUNCTION fails_at_commit() RETURNS integer LANGUAGE sql AS 'INSERT INTO once VALUES (1), (1); SELECT 1';
CREATE FUNCTION takes(value text) RETURNS integer LANGUAGE sql AS 'SELECT length(value)';
CREATE FUNCTION waits() RETURNS integer LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(60)';
CREATE FUNCTION statements() RETURNS SETOF text LANGUAGE sql
AS 'SELECT name FROM pg_prepared_statements WHERE NOT from_sql ORDER BY name';
"""


@pytest.fixture
def proxy(conninfo: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProxy]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path_factory.mktemp("p") / ".s.PGSQL.5432"))
        listener.listen()
        yield ServerProxy(listener, conninfo)


@pytest.fixture
def through(proxy: ServerProxy, owner: psycopg.Connection) -> Iterator[Caller]:
    owner.execute(FUNCTIONS)
    caller = Caller(proxy.conninfo)
    yield caller
    caller.registry.close()


@pytest.fixture
def ready(caller: Caller, owner: psycopg.Connection) -> Caller:
    owner.execute(FUNCTIONS)
    return caller


def session(caller: Caller):
    assert caller.registry.connection is not None
    return session_of(caller.registry.connection)


def is_warm(caller: Caller) -> bool:
    """Whether the last call has cleaned its session in the same message."""
    return session(caller)._pipeline.is_prepared and not session(caller).cleaning


def warm(caller: Caller) -> None:
    """Call a function until its calls are made in one message."""
    for _ in range(3):
        assert caller.value("numbers", [1]) == 1
    assert is_warm(caller)


def outcome(caller: Caller, function: str, params: list[object]) -> object:
    try:
        return caller.raw(function, params)
    except GatewayError as error:
        return type(error), error.message


ANSWERS = [
    ("numbers", [0]),
    ("numbers", [1]),
    ("numbers", [2]),
    ("numbers", [300]),
    ("texts", [3, 9000]),
    ("texts", [1, 99_000]),
    ("texts", [1, 0]),
    ("texts", [9, 20_000]),
    ("texts", [1, 200_000]),
    ("nulls", [1]),
    ("nulls", [3]),
    ("warns", [1]),
    ("warns", [30]),
    ("reports", []),
    ("notifies", []),
    ("prepares", []),
    ("drops_all", []),
    ("fails_after", [0]),
    ("fails_after", [10_000]),
    ("fails_at_commit", []),
    ("takes", ["ä" * 300_000]),
]


@pytest.mark.parametrize(("function", "params"), ANSWERS, ids=lambda value: str(value)[:30])
def test_a_call_in_one_message_is_answered_like_the_first_one(ready: Caller, function: str, params: list[object]):
    first = outcome(ready, function, params)
    backend = ready.backend
    warm(ready)
    for _ in range(3):
        assert outcome(ready, function, params) == first
        assert ready.value("numbers", [1]) == 1
    assert ready.backend == backend


@pytest.mark.parametrize("part", [1, 7, 4096])
def test_an_answer_may_arrive_in_parts_of_any_size(through: Caller, proxy: ServerProxy, part: int):
    cases = [(name, params) for name, params in ANSWERS if part > 100 or params in ([], [0], [1], [2], [3], [30])]
    expected = [outcome(through, *case) for case in cases]
    warm(through)
    proxy.chunk_size = part
    for case in cases:
        outcome(through, *case)
    assert [outcome(through, *case) for case in cases] == expected


@pytest.mark.parametrize("function", ["numbers", "warns"])
def test_a_call_that_changes_nothing_leaves_the_session_clean_at_once(ready: Caller, function: str):
    for _ in range(3):
        ready.rows(function, [3])
    assert is_warm(ready)


@pytest.mark.parametrize("number", range(6))
def test_a_replaced_statement_of_the_cleaning_is_dropped_before_the_next_call(
    ready: Caller, owner: psycopg.Connection, number: int
):
    warm(ready)
    for _ in range(2):
        ready.rows("replaces", [f"stonescriptdb_gateway_clean_{number}"])
    count = "SELECT count(*) FROM kept WHERE id = 99"
    inserted = owner.execute(count).fetchone()
    for _ in range(3):
        ready.rows("reports")
    warm(ready)
    assert owner.execute(count).fetchone() == inserted


@pytest.mark.parametrize("statement", ["clean_0", "clean_5", "end", "1"])
def test_a_call_that_drops_the_gateway_s_statements_is_committed(
    ready: Caller, owner: psycopg.Connection, statement: str
):
    warm(ready)
    committed = 0
    for _ in range(4):
        answer = outcome(ready, "drops", [f"stonescriptdb_gateway_{statement}"])
        committed += answer == '[{"drops":1}]'
        warm(ready)
    assert committed
    assert owner.execute("SELECT count(*) FROM kept WHERE id = 5").fetchone() == (committed,)


def test_a_failed_commit_is_the_error_of_the_call(ready: Caller, owner: psycopg.Connection):
    for _ in range(4):
        with pytest.raises(QueryFailed, match="twice"):
            ready.rows("fails_at_commit")
    assert owner.execute("SELECT count(*) FROM once").fetchone() == (0,)


def test_an_answer_over_the_limit_is_cancelled_while_it_arrives(ready: Caller):
    warm(ready)
    for _ in range(3):
        with pytest.raises(ResponseTooLarge):
            ready.rows("texts", [100_000, 1000])
    warm(ready)


def test_the_limit_counts_the_rows_and_a_comma_for_each(ready: Caller):
    """None of the protocol's own bytes."""
    warm(ready)
    ready.services.settings.max_response_bytes = 9 * len('{"numbers":1},')
    for _ in range(3):
        assert len(ready.rows("numbers", [9])) == 9
        with pytest.raises(ResponseTooLarge):
            ready.rows("numbers", [10])


@pytest.mark.parametrize("left", [0, 1, 4, 5, 6, 30, 100, 200])
def test_a_connection_that_ends_in_an_answer_is_replaced(through: Caller, proxy: ServerProxy, left: int):
    warm(through)
    backend = through.backend
    proxy.bytes_left = left
    with pytest.raises(ConnectionFailed):
        through.rows("numbers", [1])
    proxy.bytes_left = None
    warm(through)
    assert through.backend != backend


def test_a_server_that_ends_a_running_call_is_noticed_at_once(ready: Caller, owner: psycopg.Connection):
    warm(ready)
    for _ in range(2):
        with pytest.raises(QueryFailed):  # cancelled, so that it is prepared the next time
            cancel_when_running(owner, ready.backend, "pg_cancel_backend")
            ready.rows("waits")
    backend = ready.backend
    cancel_when_running(owner, backend, "pg_terminate_backend")
    with pytest.raises(ConnectionFailed):
        ready.rows("waits")
    assert ready.value("numbers", [1]) == 1
    assert ready.backend != backend


def cancel_when_running(owner: psycopg.Connection, backend: int, how: str) -> None:
    def end() -> None:
        with psycopg.connect(owner.info.dsn, autocommit=True) as other:
            running = "SELECT true FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
            wait_until(lambda: other.execute(running, [backend]).fetchone() is not None)
            other.execute(f"SELECT {how}(%s)", [backend])

    threading.Thread(target=end, daemon=True).start()


@pytest.mark.parametrize("rested", [True, False])
def test_an_idle_connection_that_the_server_has_ended_is_replaced(ready: Caller, monkeypatch, rested: bool):
    warm(ready)
    backend = ready.backend
    os.kill(backend, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{backend}").exists())
    if rested:
        monkeypatch.setattr(session(ready), "_seen_until", 0.0)
        assert ready.value("numbers", [1]) == 1
    else:
        monkeypatch.setattr(session(ready), "_seen_until", float("inf"))
        outcome(ready, "numbers", [1])  # it may not be known whether the server has the call
        assert ready.value("numbers", [1]) == 1
    assert ready.backend != backend


def test_work_that_ends_in_the_middle_of_an_answer_closes_the_connection(ready: Caller):
    warm(ready)
    pipeline, (name, *_) = session(ready)._pipeline, filter(None, session(ready)._prepared.values())
    steps = pipeline.call(name, [b"1"], Format.BINARY, CollectedRows(100), seconds=5)
    next(steps)
    steps.close()
    assert ready.registry.connection.closed
    assert ready.value("numbers", [1]) == 1


@pytest.mark.parametrize("gssencmode", ["prefer", "disable"])
def test_a_connection_that_may_be_encrypted_is_used_with_libpq_alone(
    owner: psycopg.Connection, conninfo: str, gssencmode: str
):
    owner.execute(FUNCTIONS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = ServerProxy(listener, conninfo, gssencmode=gssencmode)
        caller = Caller(proxy.conninfo)
        expected = [json.dumps([{"numbers": 1}], separators=(",", ":"))] * 3
        assert [caller.raw("numbers", [1]) for _ in range(3)] == expected
        plain = session(caller)._pipeline is not None
        assert plain == is_plain(caller.registry.connection.pgconn) == (gssencmode == "disable")
        first = [outcome(caller, *case) for case in ANSWERS]
        for _ in range(2):
            assert [outcome(caller, *case) for case in ANSWERS] == first
        caller.registry.close()

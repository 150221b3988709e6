"""Nothing a call did to its session is seen by the next one on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.errors import GatewayError
from gateway.functions import clean, needs_cleaning
from gateway.functions.call_session import CallSession, session_of
from gateway.functions.cleaning import CLEANING
from gateway.steps import run

FUNCTIONS = """
CREATE ROLE {role};
CREATE SEQUENCE counter;
CREATE TABLE t (id serial, a integer);

CREATE FUNCTION state() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    result jsonb;
    last bigint;
BEGIN
    BEGIN
        last := lastval();
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        last := NULL;
    END;
    SELECT jsonb_build_object(
        'settings', (SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE name NOT LIKE 'transaction%'),
        'role', current_user, 'session', session_user,
        'temporary', (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
        'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
        'channels', (SELECT count(*) FROM pg_listening_channels()),
        'cursors', (SELECT count(*) FROM pg_cursors WHERE is_holdable),
        'prepared', (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
        'custom', coalesce(current_setting('app.someone', true), ''),
        'last', last
    ) INTO result;
    RETURN result;
END $$;

CREATE FUNCTION do_set() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    SET work_mem = '77kB'; SET search_path = pg_catalog; SET TimeZone = 'Asia/Tokyo'; SET statement_timeout = 0;
    SET default_transaction_read_only = on; SET client_min_messages = debug1; SET DateStyle = 'German';
END $$;
CREATE FUNCTION do_config() RETURNS void LANGUAGE plpgsql STABLE AS $$ BEGIN
    PERFORM set_config('app.someone', 'x', false), set_config('lock_timeout', '0', false);
END $$;
CREATE FUNCTION do_local() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET LOCAL work_mem = '66kB'; END $$;
CREATE FUNCTION do_role() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET ROLE {role}; END $$;
CREATE FUNCTION do_session() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET SESSION AUTHORIZATION {role}; END $$;
CREATE FUNCTION do_lock() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_lock(1), pg_advisory_lock(1), pg_advisory_lock_shared(2);
END $$;
CREATE FUNCTION do_lock_and_fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_lock(3); SET work_mem = '88kB'; RAISE EXCEPTION 'after locking';
END $$;
CREATE FUNCTION do_listen() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    LISTEN something; PERFORM pg_notify('something', 'x');
END $$;
CREATE FUNCTION do_temporary() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    CREATE TEMP TABLE t AS SELECT 1 AS a; CREATE TEMP SEQUENCE s; CREATE TEMP VIEW v AS SELECT 1 AS a;
END $$;
CREATE FUNCTION do_cursor() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1';
END $$;
CREATE FUNCTION do_prepare() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'PREPARE p AS SELECT 1'; END $$;
CREATE FUNCTION do_forget() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$;
CREATE FUNCTION do_insert() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.t (a) VALUES (1); END $$;
CREATE FUNCTION do_raise() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION do_time_out() RETURNS void LANGUAGE plpgsql SET statement_timeout = '20ms' AS $$ BEGIN
    PERFORM pg_advisory_lock(4); PERFORM pg_sleep(60);
END $$;
CREATE FUNCTION do_too_much() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT repeat('x', 1000) FROM generate_series(1, 1000)
$$;
CREATE PROCEDURE do_work() LANGUAGE plpgsql AS $$ BEGIN
    SET work_mem = '99kB'; COMMIT; PERFORM pg_advisory_lock(5); COMMIT; CREATE TEMP TABLE w (a integer);
END $$;
"""

ACTIONS = [line.split()[2].partition("(")[0] for line in FUNCTIONS.splitlines() if " do_" in line]


@pytest.fixture
def conninfo(make_database: Callable[[], str], superuser_url: str) -> str:
    """A caller as superuser: only then a function can change the session's authorization."""
    return make_conninfo(superuser_url, dbname=conninfo_to_dict(make_database())["dbname"])


@pytest.fixture
def ready(caller, owner: psycopg.Connection, admin: psycopg.Connection) -> Iterator[object]:
    role = f"role_of_{owner.info.dbname}"
    owner.execute(FUNCTIONS.replace("{role}", role).encode())
    yield caller
    caller.registry.close()
    owner.execute(f"DROP ROLE {role}".encode())


def state(caller) -> dict[str, object]:
    return caller.value("state")


def do(caller, action: str) -> None:
    try:
        caller.rows(action)
    except GatewayError as failure:
        assert action in ("do_raise", "do_lock_and_fail", "do_time_out", "do_too_much"), failure


def test_every_action_was_found():
    assert len(ACTIONS) == len(set(ACTIONS)) == 17


@pytest.mark.parametrize("action", ACTIONS)
def test_the_next_call_sees_a_fresh_session(ready, action):
    fresh = state(ready)
    backend = ready.backend
    for _ in range(3):
        do(ready, action)
        assert state(ready) == fresh
    assert ready.backend == backend


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=8))
def test_after_any_calls_the_next_one_sees_a_fresh_session(ready, actions):
    do(ready, "do_insert")
    fresh = state(ready)
    backend = ready.backend
    for action in actions:
        do(ready, action)
    assert state(ready) == fresh
    assert ready.backend == backend


def test_the_actions_do_leave_something_behind_by_themselves(ready, conninfo):
    """The tests above would pass with actions that do nothing."""
    traceless = {"do_local", "do_raise", "do_forget", "do_too_much"}
    for action in sorted(set(ACTIONS) - traceless - {"do_session", "do_time_out"}):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            before = connection.execute("SELECT public.state()").fetchone()
            try:
                connection.execute(f"{'CALL' if action == 'do_work' else 'SELECT'} public.{action}()".encode())
            except psycopg.errors.RaiseException:
                assert action == "do_lock_and_fail"
            assert connection.execute("SELECT public.state()").fetchone() != before, action


def test_locks_are_released_without_a_next_call(ready, owner):
    do(ready, "do_lock")
    owner.execute("SET lock_timeout = '5s'")
    owner.execute("SELECT pg_advisory_lock(1)")  # fails if the session that called keeps it


def test_statements_stay_prepared_over_cleaning(ready, owner):
    for _ in range(4):
        do(ready, "do_set")
    session = session_of(ready.registry.connection)
    assert [name for name in session._prepared.values() if name]


@pytest.mark.parametrize(
    ("name", "body", "planned_for_every_call"),
    [
        ("first_ones", "SELECT generate_series(1, p)", False),
        ("one_of_many", "SELECT id FROM many WHERE p IS NULL OR id = p", True),
    ],
)
def test_a_call_is_planned_anew_only_where_its_values_matter(ready, owner, name, body, planned_for_every_call):
    owner.execute("CREATE TABLE IF NOT EXISTS many AS SELECT id FROM generate_series(1, 5000) AS id")
    owner.execute("CREATE INDEX ON many (id)")
    owner.execute("ANALYZE many")
    owner.execute(f"CREATE FUNCTION {name}(p integer) RETURNS SETOF integer STABLE LANGUAGE sql AS '{body}'".encode())
    for _ in range(9):
        assert ready.value(name, [1]) == 1
    plans = "SELECT generic_plans > 0 FROM pg_prepared_statements WHERE position(%s IN statement) > 0"
    run(session_of(ready.registry.connection).settle())
    generic = ready.registry.connection.execute(plans, [name], prepare=False).fetchone()
    assert generic == (not planned_for_every_call,)


def test_a_session_forgets_the_statements_it_used_first(ready, owner, monkeypatch):
    monkeypatch.setattr("gateway.functions.call_session.MAX_PREPARED", 3)
    for number in range(6):
        owner.execute(f"CREATE FUNCTION f{number}() RETURNS integer LANGUAGE sql AS 'SELECT {number}'".encode())
    for number in [*range(6), *range(6)]:
        for _ in range(3):
            assert ready.value(f"f{number}") == number
    owner.execute("""
        CREATE FUNCTION prepared() RETURNS bigint LANGUAGE sql
        AS 'SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql'
    """)
    assert ready.value("prepared") <= 3 + len(CLEANING)


def test_a_transaction_left_open_is_rolled_back(ready):
    connection = ready.registry.connection or opened(ready)
    session = session_of(connection)
    run(session.settle())
    connection.pgconn.exec_(b"BEGIN; INSERT INTO t (a) VALUES (5)")
    session.dirty = True
    session.begin_cleaning()
    run(session.settle())
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def opened(caller) -> psycopg.Connection:
    with caller.registry.lease("tests") as connection:
        return connection


def test_a_session_needs_cleaning_only_between_a_call_and_its_cleaning(ready):
    connection = opened(ready)
    assert not needs_cleaning(connection)
    session = session_of(connection)
    session.ask(b"SELECT 1", [])
    assert not needs_cleaning(connection)
    do(ready, "do_set")
    assert not needs_cleaning(connection)  # it is under way
    run(session.settle())
    session.dirty = True
    assert needs_cleaning(connection)
    clean(connection)
    assert not needs_cleaning(connection)


def test_the_session_is_freed_with_its_connection(ready):
    import gc
    import weakref

    do(ready, "do_set")
    known = weakref.ref(session_of(ready.registry.connection))
    ready.registry.close()
    ready.registry.connection = None
    gc.collect()
    assert known() is None
    assert isinstance(session_of(opened(ready)), CallSession)


def test_the_state_equals_that_of_a_new_connection(ready, conninfo):
    do(ready, "do_set")
    settled = state(ready)
    again = type(ready)(conninfo)
    try:
        assert json.dumps(state(again), sort_keys=True) == json.dumps(settled, sort_keys=True)
    finally:
        again.registry.close()

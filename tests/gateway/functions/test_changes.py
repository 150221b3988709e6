"""Deploys behind the gateway's back: what is remembered of a function is never wrong twice."""

from __future__ import annotations

import threading

import psycopg
import pytest

from gateway.errors import FunctionNotFound, InvalidRequest, QueryFailed


@pytest.fixture
def ready(caller, owner: psycopg.Connection):
    """A function that has been called often enough to be prepared."""
    owner.execute(
        "CREATE FUNCTION f(a integer, b integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT 10 * a + b'"
    )
    for _ in range(7):
        assert caller.value("f", [2]) == 21
        assert caller.value("f", {"a": 2, "b": 3}) == 23
    return caller


def redefine(owner: psycopg.Connection, definition: str, drop: str = "DROP FUNCTION f;") -> None:
    owner.execute(f"BEGIN; {drop} {definition}; COMMIT".encode())


def test_dropped(ready, owner):
    redefine(owner, "")
    for _ in range(2):
        with pytest.raises(FunctionNotFound):
            ready.rows("f", [2])


def test_made_after_it_was_missing(caller, owner):
    with pytest.raises(FunctionNotFound):
        caller.rows("late")
    owner.execute("CREATE FUNCTION late() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    assert caller.value("late") == 1


def test_another_body(ready, owner):
    redefine(
        owner,
        "CREATE OR REPLACE FUNCTION f(a integer, b integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT 7'",
        drop="",
    )
    assert ready.value("f", [2]) == 7


@pytest.mark.parametrize(
    ("definition", "params", "rows"),
    [
        ("RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$", [2], [{"f": "x"}]),
        ("RETURNS void LANGUAGE plpgsql AS 'BEGIN END'", [2], [{"f": None}]),
        ("RETURNS SETOF integer LANGUAGE sql AS 'SELECT generate_series(1, 2)'", [2], [{"f": 1}, {"f": 2}]),
        ("RETURNS TABLE (x integer, y text) LANGUAGE sql AS $$ SELECT 1, 'z' $$", [2], [{"x": 1, "y": "z"}]),
        ("RETURNS record LANGUAGE sql AS 'SELECT 1 AS q, 2 AS r'", [2], [{"q": 1, "r": 2}]),
    ],
)
def test_another_result(ready, owner, definition, params, rows):
    redefine(owner, f"CREATE FUNCTION f(a integer, b integer DEFAULT 1) {definition}")
    for _ in range(7):
        assert ready.rows("f", params) == rows
    redefine(owner, "CREATE FUNCTION f(a integer, b integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT 5'")
    assert ready.rows("f", params) == [{"f": 5}]


def test_another_default(ready, owner):
    redefine(
        owner, "CREATE FUNCTION f(a integer, b integer DEFAULT 9) RETURNS integer LANGUAGE sql AS 'SELECT 10 * a + b'"
    )
    assert ready.value("f", [2]) == 29


def test_a_default_removed(ready, owner):
    redefine(owner, "CREATE FUNCTION f(a integer, b integer) RETURNS integer LANGUAGE sql AS 'SELECT 10 * a + b'")
    with pytest.raises(InvalidRequest, match=r"f\(a integer, b integer\)"):
        ready.rows("f", [2])


def test_a_default_added(ready, owner):
    with pytest.raises(InvalidRequest):
        ready.rows("f", [])
    redefine(
        owner,
        "CREATE OR REPLACE FUNCTION f(a integer DEFAULT 4, b integer DEFAULT 1) RETURNS integer LANGUAGE sql "
        "AS 'SELECT 10 * a + b'",
        drop="",
    )
    assert ready.value("f", []) == 41


def test_parameters_renamed(ready, owner):
    redefine(
        owner, "CREATE FUNCTION f(b integer, a integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT 10 * b + a'"
    )
    assert ready.value("f", {"a": 2, "b": 3}) == 32
    redefine(owner, "CREATE FUNCTION f(x integer, y integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT x - y'")
    assert ready.value("f", {"y": 2, "x": 3}) == 1


def test_a_parameter_of_another_type(ready, owner):
    redefine(owner, "CREATE FUNCTION f(a text, b integer DEFAULT 1) RETURNS text LANGUAGE sql AS 'SELECT a || b'")
    assert ready.value("f", ["x"]) == "x1"
    assert ready.value("f", [2]) == "21"


def test_an_overload_that_makes_the_call_ambiguous(ready, owner):
    owner.execute("CREATE FUNCTION f(a integer) RETURNS integer LANGUAGE sql AS 'SELECT 0'")
    with pytest.raises(InvalidRequest, match="could mean"):
        ready.rows("f", [2])
    owner.execute("DROP FUNCTION f(integer)")
    assert ready.value("f", [2]) == 21


def test_an_overload_that_fits_better(ready, owner):
    owner.execute("CREATE FUNCTION f(a text, b text) RETURNS text LANGUAGE sql AS $$ SELECT 'texts' $$")
    assert ready.value("f", ["x", "y"]) == "texts"
    assert ready.value("f", [1, 2]) == 12
    owner.execute("CREATE FUNCTION f(a bigint, b bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'wide' $$")
    assert ready.value("f", [2**40, 1]) == "wide"
    owner.execute(
        "DROP FUNCTION f(bigint, bigint); CREATE FUNCTION f(a numeric, b numeric) RETURNS text LANGUAGE sql "
        "AS $$ SELECT 'numbers' $$"
    )
    assert ready.value("f", [2**40, 1]) == "numbers"


def test_a_function_becomes_a_procedure_and_back(ready, owner):
    redefine(owner, "CREATE PROCEDURE f(a integer, INOUT b integer DEFAULT 1) LANGUAGE plpgsql AS 'BEGIN b := a; END'")
    for _ in range(4):
        assert ready.rows("f", [2]) == [{"b": 2}]
    redefine(
        owner,
        "CREATE PROCEDURE f(a integer, INOUT b integer DEFAULT 1, INOUT c text DEFAULT 'x') "
        "LANGUAGE plpgsql AS 'BEGIN b := a; END'",
        drop="DROP PROCEDURE f;",
    )
    for _ in range(4):
        assert ready.rows("f", [2]) == [{"b": 2, "c": "x"}]
    redefine(owner, "CREATE FUNCTION f(a integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'", drop="DROP PROCEDURE f;")
    assert ready.rows("f", [2]) == [{"f": 1}]


def test_a_type_made_anew(caller, owner):
    for labels in ("'a', 'b'", "'b', 'c'"):
        owner.execute(
            f"""
            CREATE TYPE kind AS ENUM ({labels});
            CREATE FUNCTION g(p kind, q kind[]) RETURNS kind[] LANGUAGE sql AS 'SELECT q || p';
        """.encode()
        )
        for _ in range(7):
            assert caller.value("g", ["b", ["b"]]) == ["b", "b"]
        owner.execute("DROP FUNCTION g; DROP TYPE kind")


def test_prepared_statements_that_the_server_has_lost(ready, owner):
    owner.execute(
        "CREATE FUNCTION lose() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALL' || 'OCATE ALL'; END $$"
    )
    for _ in range(3):
        ready.rows("lose")
        assert ready.value("f", [2]) == 21


def test_a_stale_call_is_never_run_and_a_fresh_one_once(ready, owner):
    owner.execute("CREATE TABLE seen (a integer)")
    body = "LANGUAGE sql AS 'INSERT INTO seen VALUES (a) RETURNING a'"
    for result in ("integer", "bigint", "text", "integer"):
        cast = f"LANGUAGE sql AS 'INSERT INTO seen VALUES (a) RETURNING a::{result}'"
        redefine(owner, f"CREATE FUNCTION f(a integer, b integer DEFAULT 1) RETURNS {result} {cast}")
        assert int(ready.value("f", [2])) == 2
    assert body
    assert owner.execute("SELECT count(*) FROM seen").fetchone() == (4,)


def test_an_error_of_the_function_s_own_is_not_tried_again(ready, owner):
    owner.execute("""
        CREATE SEQUENCE tries;
        CREATE FUNCTION missing() RETURNS integer LANGUAGE plpgsql
        AS $$ BEGIN PERFORM nextval('tries'); PERFORM no_such_function(); RETURN 1; END $$;
        CREATE FUNCTION divide() RETURNS integer LANGUAGE plpgsql
        AS $$ BEGIN PERFORM nextval('tries'); RETURN 1 / 0; END $$;
    """)
    for name, sqlstate in (("missing", "42883"), ("divide", "22012")):
        with pytest.raises(QueryFailed) as failure:
            ready.rows(name)
        assert failure.value.facts["sqlstate"] == sqlstate
    assert owner.execute("SELECT last_value FROM tries").fetchone() == (2,)


def test_calls_during_deploys_give_one_or_the_other(ready, owner):
    """A function dropped and made anew while it is called without a pause: between two deploys a call has ended."""
    results = ("integer", "text", "bigint", "numeric")
    seen: list[str] = []
    failures: list[Exception] = []
    ended = threading.Semaphore(0)
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                seen.append(str(ready.value("f", [2])))
            except Exception as exc:  # noqa: BLE001 - looked at below
                failures.append(exc)
            ended.release()

    thread = threading.Thread(target=call)
    thread.start()
    for number in range(100):
        while ended.acquire(blocking=False):
            pass
        ended.acquire()
        result = results[number % len(results)]
        redefine(
            owner,
            f"CREATE FUNCTION f(a integer, b integer DEFAULT 1) RETURNS {result} LANGUAGE sql "
            f"AS 'SELECT {number}::{result}'",
        )
    stop.set()
    thread.join()
    assert failures == []
    assert set(seen) <= {"21", *map(str, range(100))}
    assert len(set(seen)) > 1

"""Which function a name and its values mean."""

from __future__ import annotations

import pytest

from gateway.errors import FunctionNotFound, InvalidRequest

ORDINARY = """
CREATE FUNCTION plain(p_id integer, p_name text DEFAULT 'a,b', "p_Odd" integer DEFAULT 7)
RETURNS TABLE (i integer, n text, o integer) LANGUAGE sql AS 'SELECT $1, $2, $3';
"""


@pytest.mark.parametrize(
    ("params", "row"),
    [
        ([1], [1, "a,b", 7]),
        ([1, "x"], [1, "x", 7]),
        ([1, "x", 2], [1, "x", 2]),
        ([1, None], [1, None, 7]),
        ({"p_id": 1}, [1, "a,b", 7]),
        ({"id": 1, "p_Odd": 3}, [1, "a,b", 3]),
        ({"name": "x", "id": 1}, [1, "x", 7]),
        ({"ID": 1, "P_NAME": "x"}, [1, "x", 7]),
        ({"user": 1, "label": "x"}, [1, "x", 7]),
        ({"b": 1, "a": "x"}, [1, "x", 7]),
    ],
)
def test_values_by_order_by_name_and_with_labels(caller, owner, params, row):
    owner.execute(ORDINARY)
    for _ in range(3):
        assert list(caller.rows("plain", params)[0].values()) == row


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ([], "0 values"),
        ({}, "0 values"),
        ([1, 2, 3, 4], "4 values"),
        ({"name": "x"}, "lacks p_id"),
        ({"id": 1, "nme": "x"}, "mixes.*'nme'"),
        ({"id": 1, "p_id": 2}, "twice"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "4 values"),
    ],
)
def test_values_that_fit_no_parameters_are_refused_with_the_signature(caller, owner, params, reason):
    owner.execute(ORDINARY)
    with pytest.raises(InvalidRequest, match=rf"{reason}.*plain\(p_id integer, p_name text DEFAULT 'a,b'"):
        caller.rows("plain", params)


def test_an_exact_name_has_precedence_over_the_prefix(caller, owner):
    owner.execute("CREATE FUNCTION f(id integer, p_id integer) RETURNS integer LANGUAGE sql AS 'SELECT 10 * $1 + $2'")
    assert caller.value("f", {"p_id": 1, "id": 2}) == 21


def test_prefix_on_the_client_s_side(caller, owner):
    owner.execute("CREATE FUNCTION f(id integer) RETURNS integer LANGUAGE sql AS 'SELECT id'")
    assert caller.value("f", {"p_id": 4}) == 4


def test_functions_without_parameter_names_take_labels(caller, owner):
    owner.execute("CREATE FUNCTION f(integer, text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $2'")
    assert caller.value("f", {"a": 1, "b": "x"}) == "1x"


def test_variadic(caller, owner):
    owner.execute("""
        CREATE FUNCTION total(name text, VARIADIC numbers integer[]) RETURNS text LANGUAGE sql
        AS $$ SELECT name || (SELECT sum(n) FROM unnest(numbers) n) $$;
        CREATE FUNCTION docs(VARIADIC d jsonb[]) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(d)';
        CREATE FUNCTION kinds(VARIADIC d anyarray) RETURNS text LANGUAGE sql AS 'SELECT pg_typeof(d)::text';
        CREATE FUNCTION maybe(VARIADIC d integer[] DEFAULT '{1}') RETURNS integer LANGUAGE sql AS 'SELECT d[1]';
    """)
    assert caller.value("total", ["x", 1]) == "x1"
    assert caller.value("total", ["x", 1, 2.0, 3]) == "x6"
    assert caller.value("total", ["x", [4, 5]]) == "x9"
    assert caller.value("total", {"numbers": [1, 2], "name": "x"}) == "x3"
    assert caller.value("total", {"numbers": 7, "name": "x"}) == "x7"
    assert caller.value("docs", [{"a": 1}, [2], "x"]) == [{"a": 1}, [2], "x"]
    assert caller.value("kinds", [1, 2.5]) == "numeric[]"
    assert caller.value("maybe") == 1
    assert caller.value("maybe", [5, 6]) == 5
    with pytest.raises(InvalidRequest, match="VARIADIC"):
        caller.rows("total", ["x"])


OVERLOADED = """
CREATE TYPE pair AS (a integer, b integer);
CREATE FUNCTION f(p integer) RETURNS text LANGUAGE sql AS $$ SELECT 'integer' $$;
CREATE FUNCTION f(p numeric) RETURNS text LANGUAGE sql AS $$ SELECT 'numeric' $$;
CREATE FUNCTION f(p text) RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
CREATE FUNCTION f(p boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'boolean' $$;
CREATE FUNCTION f(p integer[]) RETURNS text LANGUAGE sql AS $$ SELECT 'integers' $$;
CREATE FUNCTION f(p pair) RETURNS text LANGUAGE sql AS $$ SELECT 'pair' $$;
CREATE FUNCTION f(p integer, q integer) RETURNS text LANGUAGE sql AS $$ SELECT 'two' $$;
CREATE FUNCTION f(first text, second text, third text) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
"""


@pytest.mark.parametrize(
    ("params", "chosen"),
    [
        (b"[1]", "integer"),
        (b"[9223372036854775808]", "numeric"),
        (b"[1.5]", "numeric"),
        (b'["1"]', "text"),
        (b"[null]", "text"),
        (b"[true]", "boolean"),
        (b"[[1, 2]]", "integers"),
        (b'[{"a": 1}]', "pair"),
        (b"[1, 2]", "two"),
        (b'{"p": 1, "q": 2}', "two"),
        (b'{"third": "c", "first": "a", "second": "b"}', None),
    ],
)
def test_an_overload_is_chosen_by_number_names_and_kinds_of_values(caller, owner, params, chosen):
    owner.execute(OVERLOADED)
    for _ in range(3):
        assert caller.value("f", params) == chosen


def test_an_overload_between_number_types_and_text(caller, owner):
    owner.execute("""
        CREATE FUNCTION f(p smallint) RETURNS text LANGUAGE sql AS $$ SELECT 'smallint' $$;
        CREATE FUNCTION f(p text) RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
    """)
    assert caller.value("f", [1]) == "smallint"
    assert caller.value("f", ["1"]) == "text"


@pytest.mark.parametrize("params", [["2024-01-01"], [None]])
def test_a_choice_that_stays_open_lists_the_candidates(caller, owner, params):
    owner.execute("""
        CREATE FUNCTION f(p integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION f(p date) RETURNS integer LANGUAGE sql AS 'SELECT 2';
    """)
    with pytest.raises(InvalidRequest, match=r"f\(p integer\) or f\(p date\)") as failure:
        caller.rows("f", params)
    assert failure.value.facts["candidates"] == ["f(p integer)", "f(p date)"]
    assert caller.value("f", [1]) == 1


def test_defaults_that_make_two_functions_alike_are_ambiguous(caller, owner):
    owner.execute("""
        CREATE FUNCTION f(p integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION f(p integer, q integer DEFAULT 2) RETURNS integer LANGUAGE sql AS 'SELECT 2';
    """)
    with pytest.raises(InvalidRequest, match="q integer DEFAULT 2"):
        caller.rows("f", [1])
    assert caller.value("f", [1, 2]) == 2


def test_a_procedure_and_a_function_of_one_name(caller, owner):
    owner.execute("""
        CREATE TABLE t (a integer);
        CREATE FUNCTION f(p integer) RETURNS integer LANGUAGE sql AS 'SELECT p';
        CREATE PROCEDURE f(p integer, q integer) LANGUAGE sql AS 'INSERT INTO t VALUES (p + q)';
    """)
    assert caller.value("f", [3]) == 3
    assert caller.rows("f", [3, 4]) == []
    assert owner.execute("SELECT a FROM t").fetchone() == (7,)


def test_names_as_written_folded_and_qualified(caller, owner):
    owner.execute("""
        CREATE SCHEMA other;
        CREATE FUNCTION get_user() RETURNS text LANGUAGE sql AS $$ SELECT 'folded' $$;
        CREATE FUNCTION "Get_User"() RETURNS text LANGUAGE sql AS $$ SELECT 'exact' $$;
        CREATE FUNCTION "public.odd"() RETURNS text LANGUAGE sql AS $$ SELECT 'dotted' $$;
        CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS $$ SELECT 'odd' $$;
        CREATE FUNCTION other.get_user() RETURNS text LANGUAGE sql AS $$ SELECT 'other' $$;
        CREATE FUNCTION other.hidden() RETURNS text LANGUAGE sql AS $$ SELECT 'hidden' $$;
    """)
    assert caller.value("get_user") == "folded"
    assert caller.value("Get_User") == "exact"
    assert caller.value("GET_USER") == "folded"
    assert caller.value("public.get_user") == "folded"
    assert caller.value("PUBLIC.GET_USER") == "folded"
    assert caller.value("public.odd") == "dotted"
    for name in ("other.get_user", "other.hidden", "hidden", 'public."odd"', "public.other.hidden", ".odd", "odd."):
        with pytest.raises(FunctionNotFound):
            caller.rows(name)


def test_the_first_of_several_schemas_has_precedence(conninfo, caller, owner):
    owner.execute("""
        CREATE SCHEMA app;
        CREATE FUNCTION app.f() RETURNS text LANGUAGE sql AS $$ SELECT 'app' $$;
        CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'public' $$;
        CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$ SELECT 'public' $$;
    """)
    both = type(caller)(conninfo, schemas=("app", "public"))
    assert both.value("f") == "app"
    assert both.value("g") == "public"
    assert both.value("public.f") == "public"
    both.registry.close()


@pytest.mark.parametrize(
    "name",
    ["", " ", "plain ", "plain()", "x" * 64, "plain; DROP TABLE t", "a\0b", "\ud800", "%", "pg_temp.f", "'", '"', "\\"],
)
def test_names_that_mean_nothing_are_not_found(caller, owner, name):
    owner.execute(ORDINARY)
    owner.execute(f"CREATE FUNCTION {'x' * 63}() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    with pytest.raises(FunctionNotFound):
        caller.services.signatures.read(settled(caller), "tests", name)


def settled(caller):
    from gateway.functions.call_session import session_of

    with caller.registry.lease("tests") as connection:
        return session_of(connection)

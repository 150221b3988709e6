"""Results of every form, the session in which they are made, and errors raised by functions."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import sql

from gateway.errors import InvalidRequest, QueryFailed


def test_results_of_every_form(caller, owner):
    owner.execute("""
        CREATE TABLE t (b integer, a text);
        INSERT INTO t VALUES (1, 'x'), (2, NULL);
        CREATE FUNCTION nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
        CREATE FUNCTION scalar() RETURNS integer LANGUAGE sql AS 'SELECT NULL::integer';
        CREATE FUNCTION scalars() RETURNS SETOF integer LANGUAGE sql AS 'SELECT generate_series(1, 3)';
        CREATE FUNCTION no_rows() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t WHERE false';
        CREATE FUNCTION one_row() RETURNS t LANGUAGE sql AS 'SELECT * FROM t ORDER BY b LIMIT 1';
        CREATE FUNCTION all_rows() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t ORDER BY b';
        CREATE FUNCTION as_table() RETURNS TABLE (z integer, a integer, m integer) LANGUAGE sql AS 'SELECT 1, 2, 3';
        CREATE FUNCTION outs(OUT z integer, INOUT a integer) LANGUAGE sql AS 'SELECT a, a + 1';
        CREATE FUNCTION out_one(OUT total integer) LANGUAGE sql AS 'SELECT 7';
        CREATE FUNCTION voids() RETURNS SETOF void LANGUAGE plpgsql AS 'BEGIN RETURN; END';
        CREATE FUNCTION "Quoted ""name"" %"() RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION "it's"() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
        CREATE FUNCTION loose() RETURNS record LANGUAGE sql AS 'SELECT 1 AS a, 2 AS b, 3 AS a';
        CREATE FUNCTION loose_rows() RETURNS SETOF record LANGUAGE sql AS 'SELECT b AS one, a AS two FROM t ORDER BY b';
    """)
    assert caller.raw("nothing") == '[{"nothing":null}]'
    assert caller.raw("scalar") == '[{"scalar":null}]'
    assert caller.raw("scalars") == '[{"scalars":1},{"scalars":2},{"scalars":3}]'
    assert caller.raw("no_rows") == "[]"
    assert caller.raw("one_row") == '[{"b":1,"a":"x"}]'
    assert caller.raw("all_rows") == '[{"b":1,"a":"x"},{"b":2,"a":null}]'
    assert caller.raw("as_table") == '[{"z":1,"a":2,"m":3}]'
    assert caller.raw("outs", [5]) == '[{"z":5,"a":6}]'
    assert caller.raw("out_one") == '[{"total":7}]'
    assert caller.raw("voids") == "[]"
    assert caller.raw('Quoted "name" %') == '[{"Quoted \\"name\\" %":1}]'
    assert caller.raw("it's") == '[{"it\'s":null}]'
    assert caller.raw("loose") == '[{"a":1,"b":2,"a":3}]'
    assert caller.raw("loose_rows") == '[{"one":1,"two":"x"},{"one":2,"two":null}]'
    assert caller.answer("all_rows").row_count == 2


def test_a_record_that_cannot_be_rendered_is_the_function_s_fault(caller, owner):
    owner.execute("""
        CREATE FUNCTION loose() RETURNS SETOF record LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT 1; END'
    """)
    with pytest.raises(InvalidRequest, match="RETURNS TABLE"):
        caller.rows("loose")


def test_procedures_return_their_outputs(caller, owner):
    owner.execute("""
        CREATE TABLE t (a integer);
        CREATE PROCEDURE work(a integer, OUT b numeric, OUT d timestamptz, INOUT c text DEFAULT 'q')
        LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO t VALUES (a);
            COMMIT;
            INSERT INTO t VALUES (a + 1);
            ROLLBACK;
            b := a * 1.10;
            c := c || '!';
            d := '2024-01-01 00:00+00';
        END $$;
        CREATE PROCEDURE silent(a integer) LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
    """)
    for _ in range(3):
        assert caller.raw("work", [2]) == '[{"b":2.20,"d":"2024-01-01T00:00:00+00:00","c":"q!"}]'
    assert caller.raw("work", {"c": "x", "a": 1}) == '[{"b":1.10,"d":"2024-01-01T00:00:00+00:00","c":"x!"}]'
    assert owner.execute("SELECT array_agg(a) FROM t").fetchone() == ([2, 2, 2, 1],)
    assert caller.raw("silent", [1]) == "[]"


def test_the_session_is_in_utc_regardless_of_role_and_database(conninfo, caller, owner):
    name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
    for setting in (
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "extra_float_digits = -10",
        "search_path = 'elsewhere', 'public'",
    ):
        owner.execute(sql.SQL("ALTER DATABASE {} SET {}").format(sql.Identifier(name), sql.SQL(setting)))
    owner.execute("""
        CREATE FUNCTION now_and_here() RETURNS TABLE (t timestamptz, i interval, b bytea, f float8, s text, p text)
        LANGUAGE sql AS $$
            SELECT timestamptz '2024-01-01 00:00+09', interval '1 day', bytea 'a', 0.1::float8 + 0.2::float8,
                   timestamptz '2024-01-01 00:00+09'::text, current_setting('search_path')
        $$
    """)
    for _ in range(2):
        assert caller.rows("now_and_here") == [
            {
                "t": "2023-12-31T15:00:00+00:00",
                "i": "1 day",
                "b": "\\x61",
                "f": 0.30000000000000004,
                "s": "2023-12-31 15:00:00+00",
                "p": "elsewhere, public",
            }
        ]


def test_a_raised_exception_is_returned_exactly(caller, owner):
    owner.execute("""
        CREATE FUNCTION refuse() RETURNS integer LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'no % today: 100%%', 'bread' USING HINT = 'cake', DETAIL = 'sold out', ERRCODE = 'SH001';
        END $$
    """)
    for _ in range(3):
        with pytest.raises(QueryFailed) as failure:
            caller.rows("refuse")
        assert failure.value.facts == {
            "cause": "no bread today: 100%",
            "sqlstate": "SH001",
            "detail": "sold out",
            "hint": "cake",
        }


def test_a_large_argument_arrives_whole(caller, owner):
    owner.execute("CREATE FUNCTION size(p text) RETURNS integer LANGUAGE sql AS 'SELECT length(p)'")
    assert caller.value("size", ["é" * 4_000_000]) == 4_000_000


def test_many_rows_arrive_in_order(caller, owner):
    owner.execute(
        "CREATE FUNCTION count_to(n integer) RETURNS SETOF integer LANGUAGE sql AS 'SELECT generate_series(1, n)'"
    )
    for count in (1, 7, 8, 9, 16, 17, 3000):
        assert json.loads(caller.answer("count_to", [count]).rows) == [{"count_to": n + 1} for n in range(count)]

"""Every type there and back: arguments as PostgreSQL reads them, results as PostgreSQL renders them."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from gateway.errors import InvalidRequest, QueryFailed
from gateway.functions.json_values import MAX_VALUES

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'with "quotes", and, commas');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN some_integers AS integer[] CHECK (cardinality(VALUE) < 4);
CREATE TYPE address AS (street text, "No" integer, tags text[], since date);
CREATE DOMAIN home AS address;
CREATE TYPE person AS (name text, lives home, moods mood[], extra jsonb);
CREATE TABLE item (id integer PRIMARY KEY, price numeric(10,2), sizes integer[]);
CREATE TYPE float_range AS RANGE (subtype = float8);
"""

#: type, the argument's JSON, the result's JSON
ROUND_TRIPS = [
    ("smallint", "1", "1"),
    ("integer", "1.0", "1"),
    ("integer", "1e3", "1000"),
    ("integer", "-12.00", "-12"),
    ("integer", '" 7 "', "7"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("oid", "4294967295", '"4294967295"'),
    ("numeric", "1.10", "1.10"),
    ("numeric", "123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ("numeric", '"NaN"', '"NaN"'),
    ("numeric", '"-Infinity"', '"-Infinity"'),
    ("real", "0.1", "0.1"),
    ("double precision", "1e-300", "1e-300"),
    ("double precision", "0.1", "0.1"),
    ("double precision", '"Infinity"', '"Infinity"'),
    ("money", "12.5", '"$12.50"'),
    ("boolean", "true", "true"),
    ("boolean", "0", "false"),
    ("boolean", '"yes"', "true"),
    ("text", "1", '"1"'),
    ("text", "1.10", '"1.10"'),
    ("text", "false", '"false"'),
    ("text", '"it\'s \\\\ \\" % $1 \\u00e9 \\ud83d\\ude00 \\n"', '"it\'s \\\\ \\" % $1 é 😀 \\n"'),
    ("text", '""', '""'),
    ("varchar", '"x"', '"x"'),
    ("bpchar", '"x "', '"x "'),
    ('"char"', '"x"', '"x"'),
    ("name", '"n"', '"n"'),
    ("bytea", '"\\\\x00ff"', '"\\\\x00ff"'),
    ("bytea", '"abc"', '"\\\\x616263"'),
    ("uuid", '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ("float8", "-0", "-0"),
    ("text", "-0", '"-0"'),
    ("integer", "-0", "0"),
    ("date", '"2024-02-29"', '"2024-02-29"'),
    ("date", '"infinity"', '"infinity"'),
    ("time", '"12:30"', '"12:30:00"'),
    ("timetz", '"12:30+02"', '"12:30:00+02"'),
    ("timestamp", '"2024-01-02 03:04:05.678901"', '"2024-01-02T03:04:05.678901"'),
    ("timestamp", '"-infinity"', '"-infinity"'),
    ("timestamptz", '"2024-01-02 03:04:05+02"', '"2024-01-02T01:04:05+00:00"'),
    ("timestamptz", '"2024-01-02 03:04:05"', '"2024-01-02T03:04:05+00:00"'),
    ("interval", '"1 day 2 hours"', '"1 day 02:00:00"'),
    ("interval", '"P1Y2M"', '"1 year 2 mons"'),
    ("inet", '"10.0.0.1/8"', '"10.0.0.1/8"'),
    ("cidr", '"10.0.0.0/8"', '"10.0.0.0/8"'),
    ("macaddr", '"08:00:2b:01:02:03"', '"08:00:2b:01:02:03"'),
    ("bit varying", "101", '"101"'),
    ("point", '"(1,2)"', '"(1,2)"'),
    ("box[]", '["(1,1),(0,0)", "(2,2),(1,1)"]', '["(1,1),(0,0)","(2,2),(1,1)"]'),
    ("xid", "3", '"3"'),
    ("tsvector", '"a b"', "\"'a' 'b'\""),
    ("regclass", '"pg_class"', '"pg_class"'),
    ("int4range", '"[1,5)"', '"[1,5)"'),
    ("tstzrange", '"[2024-01-01,)"', '"[\\"2024-01-01 00:00:00+00\\",)"'),
    ("int4multirange", '"{[1,2),[5,9)}"', '"{[1,2),[5,9)}"'),
    ("float_range", '"[1.5,2]"', '"[1.5,2]"'),
    ("int4range[]", '["[1,5)", null]', '["[1,5)",null]'),
    ("json", '{"b": 1.10, "a": [1, null]}', '{"b":1.10,"a":[1,null]}'),
    ("json", '"text"', '"text"'),
    ("json", '"{\\"a\\": 1}"', '{"a": 1}'),
    ("json", '"[not json"', '"[not json"'),
    ("json", "[]", "[]"),
    ("json", "1.50", "1.50"),
    ("json", "false", "false"),
    ("jsonb", '{"n": 123456789012345678901234567890, "m": 1.10}', '{"m": 1.10, "n": 123456789012345678901234567890}'),
    ("jsonb", '"123"', '"123"'),
    ("jsonb", '"null"', '"null"'),
    ("jsonb[]", '[{"a": 1.0}, [2], "x", null]', '[{"a": 1.0},[2],"x",null]'),
    ("mood", '"ok"', '"ok"'),
    ("mood[]", '["sad", "with \\"quotes\\", and, commas", null]', '["sad","with \\"quotes\\", and, commas",null]'),
    ("positive", "5.0", "5"),
    ("positive[]", "[1, 2]", "[1,2]"),
    ("some_integers", "[1, 2.0]", "[1,2]"),
    ("some_integers[]", "[[1], [2, 3]]", "[[1],[2,3]]"),
    ("integer[]", "[]", "[]"),
    ("integer[]", "[1, null, 3.0]", "[1,null,3]"),
    ("integer[]", "[[1, 2], [3, 4]]", "[[1,2],[3,4]]"),
    ("integer[]", '"{5,6}"', "[5,6]"),
    ("bigint[]", "[9223372036854775807]", "[9223372036854775807]"),
    ("numeric[]", "[1.10, 2]", "[1.10,2]"),
    ("boolean[]", "[true, false]", "[true,false]"),
    ("date[]", '["2024-01-01"]', '["2024-01-01"]'),
    (
        "text[]",
        '["a", "b\\"c", "\\\\", null, "NULL", "", "{}", "a,b", " x "]',
        '["a","b\\"c","\\\\",null,"NULL","","{}","a,b"," x "]',
    ),
]


def echo(owner: psycopg.Connection, type_name: str) -> None:
    owner.execute(TYPES)
    definition = sql.SQL("CREATE FUNCTION echo(p {0}) RETURNS {0} LANGUAGE plpgsql AS 'BEGIN RETURN p; END'")
    owner.execute(definition.format(sql.SQL(type_name)))


@pytest.mark.parametrize(("type_name", "argument", "result"), ROUND_TRIPS)
def test_a_value_is_returned_unchanged(caller, owner, type_name, argument, result):
    echo(owner, type_name)
    assert caller.raw("echo", f"[{argument}]".encode()) == f'[{{"echo":{result}}}]'


def test_null_is_null_for_every_type(caller, owner):
    owner.execute(TYPES)
    for number, type_name in enumerate(sorted({name for name, _, _ in ROUND_TRIPS})):
        name = sql.Identifier(f"echo_{number}")
        owner.execute(
            sql.SQL("CREATE FUNCTION {}(p {}) RETURNS boolean LANGUAGE sql AS 'SELECT p IS NULL'").format(
                name, sql.SQL(type_name)
            )
        )
        assert caller.value(f"echo_{number}", [None]) is True


@pytest.mark.parametrize(
    ("type_name", "argument", "sqlstate"),
    [
        ("integer", "1.5", "22P02"),
        ("integer", '"one"', "22P02"),
        ("integer", "2147483648", "22003"),
        ("integer", "1e1000000000", "22P02"),
        ("smallint", "40000", "22003"),
        ("bigint", "9223372036854775808", "22003"),
        ("integer", "true", "22P02"),
        ("integer", "{}", "22P02"),
        ("integer[]", "5", "22P02"),
        ("integer[]", "[[1], [2, 3]]", "22P02"),
        ("integer[]", '["x"]', "22P02"),
        ("date", '"2023-02-29"', "22008"),
        ("uuid", '"x"', "22P02"),
        ("mood", '"happy"', "22P02"),
        ("positive", "0", "23514"),
        ("some_integers", "[1,2,3,4]", "23514"),
        ("bytea", '"\\\\xzz"', "22023"),
        ("inet", '"300.0.0.1"', "22P02"),
        ("text", '"a\\u0000b"', "22021"),
        ("jsonb", '"\\u0000"', "22P05"),
        ("address", "1", "22P02"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_server_s_message(caller, owner, type_name, argument, sqlstate):
    echo(owner, type_name)
    for _ in range(3):  # also when the statement has been prepared
        with pytest.raises(QueryFailed) as failure:
            caller.rows("echo", f"[{argument}]".encode())
        assert failure.value.facts["sqlstate"] == sqlstate
        assert failure.value.facts["cause"]


@pytest.mark.parametrize(
    ("type_name", "argument", "sqlstate"),
    [
        ("regclass", '"no_such_table"', "42P01"),
        ("regclass", '""', "42602"),
        ("regproc", '"no_such_function"', "42883"),
        ("regtype", '"no_such_type"', "42704"),
        ("anyenum", '"x"', "42883"),
        ("anyrange", '"[1,2)"', "42804"),
    ],
)
def test_a_value_that_is_invalid_for_its_type_is_a_bad_request(caller, owner, type_name, argument, sqlstate):
    echo(owner, type_name)
    for _ in range(3):
        with pytest.raises(InvalidRequest, match="echo") as failure:
            caller.rows("echo", f"[{argument}]".encode())
        assert failure.value.facts["sqlstate"] == sqlstate


@pytest.mark.parametrize("type_name", ["integer[]", "anyelement", "jsonb"])
def test_lists_in_lists_without_end_are_a_bad_request(caller, owner, type_name):
    echo(owner, type_name)
    with pytest.raises(InvalidRequest):
        caller.rows("echo", b"[" * 1000 + b"]" * 1000)


def test_json_in_a_string_has_a_limit_of_values_like_the_body(caller, owner):
    echo(owner, "jsonb")
    with pytest.raises(InvalidRequest, match="send fewer at a time"):
        caller.value("echo", ["[" + "{}," * MAX_VALUES + "{}]"])


def test_objects_become_composites_by_field_name(caller, owner):
    echo(owner, "person")
    value = {
        "extra": {"n": 1},
        "name": 'a "b", (c)\\',
        "lives": {"No": 5, "street": "s, t", "tags": ["x", 'y"z', None]},
        "moods": ["ok", 'with "quotes", and, commas'],
    }
    assert caller.rows("echo", [value]) == [
        {
            "name": 'a "b", (c)\\',
            "lives": {"street": "s, t", "No": 5, "tags": ["x", 'y"z', None], "since": None},
            "moods": ["ok", 'with "quotes", and, commas'],
            "extra": {"n": 1},
        }
    ]


def test_lists_of_objects_become_arrays_of_composites(caller, owner):
    owner.execute(TYPES)
    owner.execute("CREATE FUNCTION list(p item[]) RETURNS SETOF item LANGUAGE sql AS 'SELECT * FROM unnest(p)'")
    assert caller.raw("list", b'[[{"id": 1, "price": 1.5, "sizes": [1, 2]}, {"id": 2.0}]]') == (
        '[{"id":1,"price":1.50,"sizes":[1,2]},{"id":2,"price":null,"sizes":null}]'
    )


def test_an_unknown_field_of_a_composite_is_named(caller, owner):
    echo(owner, "address")
    with pytest.raises(InvalidRequest, match=r"'stret'.*street, No, tags, since"):
        caller.rows("echo", [{"stret": "x"}])


def test_a_field_added_to_a_composite_is_noticed_at_once(caller, owner):
    echo(owner, "address")
    assert caller.rows("echo", [{"street": "x"}])[0]["street"] == "x"
    owner.execute("ALTER TYPE address ADD ATTRIBUTE city text")
    assert caller.rows("echo", [{"street": "x"}])[0]["city"] is None
    assert caller.rows("echo", [{"city": "y"}])[0]["city"] == "y"


def test_a_vector_is_passed_as_a_list(caller, owner):
    owner.execute("CREATE EXTENSION vector")
    owner.execute("CREATE FUNCTION norm(p vector(3)) RETURNS float8 LANGUAGE sql AS 'SELECT vector_norm(p)'")
    assert caller.value("norm", [[3, 4, 0]]) == 5
    assert caller.value("norm", b"[[3.0, 4e0, 0]]") == 5


@pytest.mark.parametrize(
    ("argument", "type_name"),
    [
        ("1", "integer"),
        ("2147483648", "bigint"),
        ("9223372036854775807", "bigint"),
        ("9223372036854775808", "numeric"),
        ("1.0", "numeric"),
        ("true", "boolean"),
        ('"x"', "text"),
        ("null", "text"),
        ('{"a": 1}', "jsonb"),
        ("[1, 2]", "integer[]"),
        ("[1, 2.5]", "numeric[]"),
        ('[1, "x"]', "text[]"),
        ('[{"a": 1}, 2]', "jsonb[]"),
        ("[[1], [2]]", "integer[]"),
        ("[]", "text[]"),
    ],
)
def test_a_parameter_of_any_type_takes_the_value_s_own(caller, owner, argument, type_name):
    owner.execute("CREATE FUNCTION kind(p anyelement) RETURNS text LANGUAGE sql AS 'SELECT pg_typeof(p)::text'")
    assert caller.value("kind", f"[{argument}]".encode()) == type_name


def test_polymorphic_parameters_of_one_call_agree(caller, owner):
    owner.execute("CREATE FUNCTION add(p anyarray, e anyelement) RETURNS anyarray LANGUAGE sql AS 'SELECT p || e'")
    assert caller.raw("add", b"[[1, 2], 3.50]") == '[{"add":[1,2,3.50]}]'
    assert caller.value("add", [["a"], "b"]) == ["a", "b"]
    assert caller.value("add", [[1], None]) == [1, None]

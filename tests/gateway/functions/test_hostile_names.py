"""No name in a schema can conflict with a name in the gateway's own statements."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import sql

#: The names and aliases of the statements, of PostgreSQL's own columns and keywords, and what is awkward to quote.
NAMES = [
    *("r", "s", "j", "v", "q", "e", "t", "row", "rows", "value", "values", "excluded", "old", "new", "oid", "limit"),
    *("j.s", "r.*", "$1", "$2", "?", "%s", "%", "{0}", "*", 'a"b', '"', "a'b", "a\\b", " ", "é", "名前", "\U0001f600"),
    *(
        "ctid",
        "xmin",
        "tableoid",
        "function",
        "public",
        "pg_catalog",
        "row_to_json",
        "true",
        "null",
        "x" * 63,
        "é" * 31,
    ),
    *("a\nb", "-- x", "/* x */", ";", "E'x'", "$$", "to_regproc", "convert_to", "octet_length", "current_setting"),
]
EXAMPLE = {"street": "s", "n": 2}


def quoted(text: str, *names: str) -> sql.Composed:
    """*text* with each ``{}`` as one of the names, quoted."""
    return sql.SQL(text).format(*map(sql.Identifier, names))


@pytest.fixture
def create(caller, owner: psycopg.Connection):
    owner.execute("CREATE TYPE addr AS (street text, n integer); CREATE TYPE empty AS ()")
    owner.execute("CREATE DOMAIN home AS addr CHECK ((VALUE).n > 0)")

    def create(text: str, *names: str) -> None:
        owner.execute(quoted(text, *names).as_bytes(None))

    return create


@pytest.mark.parametrize(
    ("kind", "literal", "value"),
    [
        ("integer", "7", 7),
        ("xid8", "'7'", "7"),
        ("json", """'{"street":"s","n":2}'""", EXAMPLE),
        ("addr", "ROW('s', 2)", EXAMPLE),
        ("home", "ROW('s', 2)", EXAMPLE),
        ("addr[]", "ARRAY[ROW('s', 2)::addr]", [EXAMPLE]),
        ("int4range", "'[1,5)'", "[1,5)"),
        ("int4multirange", "'{[1,5)}'", "{[1,5)}"),
    ],
)
def test_a_column_of_any_type_may_have_any_name(caller, create, kind, literal, value):
    result = literal.replace("{", "{{").replace("}", "}}")
    for number, name in enumerate(NAMES):
        create(
            f"CREATE FUNCTION f{number}() RETURNS TABLE (zn integer, {{}} {kind}, zz text) LANGUAGE sql "
            f"AS $f$ SELECT 1, CAST({result} AS {kind}), 'z' $f$",
            name,
        )
    for number, name in enumerate(NAMES):
        assert caller.rows(f"f{number}") == [{"zn": 1, name: value, "zz": "z"}], name


def test_all_names_in_one_row(caller, create):
    columns = ", ".join("{} integer" for _ in NAMES)
    numbers = ", ".join(map(str, range(len(NAMES))))
    create(f"CREATE FUNCTION all_names() RETURNS TABLE ({columns}) LANGUAGE sql AS $f$ SELECT {numbers} $f$", *NAMES)
    (row,) = caller.rows("all_names")
    assert list(row.items()) == [(name, number) for number, name in enumerate(NAMES)]


def test_functions_may_have_any_name(caller, create):
    for name in NAMES:
        create("CREATE FUNCTION {}() RETURNS integer LANGUAGE sql AS 'SELECT 7'", name)
        create("CREATE FUNCTION {}(integer, text) RETURNS SETOF text LANGUAGE sql AS 'VALUES ($2), ($2)'", name)
        create("CREATE FUNCTION {}(text, text, text) RETURNS void LANGUAGE sql AS ''", name)
    for name in NAMES:
        assert caller.rows(name) == [{name: 7}]
        assert caller.rows(name, [1, "x"]) == [{name: "x"}, {name: "x"}]
        assert caller.rows(name, ["x", "y", "z"]) == [{name: None}]


def test_types_tables_and_parameters_may_have_any_name(caller, create):
    names = [name for name in NAMES if name not in ("ctid", "xmin", "tableoid")]  # PostgreSQL's own columns of tables
    for number, name in enumerate(names):
        for text in (
            "CREATE TABLE public.{0} ({0} int, r_ addr)",
            "INSERT INTO public.{0} VALUES (1, ROW('s', 2))",
            "CREATE FUNCTION whole{1}() RETURNS SETOF public.{0} LANGUAGE sql AS $f$ SELECT * FROM public.{0} $f$",
            "CREATE FUNCTION take{1}({0} public.{0}) RETURNS public.{0} LANGUAGE sql AS 'SELECT $1'",
            "CREATE FUNCTION give{1}(OUT {0} int, OUT r_ addr) LANGUAGE sql AS $f$ SELECT 1, ROW('s', 2)::addr $f$",
            "CREATE FUNCTION one{1}(INOUT {0} int4range) LANGUAGE sql AS 'SELECT $1'",
            "CREATE FUNCTION sum{1}(VARIADIC {0} int[]) RETURNS int8 LANGUAGE sql AS 'SELECT sum(x) FROM unnest($1) x'",
            "CREATE PROCEDURE proc{1}(INOUT {0} int, OUT r_ addr) LANGUAGE sql AS $f$ SELECT $1, ROW('s', 2)::addr $f$",
        ):
            create(text.replace("{1}", str(number)).replace("{0}", "{}"), *[name] * text.count("{0}"))
    for number, name in enumerate(names):
        whole = {name: 1, "r_": EXAMPLE}
        assert caller.rows(f"whole{number}") == [whole]
        assert caller.rows(f"take{number}", [whole]) == [whole]
        assert caller.rows(f"take{number}", {name: whole}) == [whole]
        assert caller.rows(f"give{number}") == [whole]
        assert caller.rows(f"one{number}", {name: "[1,5)"}) == [{name: "[1,5)"}]
        assert caller.value(f"sum{number}", [1, 2, 3]) == 6
        assert caller.value(f"sum{number}", {name: [1, 2]}) == 3
        assert caller.rows(f"proc{number}", [1]) == [whole]
        assert caller.rows(f"proc{number}", {name: 1}) == [whole]


def test_records_and_rows_without_columns(caller, create):
    create("CREATE FUNCTION rec() RETURNS record LANGUAGE sql AS $$ SELECT 1 AS r, ROW('s', 2)::addr AS v, 3 AS r $$")
    create("CREATE FUNCTION nothing() RETURNS empty LANGUAGE sql AS 'SELECT ROW()::empty'")
    create("CREATE FUNCTION nothings() RETURNS SETOF empty LANGUAGE sql AS 'VALUES (ROW()::empty), (ROW()::empty)'")
    create("CREATE FUNCTION at_home() RETURNS home LANGUAGE sql AS $$ SELECT ROW('s', 2)::home $$")
    create("CREATE FUNCTION homes() RETURNS SETOF home LANGUAGE sql AS $$ SELECT ROW('s', 2)::home $$")
    assert caller.raw("rec") == '[{"r":1,"v":{"street":"s","n":2},"r":3}]'
    assert caller.rows("nothing") == [{}]
    assert caller.rows("nothings") == [{}, {}]
    assert caller.rows("at_home") == [EXAMPLE]
    assert caller.rows("homes") == [EXAMPLE]


OPERATORS = """
CREATE FUNCTION wrong(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT NULL::boolean';
CREATE FUNCTION wrong(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION wrong(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION wrong(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION wrong("char", "char") RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION wrong(double precision, integer) RETURNS double precision LANGUAGE sql AS 'SELECT 0::float8';
CREATE FUNCTION wrong(integer, double precision) RETURNS double precision LANGUAGE sql AS 'SELECT 0::float8';
CREATE FUNCTION wrong(oid[], oid[]) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR <= (FUNCTION = wrong, LEFTARG = integer, RIGHTARG = integer);
CREATE OPERATOR = (FUNCTION = wrong, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR = (FUNCTION = wrong, LEFTARG = oid[], RIGHTARG = oid[]);
CREATE OPERATOR = (FUNCTION = wrong, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR = (FUNCTION = wrong, LEFTARG = name, RIGHTARG = name);
CREATE OPERATOR = (FUNCTION = wrong, LEFTARG = "char", RIGHTARG = "char");
CREATE OPERATOR * (FUNCTION = wrong, LEFTARG = integer, RIGHTARG = double precision);
CREATE FUNCTION row_to_json(record) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RETURN '{"wrong": 1}'; END $$;
CREATE FUNCTION convert_to(text, name) RETURNS bytea LANGUAGE sql AS $$ SELECT 'wrong'::bytea $$;
CREATE FUNCTION octet_length(text) RETURNS integer LANGUAGE sql AS 'SELECT 2000000000';
CREATE DOMAIN public.bool AS text; CREATE DOMAIN public.text AS pg_catalog.int4;
CREATE DOMAIN public.oid AS pg_catalog.text;
CREATE DOMAIN public.int8 AS pg_catalog.text; CREATE DOMAIN public.interval AS pg_catalog.text;
CREATE TABLE pg_proc (oid pg_catalog.int4); CREATE TABLE pg_type (oid pg_catalog.int4);
CREATE FUNCTION twice(a addr) RETURNS addr LANGUAGE plpgsql SET statement_timeout = '2s' AS
    'BEGIN RETURN a; END';
CREATE FUNCTION twice(a pg_catalog.int4) RETURNS pg_catalog.int4 LANGUAGE plpgsql AS $$ BEGIN RETURN 2; END $$;
CREATE FUNCTION slow() RETURNS void LANGUAGE plpgsql SET statement_timeout = '100ms' AS
    'BEGIN PERFORM pg_sleep(60); END';
"""


def test_functions_types_and_operators_that_a_search_path_puts_in_front(caller, create, owner):
    """ALTER DATABASE … SET search_path may put public before pg_catalog."""
    from gateway.errors import QueryTimeout

    owner.execute(OPERATORS.encode())
    owner.execute(quoted("ALTER DATABASE {} SET search_path = public, pg_catalog", owner.info.dbname).as_bytes(None))
    for _ in range(3):
        assert caller.rows("twice", [EXAMPLE]) == [EXAMPLE]
        assert caller.rows("twice", [1]) == [{"twice": 2}]
        with pytest.raises(QueryTimeout):
            caller.rows("slow")


def test_the_example_with_ranges_and_composites_in_columns_called_r(caller, create):
    create(
        "CREATE FUNCTION two() RETURNS TABLE (zn numeric, r int4range) LANGUAGE sql AS 'VALUES (1.5, int4range(1, 5))'"
    )
    create(
        "CREATE FUNCTION three() RETURNS TABLE (id integer, r addr) LANGUAGE sql AS $$ SELECT 1, ROW('s', 2)::addr $$"
    )
    assert caller.raw("two") == '[{"zn":1.5,"r":"[1,5)"}]'
    assert json.loads(caller.raw("three")) == [{"id": 1, "r": EXAMPLE}]


def test_a_procedure_s_outputs_may_have_any_names(caller, create):
    outputs = ", ".join("OUT {} integer" for _ in NAMES)
    numbers = ", ".join(map(str, range(len(NAMES))))
    create(f"CREATE PROCEDURE p({outputs}) LANGUAGE sql AS $f$ SELECT {numbers} $f$", *NAMES)
    (row,) = caller.rows("p")
    assert list(row.items()) == [(name, number) for number, name in enumerate(NAMES)]

"""Functions that work against the gateway's own statements and connection: nothing of it reaches a later call."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.api.errors import status_of
from gateway.errors import GatewayError, QueryFailed
from gateway.functions.call_session import session_of


@pytest.fixture
def conninfo(make_database: Callable[[], str], superuser_url: str) -> str:
    """A caller as superuser: only then functions have these privileges."""
    return make_conninfo(superuser_url, dbname=conninfo_to_dict(make_database())["dbname"])


REPLACE = """
CREATE FUNCTION honest(a integer) RETURNS TABLE (answer integer, word text) LANGUAGE sql AS $$ SELECT $1, 'honest' $$;
CREATE FUNCTION scalar() RETURNS text LANGUAGE sql AS $$ SELECT 'honest' $$;

-- Replaces every statement that the session has prepared by one of its own, of the same name and parameters.
CREATE FUNCTION replace_all() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one record;
    replaced integer := 0;
BEGIN
    FOR one IN SELECT name, array_to_string(parameter_types::text[], ', ') AS types FROM pg_prepared_statements LOOP
        EXECUTE 'DEALL' || 'OCATE ' || quote_ident(one.name);
        EXECUTE format('PRE' || 'PARE %I%s AS SELECT convert_to(''{"answer":0,"word":"wrong"}'', ''UTF8'')',
                       one.name, CASE WHEN one.types <> '' THEN '(' || one.types || ')' END);
        replaced := replaced + 1;
    END LOOP;
    RETURN replaced;
END $$;
CREATE FUNCTION replace_and_fail() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM replace_all();
    RAISE EXCEPTION 'replaced';
END $$;
CREATE PROCEDURE replace_and_commit() LANGUAGE plpgsql AS $$ BEGIN COMMIT; PERFORM replace_all(); COMMIT; END $$;
CREATE FUNCTION replace_in_sql() RETURNS SETOF integer LANGUAGE sql AS 'SELECT replace_all()';
CREATE FUNCTION deallocate_all() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'DEALLOCATE ALL';
    RETURN 1;
END $$;
"""


@pytest.mark.parametrize(
    "replace", ["replace_all", "replace_and_fail", "replace_and_commit", "replace_in_sql", "deallocate_all"]
)
def test_a_function_cannot_replace_the_statements_of_later_calls(caller, owner, replace):
    owner.execute(REPLACE.encode())
    for _ in range(3):
        for _ in range(3):  # prepared from the second use on
            assert caller.rows("honest", [7]) == [{"answer": 7, "word": "honest"}]
            assert caller.rows("scalar") == [{"scalar": "honest"}]
        assert [name for name in session_of(caller.registry.connection)._prepared.values() if name]
        for _ in range(3):
            try:
                caller.rows(replace)
            except GatewayError as failure:
                assert (replace, failure.facts["cause"]) == ("replace_and_fail", "replaced")


def test_the_replacing_function_does_replace(caller, owner):
    """The test above would pass with a function that does nothing."""
    owner.execute(REPLACE.encode())
    for _ in range(3):
        caller.rows("scalar")
    assert caller.value("replace_all") > 0


ENCODINGS = [
    "LATIN1",
    "LATIN9",
    "SQL_ASCII",
    "SJIS",
    "BIG5",
    "GBK",
    "GB18030",
    "EUC_JP",
    "UHC",
    "WIN1252",
    "KOI8R",
    "UTF8",
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_answer_is_utf_8_in_every_client_encoding(caller, owner, encoding):
    text = sql.SQL("""
        CREATE FUNCTION as_text() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('client_encoding', {encoding}, false);
            RETURN 'é表ソ\\"ñ';
        END $$;
        CREATE FUNCTION as_rows() RETURNS TABLE ("é" text, "表\\" text) LANGUAGE plpgsql AS $$
        BEGIN
            RETURN QUERY SELECT 'é', '表' FROM generate_series(1, 30);
            PERFORM set_config('client_encoding', {encoding}, false);
        END $$;
        CREATE PROCEDURE as_output(OUT a text, OUT "b""c" text) LANGUAGE plpgsql AS $$
        BEGIN
            a := 'a'; "b""c" := 'plain "text" \\';
            PERFORM set_config('client_encoding', {encoding}, false);
        END $$;
        CREATE FUNCTION as_error() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('client_encoding', {encoding}, false);
            RAISE EXCEPTION 'é表';
        END $$;
        CREATE FUNCTION echo(a text) RETURNS text LANGUAGE sql AS 'SELECT $1';
    """).format(encoding=sql.Literal(encoding))
    owner.execute(text.as_bytes(None))
    for _ in range(3):
        assert caller.value("as_text") == 'é表ソ\\"ñ'
        assert caller.rows("as_rows") == [{"é": "é", "表\\": "表"}] * 30
        assert caller.rows("as_output") == [{"a": "a", 'b"c': 'plain "text" \\'}]
        with pytest.raises(QueryFailed) as failure:
            caller.rows("as_error")
        json.dumps(failure.value.facts).encode()
        assert caller.value("echo", ["é表"]) == "é表"


def test_a_procedure_that_leaves_another_encoding_is_answered_or_refused(caller, owner):
    owner.execute("""
        CREATE PROCEDURE p(INOUT "é" text) LANGUAGE plpgsql AS $$ BEGIN SET client_encoding = 'LATIN1'; END $$
    """)
    for _ in range(3):
        assert caller.rows("p", ["ñ"]) == [{"é": "ñ"}]
        with pytest.raises(QueryFailed, match="has no equivalent in encoding"):
            caller.rows("p", ["表"])


SETTINGS = {
    "client_encoding": "'LATIN1'",
    "standard_conforming_strings": "off",
    "bytea_output": "'escape'",
    "DateStyle": "'German, DMY'",
    "IntervalStyle": "'iso_8601'",
    "TimeZone": "'Asia/Tokyo'",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "log_parameter_max_length_on_error": "-1",
    "plan_cache_mode": "force_generic_plan",
    "row_security": "off",
    "statement_timeout": "2000",
    "lock_timeout": "1",
    "client_min_messages": "debug5",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "session_replication_role": "'replica'",
    "search_path": "pg_temp, pg_catalog",
    "check_function_bodies": "off",
    "escape_string_warning": "off",
}
PROBES = """
CREATE FUNCTION public.settings() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE name !~ '^transaction|^plpgsql'
$$;
CREATE FUNCTION public.shown(OUT at timestamptz, OUT day date, OUT long interval, OUT bytes bytea, OUT number float8,
                             OUT list text[], OUT text text)
LANGUAGE sql AS $f$
    SELECT '2024-02-03 04:05:06Z'::timestamptz, '2024-02-03'::date, '1 day 02:03:04'::interval, '\\x00ff'::bytea,
           0.1::float8 + 0.2::float8, ARRAY['a', NULL], $$é'\\$$
$f$;
CREATE FUNCTION public.taken(list text[], number integer, at timestamptz) RETURNS jsonb LANGUAGE sql
AS $$ SELECT to_jsonb(ARRAY[list[2] IS NULL, at = '2024-02-03 04:05:06Z'::timestamptz]) $$;
CREATE FUNCTION public.taken(list text[], number text) RETURNS text LANGUAGE sql AS 'SELECT number';
CREATE FUNCTION public."it's \\ one"() RETURNS integer LANGUAGE sql AS 'SELECT 1';
"""
SHOWN = {
    "at": "2024-02-03T04:05:06+00:00",
    "day": "2024-02-03",
    "long": "1 day 02:03:04",
    "bytes": "\\x00ff",
    "number": 0.30000000000000004,
    "list": ["a", None],
    "text": "é'\\",
}


def check_calls(caller) -> None:
    assert caller.rows("shown") == [SHOWN]
    assert caller.value("taken", [["a", None], 1, "2024-02-03T04:05:06Z"]) == [True, True]
    assert caller.value("taken", [["a", None], "x"]) == "x"
    assert caller.value("it's \\ one") == 1
    with pytest.raises(QueryFailed) as failure:
        caller.rows("taken", [["a"], "no\nnumber", "2024-02-03"])
    assert failure.value.facts["sqlstate"] == "22P02"


def test_what_a_function_sets_is_reset_before_the_next_call(caller, owner):
    owner.execute(PROBES)
    fresh = caller.value("settings")
    for name, value in SETTINGS.items():
        setting = sql.SQL("SET {} = {}").format(sql.SQL(name), sql.SQL(value))
        owner.execute(
            sql.SQL("""
                CREATE OR REPLACE FUNCTION setting() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {setting}; END $$;
                CREATE OR REPLACE PROCEDURE committed() LANGUAGE plpgsql AS $$ BEGIN {setting}; COMMIT; END $$;
                DROP FUNCTION IF EXISTS "in its own";
                CREATE FUNCTION "in its own"() RETURNS integer LANGUAGE sql {setting} AS 'SELECT 1';
            """)
            .format(setting=setting)
            .as_bytes(None)
        )
        for change in ("setting", "committed", "in its own"):
            caller.rows(change)
            assert caller.value("settings") == fresh, name
            check_calls(caller)


def test_what_the_database_and_the_role_set_holds_for_functions_and_not_for_the_gateway(caller, owner):
    owner.execute(PROBES)
    database = sql.Identifier(owner.info.dbname)
    timeouts = ("statement_timeout", "lock_timeout", "session_replication_role", "search_path")
    for name in [name for name in SETTINGS if name not in timeouts]:
        change = sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.SQL(name), sql.SQL(SETTINGS[name]))
        owner.execute(change.as_bytes(None))
    check_calls(caller)
    assert caller.value("settings")["plan_cache_mode"] == "force_generic_plan"
    check_calls(caller)


def test_the_role_that_the_database_sets_comes_back(caller, owner):
    roles = [f"{owner.info.dbname}_{number}" for number in range(2)]
    for role in roles:
        owner.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    try:
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET role = {}").format(sql.Identifier(owner.info.dbname), sql.Literal(roles[0]))
        )
        owner.execute("CREATE FUNCTION whoami() RETURNS text LANGUAGE sql AS 'SELECT current_user::text'")
        owner.execute(
            "CREATE FUNCTION become(who text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('role', who, false) $$"
        )
        owner.execute(
            "CREATE FUNCTION log_in() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET SESSION AUTHORIZATION DEFAULT; END'"
        )
        for change in (("become", [roles[1]]), ("become", ["none"]), ("log_in", [])):
            assert caller.value("whoami") == roles[0]
            caller.rows(*change)
            assert caller.value("whoami") == roles[0]
    finally:
        caller.registry.close()
        owner.execute(sql.SQL("ALTER DATABASE {} RESET role").format(sql.Identifier(owner.info.dbname)))
        for role in roles:
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


DBLINK = """
CREATE SCHEMA "ext ""ension";
CREATE EXTENSION dblink SCHEMA "ext ""ension";
CREATE FUNCTION open_named(conninfo text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    PERFORM "ext ""ension".dblink_connect('one', conninfo), "ext ""ension".dblink_connect('two''s', conninfo);
    RETURN 'open';
END $$;
CREATE FUNCTION open_unnamed(conninfo text) RETURNS text LANGUAGE sql AS $$ SELECT "ext ""ension".dblink_connect($1) $$;
CREATE FUNCTION connections() RETURNS text[] LANGUAGE sql AS $$ SELECT "ext ""ension".dblink_get_connections() $$;
CREATE FUNCTION use_unnamed() RETURNS text LANGUAGE sql
AS $$ SELECT * FROM "ext ""ension".dblink('SELECT 1') AS f (one text) $$;
"""


def test_dblink_connections_end_with_the_call(caller, owner):
    owner.execute(DBLINK)
    for _ in range(3):
        for opening in ("open_named", "open_unnamed"):
            assert caller.value(opening, [owner.info.dsn])
            assert caller.value("connections") is None
            with pytest.raises(QueryFailed):
                caller.rows("use_unnamed")
            assert caller.value("connections") is None


def test_an_error_inside_a_function_is_not_taken_for_one_in_the_values(caller, owner):
    """Neither an inlined function's, which has no context, nor one of a function whose name looks like a parameter."""
    owner.execute("""
        CREATE FUNCTION inlined() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('no.such') $$;
        CREATE FUNCTION "f$1"() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN current_setting('no.such'); END $$;
        CREATE FUNCTION "unnamed portal parameter $1"() RETURNS text LANGUAGE sql
        AS $$ SELECT current_setting('no.such') FROM (VALUES (1), (2)) x LIMIT 1 $$;
    """)
    for name in ("inlined", "f$1", "unnamed portal parameter $1"):
        with pytest.raises(QueryFailed) as failure:
            caller.rows(name)
        assert failure.value.facts["sqlstate"] == "42704"


@pytest.mark.parametrize(
    ("kind", "value", "sqlstate"),
    [
        ("integer[]", "{{{{{{{1}}}}}}}", "54000"),
        ("regclass", "no_such.relation", "42P01"),
        ("regclass", "", "42602"),
        ("regproc", "no_such.function", "42883"),
        ("regtype", "no_such.type", "3F000"),
        ("regrole", "no_such_role", "42704"),
        ("strict", "x", "23505"),
        ("picky", "x", "XX001"),
        ("short", "xyz", "23514"),
    ],
)
def test_a_value_that_its_type_refuses_is_a_bad_request_for_every_sqlstate(caller, owner, kind, value, sqlstate):
    owner.execute("""
        CREATE FUNCTION refuse(text, state text) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = state;
        END $$;
        CREATE DOMAIN strict AS text CHECK (refuse(VALUE, '23505'));
        CREATE DOMAIN picky AS text CHECK (refuse(VALUE, 'XX001'));
        CREATE DOMAIN short AS text CHECK (length(VALUE) < 3);
    """)
    owner.execute(f"CREATE FUNCTION take(a {kind}) RETURNS text LANGUAGE sql AS 'SELECT $1::text'".encode())
    for _ in range(3):
        with pytest.raises(GatewayError) as failure:
            caller.rows("take", [value])
        assert status_of(failure.value) == 400
        assert failure.value.facts["sqlstate"] == sqlstate
        assert failure.value.facts["cause"]

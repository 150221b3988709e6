"""What may be called, and that everything else looks absent."""

from __future__ import annotations

import psycopg
import pytest

from gateway.errors import FunctionNotFound

OWN = """
CREATE EXTENSION vector;
CREATE FUNCTION on_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION _stonescriptdb_gateway_secret() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wants_text_of_c(cstring) RETURNS integer LANGUAGE internal AS 'int4in';
CREATE FUNCTION gives_text_of_c(integer) RETURNS cstring LANGUAGE internal AS 'int4out';
CREATE FUNCTION handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE AGGREGATE all_of(integer) (SFUNC = int4pl, STYPE = integer);
CREATE FUNCTION answer() RETURNS integer LANGUAGE sql AS 'SELECT 42';
"""


def names_on(connection: psycopg.Connection) -> list[tuple[str, str]]:
    query = "SELECT nspname, proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace GROUP BY 1, 2"
    return connection.execute(query).fetchall()


def callable_among(caller, names) -> set[str]:
    from gateway.functions.call_session import session_of
    from gateway.functions.signatures import read_routine

    with caller.registry.lease("tests") as connection:
        session = session_of(connection)
        return {name for name in names if read_routine(session, name, ("public",)) is not None}


def test_of_everything_the_database_has_only_the_application_s_own_may_be_called(caller, administrator):
    administrator.execute(OWN)
    found = names_on(administrator)
    assert len(found) > 2500
    assert {"public"} < {schema for schema, _ in found}
    assert ("public", "vector_norm") in found
    spellings = {spelling for schema, name in found for spelling in (name, f"{schema}.{name}", name.upper())}
    assert callable_among(caller, spellings) == {"answer", "public.answer", "ANSWER"}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pg_sleep", [1]),
        ("pg_catalog.pg_sleep", [1]),
        ("query_to_xml", ["SELECT 1", True, False, ""]),
        ("set_config", ["work_mem", "1MB", False]),
        ("pg_read_file", ["/etc/passwd"]),
        ("pg_terminate_backend", [1]),
        ("generate_series", [1, 2]),
        ("dblink", ["", ""]),
        ("on_change", []),
        ("on_ddl", []),
        ("all_of", [1]),
        ("vector_norm", [[1, 2]]),
        ("_stonescriptdb_gateway_secret", []),
        ("now", []),
        ("row_number", []),
        ("information_schema._pg_truetypid", []),
        ("no_such_function", []),
    ],
)
def test_hidden_and_missing_functions_look_alike(caller, administrator, name, params):
    administrator.execute(OWN)
    with pytest.raises(FunctionNotFound) as failure:
        caller.rows(name, params)
    assert failure.value.message == f"no function {name!r} may be called here"
    assert failure.value.facts == {"function": name}


def test_a_function_beside_a_hidden_one_of_its_name_may_be_called(caller, owner, administrator):
    administrator.execute(OWN)
    owner.execute("CREATE FUNCTION vector_norm(p text) RETURNS text LANGUAGE sql AS 'SELECT p'")
    for _ in range(3):
        assert caller.value("vector_norm", ["[1,2]"]) == "[1,2]"


def test_a_function_that_joins_an_extension_stops_being_callable(caller, owner, administrator):
    administrator.execute(OWN)
    administrator.execute("ALTER EXTENSION vector ADD FUNCTION answer()")
    with pytest.raises(FunctionNotFound):
        caller.rows("answer")


def test_every_pseudo_type_of_the_server_is_known(owner):
    from gateway.functions.signatures import NOT_FOR_CLIENTS, RECORD, VOID
    from gateway.functions.value_types import POLYMORPHIC

    found = {oid for (oid,) in owner.execute("SELECT oid::integer FROM pg_type WHERE typtype = 'p'")}
    assert found | {1263} == NOT_FOR_CLIENTS | POLYMORPHIC | {RECORD, VOID}

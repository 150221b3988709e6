"""Databases that something else has made: an earlier gateway, or a person; and tracking tables that were damaged."""

from __future__ import annotations

import hashlib

import pytest

from migrations_engine import MigrationFailed

TABLE = "CREATE TABLE users (id serial PRIMARY KEY, name text);"
ROW = "INSERT INTO users (name) VALUES ('first');"
FILES = {
    "types/mood.pssql": "CREATE TYPE mood AS ENUM ('ok');",
    "tables/users.pssql": TABLE,
    "migrations/001_users.pssql": TABLE,
    "migrations/002_first.pssql": ROW,
    "functions/find.pssql": "CREATE FUNCTION find(p int) RETURNS text LANGUAGE sql AS 'SELECT name FROM users';",
}

#: The tables as an earlier gateway made them: the columns that are read of them, and none of ours.
EARLIER = """
    CREATE TABLE _stonescriptdb_gateway_migrations (
        id serial PRIMARY KEY, migration_file text NOT NULL UNIQUE, checksum text NOT NULL, applied_at timestamptz);
    CREATE TABLE _stonescriptdb_gateway_types (
        id serial PRIMARY KEY, type_name text NOT NULL UNIQUE, type_kind text NOT NULL, checksum text NOT NULL,
        source_file text, deployed_at timestamptz);
    CREATE TABLE _stonescriptdb_gateway_functions (
        id serial PRIMARY KEY, function_name text NOT NULL, signature text NOT NULL, param_types text[] NOT NULL,
        return_type text NOT NULL, body_checksum text NOT NULL, source_file text NOT NULL, deployed_at timestamptz,
        UNIQUE (function_name, param_types));
    CREATE TABLE _stonescriptdb_gateway_changelog (
        id serial PRIMARY KEY, change_type text NOT NULL, object_name text NOT NULL, change_detail jsonb,
        forced boolean, executed_at timestamptz);
    CREATE TABLE _stonescriptdb_gateway_tables (
        id serial PRIMARY KEY, table_name text NOT NULL UNIQUE, checksum text NOT NULL, source_file text NOT NULL,
        deployed_at timestamptz);
"""


def earlier_gateway(tenant, *applied: str) -> None:
    tenant.execute(EARLIER + TABLE + ROW)
    tenant.execute("CREATE TYPE mood AS ENUM ('ok')")
    for name, returns in (("find", "text"), ("gone", "int")):
        tenant.execute(f"CREATE FUNCTION {name}(p int) RETURNS {returns} LANGUAGE sql AS 'SELECT NULL::{returns}'")
        tenant.execute(
            "INSERT INTO _stonescriptdb_gateway_functions"
            " (function_name, signature, param_types, return_type, body_checksum, source_file)"
            f" VALUES ('{name}', '{name}(p INT)', '{{INT}}', 'INT', 'c0ffee', '{name}.pssql')"
        )
    for file in applied:
        checksum = hashlib.sha256(FILES[f"migrations/{file}"].encode()).hexdigest()
        tenant.execute(
            f"INSERT INTO _stonescriptdb_gateway_migrations (migration_file, checksum) VALUES ('{file}', '{checksum}')"
        )


def test_migrations_an_earlier_gateway_applied_do_not_run_again(tenant):
    earlier_gateway(tenant, "001_users.pssql", "002_first.pssql")
    report = tenant.register(FILES)
    assert (report.migrations_applied, report.tables_created, report.types_deployed) == (0, 0, 0)
    assert (report.functions_deployed, report.functions_updated) == (1, 1)
    assert report.schema_validation.is_empty
    assert tenant.rows("SELECT name, find(1) FROM users") == [("first", "first")]
    again = tenant.migrate(FILES)
    assert (again.functions_skipped, again.warnings) == (1, ())


def test_a_migration_it_had_not_applied_runs(tenant):
    earlier_gateway(tenant, "001_users.pssql")
    assert tenant.migrate(FILES).migrations_applied == 1
    assert tenant.rows("SELECT name FROM users") == [("first",), ("first",)]


def test_its_changed_migration_is_refused(tenant):
    earlier_gateway(tenant, "001_users.pssql", "002_first.pssql")
    with pytest.raises(MigrationFailed, match=r"002_first\.pssql has changed since it was applied"):
        tenant.register(FILES | {"migrations/002_first.pssql": ROW + ROW})


def test_its_functions_without_a_file_stay_and_are_named(tenant):
    earlier_gateway(tenant, "001_users.pssql", "002_first.pssql")
    [warning] = tenant.register(FILES).warnings
    assert warning.endswith("left in place: public.gone(integer)")
    assert tenant.rows("SELECT function_name FROM _stonescriptdb_gateway_functions") == [("find",)]


@pytest.mark.parametrize("table", ["migrations", "types", "functions", "changelog", "tables"])
def test_a_lost_tracking_table_is_made_again(tenant, table):
    files = {label: text for label, text in FILES.items() if "002" not in label}
    tenant.register(files)
    tenant.execute(f"DROP TABLE _stonescriptdb_gateway_{table}")
    report = tenant.migrate(files)
    assert report.schema_validation.is_empty
    assert report.functions_deployed == 1
    assert tenant.migrate(files).migrations_applied == 0


def test_what_was_made_by_hand_is_named_once(tenant):
    tenant.execute("CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE own (a int)")
    tenant.execute("CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    adding = {"migrations/001.pssql": "ALTER TABLE t ADD a int;"}
    report = tenant.register({"tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a int);"} | adding, force=True)
    assert len(report.satisfied_statements) == 1
    assert sorted(text.partition(" ")[0] for text in report.differences) == ["own", "public.own():", "t.a"]
    assert [text for text in report.warnings if "own" in text] == []
    assert any(text.startswith("not as the migrations make it in a new database: t.a") for text in report.warnings)

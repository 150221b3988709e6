"""A platform's usual life: registered, registered again, migrated, changed, and mistaken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from migrations_engine import EngineError, MigrationFailed
from migrations_engine.catalog import read_mark
from tests.support.structure import structure_of

SHOP = {
    "tables/users.pssql": "CREATE TABLE users (id SERIAL PRIMARY KEY, name TEXT NOT NULL);",
    "tables/orders.pssql": "CREATE TABLE orders (id SERIAL PRIMARY KEY, user_id INT REFERENCES users(id));",
    "functions/count_users.pssql": (
        "CREATE OR REPLACE FUNCTION count_users() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM users $$;"
    ),
}

ALL_FOLDERS = {
    "extensions/plpgsql.sql": "-- the language of functions",
    "types/mood.pssql": "CREATE TYPE mood AS ENUM ('sad', 'ok');",
    "types/email.pssql": "CREATE DOMAIN email AS text CHECK (VALUE ~ '@');",
    "tables/people.pssql": "CREATE TABLE people (id int PRIMARY KEY, mood mood DEFAULT 'ok', mail email);",
    "migrations/001_index.pssql": "CREATE INDEX people_mood ON people (mood);",
    "functions/moods.pssql": "CREATE FUNCTION moods() RETURNS SETOF mood LANGUAGE sql AS 'SELECT mood FROM people';",
    "seeders/people.pssql": "INSERT INTO people (id, mail) VALUES (1, 'a@b'), (2, 'c@d');",
}


def test_an_unchanged_deploy_stores_the_mark_for_the_next_one(tenant):
    schema = {"tables/t.sql": "CREATE TABLE t (id int)"}
    tenant.register(schema)
    tenant.execute("TRUNCATE t")  # assigns another file to it, and so changes the catalog
    assert tenant.migrate(schema).migrations_applied == 0
    with psycopg.connect(tenant.conninfo) as connection:
        mark = read_mark(connection)
    assert tenant.rows("SELECT definition -> 'mark' FROM _stonescriptdb_gateway_tables WHERE table_name = '*'") == [
        (mark,)
    ]


def test_a_second_deploy_of_the_same_schema_does_nothing(tenant):
    first = tenant.register(SHOP)
    assert (first.tables_created, first.functions_deployed, first.functions_updated) == (2, 1, 1)
    for again in (tenant.register(SHOP), tenant.migrate(SHOP), tenant.migrate(SHOP)):
        assert again.schema_validation.is_empty
        assert (again.tables_created, again.functions_updated, again.functions_dropped) == (0, 0, 0)
        assert (again.functions_deployed, again.functions_skipped) == (1, 1)
        assert again.verification.passed


def test_every_folder_is_deployed(tenant):
    report = tenant.register(ALL_FOLDERS)
    assert report.types_deployed == 2
    assert report.tables_created == 1
    assert report.migrations_applied == 1
    assert [(s.table, s.inserted, s.skipped) for s in report.seeders] == [("people", 2, 0)]
    assert tenant.rows("SELECT * FROM moods()") == [("ok",), ("ok",)]
    again = tenant.register(ALL_FOLDERS)
    assert [(s.table, s.inserted, s.skipped) for s in again.seeders] == [("people", 0, 2)]
    assert [(v.table, v.expected, v.found) for v in tenant.migrate(ALL_FOLDERS).seeder_validations] == [
        ("people", 2, 2)
    ]


def test_what_arrives_with_migrate_is_deployed(tenant):
    tenant.register(SHOP)
    grown = SHOP | {
        "extensions/plpgsql.sql": "",
        "types/size.pssql": "CREATE TYPE size AS ENUM ('s', 'l');",
        "tables/items.pssql": "CREATE TABLE items (id int PRIMARY KEY, size size, user_id int REFERENCES users);",
        "seeders/items.pssql": "INSERT INTO items VALUES (1, 's', NULL);",
    }
    report = tenant.migrate(grown)
    assert (report.types_deployed, report.tables_created) == (1, 1)
    assert tenant.rows("SELECT id, size FROM items") == [(1, "s")]
    assert tenant.migrate(grown).schema_validation.is_empty


@pytest.mark.parametrize(
    ("fault", "label"),
    [
        ({"tables/bad.pssql": "CREATE TABLE bad (id nonsense);"}, "tables/bad.pssql"),
        ({"types/bad.pssql": "CREATE TYPE bad AS (;"}, "types/bad.pssql"),
        ({"migrations/001.pssql": "SELECT 1/0;"}, "migrations/001.pssql"),
        (
            {"functions/bad.pssql": "CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELECT nothing'"},
            "functions/bad.pssql",
        ),
        ({"seeders/users.pssql": "INSERT INTO users (id, name) VALUES (1, NULL);"}, "seeders/users.pssql"),
    ],
)
def test_a_failed_deploy_names_the_file_and_leaves_nothing(tenant, fault, label):
    with pytest.raises(EngineError) as failure:
        tenant.register(SHOP | fault)
    assert failure.value.file == label
    assert failure.value.server is None or failure.value.server.message in str(failure.value)
    assert tenant.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]
    assert tenant.register(SHOP).tables_created == 2


def test_a_failed_migrate_leaves_the_old_functions(tenant):
    tenant.register(SHOP)
    broken = SHOP | {
        "functions/count_users.pssql": "CREATE FUNCTION count_users() RETURNS text LANGUAGE sql AS 'SELECT ''many''';",
        "migrations/001.pssql": "ALTER TABLE users ADD COLUMN age int; SELECT 1/0;",
    }
    with pytest.raises(MigrationFailed, match="division by zero"):
        tenant.migrate(broken)
    assert tenant.rows("SELECT count_users()") == [(0,)]
    assert tenant.rows("SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'age'") == [
        (0,)
    ]


def test_racing_deploys_wait_for_each_other(tenant):
    tenant.register(SHOP)
    with_row = SHOP | {"migrations/001.pssql": "INSERT INTO users (name) VALUES ('once'); SELECT pg_sleep(0.1);"}
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda _: tenant.migrate(with_row), range(4)))
    assert sorted(report.migrations_applied for report in reports) == [0, 0, 0, 1]
    assert tenant.rows("SELECT name FROM users") == [("once",)]


def test_a_deploy_stops_waiting_for_the_lock_after_its_timeout(tenant):
    tenant.register(SHOP)
    with psycopg.connect(tenant.conninfo) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('stonescriptdb gateway deploy', 0))")
        with pytest.raises(MigrationFailed, match="another deploy"):
            tenant.migrate(SHOP, wait_seconds=0.05)


def test_the_application_locks_are_waited_for_briefly_and_named(tenant):
    tenant.register(SHOP)
    with psycopg.connect(tenant.conninfo) as other:
        other.execute("SELECT * FROM users")
        with pytest.raises(MigrationFailed) as failure:
            tenant.migrate(SHOP | {"migrations/001.pssql": "ALTER TABLE users ADD COLUMN age int"}, lock_timeout_ms=20)
    assert failure.value.server.sqlstate == "55P03"
    assert (
        tenant.migrate(SHOP | {"migrations/001.pssql": "ALTER TABLE users ADD COLUMN age int"}).migrations_applied == 1
    )


def test_files_may_hold_begin_and_commit_and_a_bare_percent(tenant):
    report = tenant.register(
        {
            "tables/t.pssql": "BEGIN; CREATE TABLE t (a text DEFAULT '100%'); COMMIT;",
            "migrations/001.pssql": "START TRANSACTION;\nINSERT INTO t VALUES ('5 % s');\nEND;",
        }
    )
    assert (report.tables_created, report.migrations_applied) == (1, 1)
    assert tenant.rows("SELECT a FROM t") == [("5 % s",)]


def test_rollback_in_a_file_is_refused(tenant):
    with pytest.raises(EngineError, match="ROLLBACK cannot be used"):
        tenant.register({"migrations/001.pssql": "CREATE TABLE t (a int);\nROLLBACK;"})


def test_a_file_that_sets_parameters_does_not_disturb_the_next_one(tenant):
    dump_style = (
        "SET search_path = pg_catalog; SET check_function_bodies = on; SELECT set_config('search_path', '', false);"
    )
    report = tenant.register(
        {
            "tables/a.pssql": dump_style + "CREATE TABLE public.a (id int PRIMARY KEY);",
            "tables/b.pssql": "CREATE TABLE b (id int REFERENCES a);",
        }
    )
    assert report.tables_created == 2


def test_the_changelog_has_every_changed_object_and_its_request(tenant):
    tenant.register(ALL_FOLDERS, platform="clinic", request_id="r-1")
    rows = tenant.rows(
        "SELECT change_type, object_name, forced, platform, request_id"
        " FROM _stonescriptdb_gateway_changelog ORDER BY 1, 2"
    )
    assert [(change, name) for change, name, *_ in rows] == [
        ("apply_migration", "001_index.pssql"),
        ("create_table", "people"),
        ("create_type", "email"),
        ("create_type", "mood"),
        ("deploy_function", "public.moods()"),
        ("run_seeder", "seeders/people.pssql"),
    ]
    assert {tuple(who) for _, _, *who in rows} == {(False, "clinic", "r-1")}


def test_a_dry_run_returns_the_plan_and_changes_nothing(tenant):
    tenant.register(SHOP)
    tenant.execute("INSERT INTO users (name) VALUES ('a')")
    grown = SHOP | {"migrations/001.pssql": "ALTER TABLE users ALTER COLUMN id TYPE bigint"}
    report = tenant.migrate(grown, dry_run=True)
    assert [(p.step, p.file) for p in report.plan] == [("migrations", "migrations/001.pssql")]
    assert "AccessExclusiveLock on users" in report.plan[0].effect
    assert "rewrites users" in report.plan[0].effect
    assert report.plan[0].rewrites
    assert tenant.rows(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'users'::regclass AND attname = 'id'"
    ) == [("integer",)]
    assert tenant.migrate(grown).migrations_applied == 1


def test_a_dry_run_of_a_new_database_leaves_nothing(tenant):
    report = tenant.register(ALL_FOLDERS, dry_run=True)
    assert [planned.step for planned in report.plan] == [
        "types",
        "types",
        "tables",
        "migrations",
        "functions",
        "seeders",
    ]
    assert tenant.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]


def test_a_dry_run_cannot_commit_an_enum_value_and_reports_it(tenant):
    tenant.register(ALL_FOLDERS)
    grown = ALL_FOLDERS | {
        "types/mood.pssql": "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');",
        "migrations/002.pssql": "UPDATE people SET mood = 'glad'",
    }
    assert "which a dry run cannot" in tenant.migrate(grown, dry_run=True).warnings[-1]
    assert tenant.migrate(grown).migrations_applied == 1


def test_a_view_may_call_a_function_over_a_table_of_the_same_file(tenant, make_database):
    schema = "CREATE TABLE {0} (a text);\nCREATE VIEW {0}_v AS SELECT {0}_f({0}) AS b FROM {0};\n"
    function = "CREATE FUNCTION {0}_f({0}) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1.a $$;"
    small = {"tables/all.pssql": schema.format("t"), "functions/all.pssql": function.format("t")}
    tenant.register(small)
    grown = {
        label: text + part.format("u") for (label, text), part in zip(small.items(), (schema, function), strict=True)
    }
    new = type(tenant)(make_database())
    for one in (tenant, new):
        assert one.register(grown).differences == ()
        assert one.rows("SELECT count(*) FROM u_v") == [(0,)]
    with pytest.raises(MigrationFailed) as failure:
        type(tenant)(make_database()).register(grown | {"functions/all.pssql": function.format("t")})
    assert (failure.value.file, failure.value.line) == ("tables/all.pssql", 4)


def test_files_may_need_statements_of_each_other(tenant, make_database):
    table = {"tables/a.pssql": "CREATE TABLE t (a text);"}
    tenant.register(table)
    grown = table | {
        "tables/a.pssql": "CREATE TABLE t (a text); CREATE INDEX i ON t (b); CREATE VIEW v AS SELECT b FROM t;",
        "tables/b.pssql": "ALTER TABLE t ADD COLUMN b int; CREATE VIEW w AS SELECT b FROM v;",
    }
    new = type(tenant)(make_database())
    for one in (tenant, new):
        assert one.register(grown).differences == ()
    assert structure_of(tenant.conninfo) == structure_of(new.conninfo)


def test_what_is_declared_and_made_for_a_migration_is_not_its_effect(tenant):
    tenant.register({"tables/t.pssql": "CREATE TABLE t (a int)"})
    files = {
        "tables/t.pssql": "CREATE TABLE t (a int, b int)",
        "tables/u.pssql": "CREATE TABLE u (a int)",
        "migrations/001.pssql": "INSERT INTO u SELECT a FROM t",
    }
    changes = tenant.migrate(files).schema_validation.safe_changes
    assert {(one.change_type, one.column, one.file) for one in changes} == {
        ("add_table", None, "migrations/001.pssql"),
        ("add_column", "b", None),
    }


def test_what_an_old_pg_dump_says_of_plpgsql(tenant):
    dump = (
        "CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;\n"
        "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';\nCREATE TABLE public.t (id integer);\n"
    )
    tenant.register({"tables/schema.sql": dump})
    assert tenant.migrate({"tables/schema.sql": dump.replace("id integer", "id integer, n text")}).differences == ()


def test_constraints_of_migrations_over_new_columns_are_safe(tenant):
    tenant.register({"tables/t.pssql": "CREATE TABLE t (id int);"})
    tenant.execute("INSERT INTO t VALUES (1)")
    columns = "id int, d int, CONSTRAINT c CHECK (d > 0), CONSTRAINT u UNIQUE (d)"
    migrations = (
        "ALTER TABLE t ADD c int; ALTER TABLE t ADD CONSTRAINT c CHECK (c > 0), ADD CONSTRAINT u UNIQUE (c);"
        "CREATE UNIQUE INDEX i ON t (c, id);",
        "ALTER TABLE t RENAME c TO d;",
    )
    files = {f"migrations/{number}.pssql": text for number, text in enumerate(migrations)}
    report = tenant.migrate({"tables/t.pssql": f"CREATE TABLE t ({columns});"} | files)
    assert report.schema_validation.dataloss_changes == ()
    added = [change for change in report.schema_validation.safe_changes if change.change_type != "add_column"]
    assert [(change.column, change.rows_at_risk) for change in added] == [("c", 0), ("u", 0), ("i", 0)]

"""An existing database: safe changes are applied, dangerous ones are refused, with the rows at risk."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_of


def table(columns: str, more: str = "") -> dict[str, str]:
    return {"tables/t.pssql": f"CREATE TABLE t (id int PRIMARY KEY, {columns});{more}"}


def columns(tenant) -> list[tuple[str, str]]:
    return tenant.rows(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )[1:]


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        ("a int", "a int, b text", [("a", "integer"), ("b", "text")]),
        ("a int", "a int, b text NOT NULL DEFAULT 'x'", [("a", "integer"), ("b", "text")]),
        ("a int", "a bigint", [("a", "bigint")]),
        ("a varchar(20)", "a varchar(40)", [("a", "character varying(40)")]),
        ("a int NOT NULL", "a int", [("a", "integer")]),
        ("a int", "a int DEFAULT 5", [("a", "integer")]),
        ("a int UNIQUE", "a int", [("a", "integer")]),
    ],
)
def test_safe_changes_of_tables_are_applied(tenant, before, after, result):
    tenant.register(table(before))
    tenant.execute("INSERT INTO t VALUES (1, 7)")
    report = tenant.migrate(table(after))
    assert len(report.schema_validation.safe_changes) == 1
    assert not report.schema_validation.dataloss_changes
    assert columns(tenant) == result
    assert tenant.rows("SELECT a::text FROM t") == [("7",)]
    assert tenant.migrate(table(after)).schema_validation.is_empty


@pytest.mark.parametrize(
    ("before", "after", "rows", "at_risk"),
    [
        ("a bigint", "a int", "(1, 5), (2, 5000000000), (3, NULL)", 1),
        ("a bigint", "a int", "(1, 5)", 0),
        ("a text", "a varchar(3)", "(1, 'abc'), (2, 'abcd')", 1),
        ("a int, b int", "b int", "(1, 1, 1), (2, NULL, 2)", 1),
        ("a int", "a int NOT NULL", "(1, 1), (2, NULL)", 1),
        ("a int", "a int, b int NOT NULL", "(1, 1), (2, 2)", 2),
        ("a numeric(5,2)", "a numeric(6,4)", "(1, 5), (2, 500)", 1),
    ],
)
def test_dangerous_changes_are_refused_unless_forced(tenant, before, after, rows, at_risk):
    tenant.register(table(before))
    tenant.execute(f"INSERT INTO t VALUES {rows}")
    was = columns(tenant)
    with pytest.raises(MigrationFailed, match="differs dangerously") as failure:
        tenant.migrate(table(after))
    [change] = failure.value.validation.dataloss_changes
    assert (change.table, change.rows_at_risk) == ("t", at_risk)
    assert columns(tenant) == was
    forced = tenant.migrate(table(after), force=True)
    assert forced.schema_validation.dataloss_changes
    assert columns(tenant) == was, "destructive DDL is never invented"
    again = tenant.migrate(table(after))
    assert again.schema_validation.is_empty
    tenant.execute("CREATE TABLE unrelated (x int)")
    after_drift = tenant.migrate(table(after))
    assert not after_drift.schema_validation.dataloss_changes


def test_an_incompatible_change_is_refused(tenant):
    tenant.register(table("a int"))
    with pytest.raises(MigrationFailed) as failure:
        tenant.migrate(table("a uuid"))
    assert len(failure.value.validation.incompatible_changes) == 1


def test_a_dropped_table_is_refused_with_its_rows(tenant):
    pets = {"tables/pets.pssql": "CREATE TABLE pets (a int)"}
    tenant.register(table("a int") | pets)
    tenant.execute("INSERT INTO pets VALUES (1), (2)")
    with pytest.raises(MigrationFailed) as failure:
        tenant.migrate(table("a int"))
    [change] = failure.value.validation.dataloss_changes
    assert (change.table, change.change_type, change.rows_at_risk) == ("pets", "drop_table", 2)


def test_data_that_a_migration_removes_needs_no_force_and_is_listed(tenant):
    tenant.register(table("a int, b int"))
    tenant.execute("INSERT INTO t VALUES (1, 1, 1), (2, 2, NULL)")
    dropping = table("a int") | {"migrations/001.pssql": "ALTER TABLE t DROP COLUMN b"}
    report = tenant.migrate(dropping)
    assert report.migrations_applied == 1
    [change] = report.schema_validation.dataloss_changes
    assert (change.column, change.change_type, change.file) == ("b", "drop_column", "migrations/001.pssql")
    assert change.rows_at_risk == 1
    assert columns(tenant) == [("a", "integer")]
    assert tenant.migrate(dropping).schema_validation.is_empty


def test_what_a_migration_makes_is_no_difference(tenant):
    files = table("a int") | {
        "migrations/001.pssql": "CREATE TABLE audit (x int); ALTER TABLE t ADD COLUMN b text;"
        "ALTER TABLE t ALTER COLUMN a TYPE bigint; CREATE INDEX t_b ON t (b);",
    }
    tenant.register(files)
    assert tenant.migrate(files).schema_validation.is_empty
    tenant.execute("CREATE TABLE by_hand (x int)")
    assert tenant.migrate(files).schema_validation.is_empty
    tidied = table("a bigint")
    assert tenant.migrate(tidied).schema_validation.is_empty
    assert columns(tenant) == [("a", "bigint"), ("b", "text")]


def test_a_new_migration_and_the_table_it_refines_arrive_together(tenant):
    tenant.register(table("a int"))
    report = tenant.migrate(
        table("a int, b text") | {"migrations/001.pssql": "ALTER TABLE t ADD COLUMN b text; UPDATE t SET b = 'x'"}
    )
    assert report.migrations_applied == 1
    assert columns(tenant) == [("a", "integer"), ("b", "text")]


def test_values_are_added_to_an_enum(tenant):
    enum = "CREATE TYPE mood AS ENUM ({})"
    before = {"types/mood.pssql": enum.format("'a', 'b'")} | table("m mood")
    tenant.register(before)
    after = {"types/mood.pssql": enum.format("'first', 'a', 'between', 'b'")} | table("m mood")
    report = tenant.migrate(after)
    assert report.types_deployed >= 1
    assert tenant.rows("SELECT enumlabel FROM pg_enum ORDER BY enumsortorder") == [
        ("first",),
        ("a",),
        ("between",),
        ("b",),
    ]
    assert tenant.migrate(after).schema_validation.is_empty
    with pytest.raises(MigrationFailed, match="mood"):
        tenant.migrate(before)


def test_a_new_enum_value_may_be_used_in_the_same_deploy(tenant):
    enum = "CREATE TYPE mood AS ENUM ({})"
    tenant.register({"types/mood.pssql": enum.format("'a'")} | table("m mood"))
    report = tenant.migrate(
        {"types/mood.pssql": enum.format("'a', 'b'"), "migrations/001.pssql": "INSERT INTO t VALUES (1, 'b')"}
        | table("m mood DEFAULT 'b'")
    )
    assert report.migrations_applied == 1
    assert tenant.rows("SELECT m FROM t") == [("b",)]


def test_new_indexes_constraints_triggers_and_views_of_a_table_file_arrive(tenant):
    tenant.register(table("a int"))
    more = """CREATE INDEX t_a ON t (a); ALTER TABLE t ADD CONSTRAINT small CHECK (a < 100);
        CREATE VIEW t_view AS SELECT a FROM t; COMMENT ON TABLE t IS 'it';"""
    tenant.migrate(table("a int", more))
    assert tenant.rows("SELECT to_regclass('t_a') IS NOT NULL, to_regclass('t_view') IS NOT NULL") == [(True, True)]
    assert tenant.migrate(table("a int", more)).schema_validation.is_empty


def test_a_new_table_in_an_old_file_is_made_without_running_the_rest_again(tenant):
    once = "INSERT INTO t VALUES (1, 1);"
    tenant.register(table("a int", once))
    report = tenant.migrate(table("a int", once + "CREATE TABLE u (t int REFERENCES t); CREATE INDEX u_t ON u (t);"))
    assert report.tables_created == 1
    assert tenant.rows("SELECT count(*) FROM t") == [(1,)]


def test_a_database_made_by_hand_is_taken_over(tenant):
    tenant.execute("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 2)")
    report = tenant.register(table("a int, b int DEFAULT 3"))
    assert [change.change_type for change in report.schema_validation.safe_changes] == ["add_column"]
    assert tenant.rows("SELECT * FROM t") == [(1, 2, 3)]


def test_objects_dropped_by_hand_are_created_again(tenant):
    files = table("a int", "CREATE INDEX t_a ON t (a);")
    tenant.register(files)
    tenant.execute("DROP INDEX t_a")
    assert [change.change_type for change in tenant.migrate(files).schema_validation.safe_changes] == ["add_index"]
    assert tenant.rows("SELECT to_regclass('t_a') IS NOT NULL") == [(True,)]


def test_what_depends_on_a_forced_difference_stays_open_with_it(tenant):
    tenant.register(table("a int"))
    tenant.execute("INSERT INTO t VALUES (1, 1)")
    wanted = table("a uuid DEFAULT gen_random_uuid(), b int NOT NULL UNIQUE, c int", "CREATE INDEX t_b ON t (b);")
    with pytest.raises(MigrationFailed):
        tenant.migrate(wanted)
    report = tenant.migrate(wanted, force=True)
    assert columns(tenant) == [("a", "integer"), ("c", "integer")]
    assert any("not done, as it needs what was left" in warning for warning in report.warnings)
    grown = wanted | {"tables/u.pssql": "CREATE TABLE u (a int)"}
    for files in (wanted, grown):
        assert not tenant.migrate(files).schema_validation.dataloss_changes
    filled = "ALTER TABLE t ADD COLUMN b int; UPDATE t SET b = 1; ALTER TABLE t ALTER b SET NOT NULL;"
    tenant.migrate(grown | {"migrations/001.pssql": filled})
    assert tenant.rows("SELECT to_regclass('t_b') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize("file", ["tables/t.pssql", "tables/other.pssql"])
def test_a_key_of_a_new_table_waits_for_what_was_forced(tenant: Tenant, file: str):
    new = "CREATE TABLE n (x int, y int REFERENCES t (a));"
    tenant.register({"tables/t.pssql": "CREATE TABLE t (a text UNIQUE);"})
    tenant.execute("INSERT INTO t VALUES ('x')")
    after = {"tables/t.pssql": "CREATE TABLE t (a int UNIQUE);"}
    after |= {file: after.get(file, "") + new}
    left = [one for one in tenant.migrate(after, force=True).warnings if "not done" in one]
    message = 'n.n_y_fkey: add constraint failed: foreign key constraint "n_y_fkey" cannot be implemented'
    assert left == [f"not done, as it needs what was left as it is: {message}"]
    assert tenant.rows("SELECT count(*) FROM n") == [(0,)]
    differences = tenant.migrate(after | {"seeders/none.pssql": ""}).differences
    assert [one.split(" ")[0] for one in differences] == ["n.n_y_fkey", "t.a"]
    done = after | {"migrations/001.pssql": "DELETE FROM t; ALTER TABLE t ALTER a TYPE int USING a::int;"}
    assert tenant.migrate(done).differences == ()


USING = {"a default": "DEFAULT f(1)", "a generated column": "GENERATED ALWAYS AS (f(a)) STORED"}


@pytest.mark.parametrize("use", USING)
def test_a_function_stays_with_what_was_forced_to_stay_and_goes_with_it(tenant: Tenant, use: str):
    function = {"functions/f.pssql": "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';"}
    tenant.register(table(f"a int, b int {USING[use]}") | function)
    tenant.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(MigrationFailed, match="repeat the request with force"):
        tenant.migrate(table("a int"))
    assert any(
        "not dropped" in one and "f(integer)" in one for one in tenant.migrate(table("a int"), force=True).warnings
    )
    report = tenant.migrate(table("a int, c int"))
    assert [one.split(" ")[0] for one in report.differences] == ["t.b", "public.f(integer):"]
    assert tenant.rows("SELECT b FROM t") == [(1,)]
    gone = tenant.migrate(table("a int, c int") | {"migrations/001.pssql": "ALTER TABLE t DROP COLUMN b;"})
    assert (gone.differences, gone.functions_dropped) == ((), 1)


def test_a_new_table_refers_to_a_key_of_the_same_release(tenant: Tenant):
    tenant.register({"tables/t.pssql": "CREATE TABLE t (a int);"})
    new = "CREATE TABLE n (y int REFERENCES t (a));"
    key = {"tables/t.pssql": "CREATE TABLE t (a int UNIQUE);", "tables/n.pssql": new}
    assert tenant.migrate(key).differences == ()
    assert tenant.migrate(key | {"seeders/none.pssql": ""}).schema_validation.is_empty


def test_what_a_forced_difference_prevents_stays_open_in_later_deploys(tenant):
    tenant.register({"tables/old.pssql": "CREATE TABLE old (a int); CREATE INDEX i ON old (a);"})
    tenant.execute("INSERT INTO old VALUES (1)")
    wanted = {"tables/new.pssql": "CREATE TABLE new (a int); CREATE INDEX i ON new (a);"}
    tenant.migrate(wanted, force=True)
    for grown in (wanted, wanted | {"seeders/none.pssql": ""}, wanted | {"tables/u.pssql": "CREATE TABLE u (a int)"}):
        assert any("new.i" in difference for difference in tenant.migrate(grown).differences)
    tenant.migrate(grown | {"migrations/001.pssql": "ALTER INDEX i RENAME TO old_i;"})
    assert tenant.rows("SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = 'i'::regclass") == [("new",)]


def test_a_view_is_not_lost_to_a_forced_difference(tenant):
    view = "CREATE VIEW v AS SELECT {} FROM t;"
    tenant.register(table("a int", view.format("a")))
    tenant.migrate(table("a int, b int NOT NULL", view.format("a, b")), force=True)
    assert tenant.rows("SELECT count(a) FROM v") == [(0,)]
    with pytest.raises(MigrationFailed, match=r'column (t\.b|"b") does not exist'):
        tenant.migrate(table("a int, b int NOT NULL", view.format("b, a")), force=True)
    assert tenant.rows("SELECT count(a) FROM v") == [(0,)]


def test_a_forced_difference_is_remembered_by_later_deploys(tenant):
    tenant.register(table("a int, b text"))
    grown = table("a int") | {"tables/u.pssql": "CREATE TABLE u (a int);"}
    for files, force in ((table("a int"), True), (grown, False), (grown | {"seeders/none.pssql": ""}, True)):
        report = tenant.migrate(files, force=force)
        assert report.differences == (
            "t.b (drop column): here text, in a new database not there; it was forced to stay as it is",
        )
    tenant.execute("ALTER TABLE t DROP COLUMN b")
    assert tenant.migrate(grown).differences == ()
    tenant.migrate(table("a int, b text") | grown | table("a int, b text"))
    with pytest.raises(MigrationFailed, match=r"t\.b: drop column"):
        tenant.migrate(grown)


def test_changed_default_privileges_reach_the_functions_of_files(tenant, make_database):
    function = {"functions/f.pssql": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"}
    revoked = table("a int", "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;")
    tenant.register(table("a int") | function)
    for files in (revoked | function, table("a int") | function):
        assert tenant.migrate(files).warnings == ()
        fresh = Tenant(make_database())
        fresh.register(files)
        assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)


def test_a_privilege_that_was_passed_on_is_revoked(tenant, superuser_url):
    granted = "GRANT SELECT ON t TO pg_monitor WITH GRANT OPTION;"
    tenant.register(table("a int", granted))
    by_hand = make_conninfo(superuser_url, dbname=conninfo_to_dict(tenant.conninfo)["dbname"])
    with psycopg.connect(by_hand) as connection:
        connection.execute("SET ROLE pg_monitor")
        connection.execute("GRANT SELECT ON t TO pg_read_all_stats")
    (change,) = tenant.migrate(table("a int")).schema_validation.safe_changes
    assert "so may the roles that it has granted the privilege" in change.reason
    assert tenant.rows("SELECT has_table_privilege('pg_read_all_stats', 't', 'SELECT')") == [(False,)]


def test_statistics_over_columns_in_another_order(tenant, make_database):
    tenant.register(table("a int"))
    between = table("c int, a int", "CREATE STATISTICS s ON c, a, abs(a) FROM t;")
    assert tenant.migrate(between).differences == ()
    assert Tenant(make_database()).register(between).differences == ()


def test_one_of_two_equal_checks_is_dropped_if_it_was_declared(tenant):
    tenant.register(table("a int, CONSTRAINT c CHECK (a > 0), CONSTRAINT d CHECK (a > 0)"))
    tenant.execute("ALTER TABLE t ADD CONSTRAINT by_hand CHECK (a > 0)")
    report = tenant.migrate(table("a int, CONSTRAINT c CHECK (a > 0)"))
    assert [change.column for change in report.schema_validation.safe_changes] == ["d"]
    names = tenant.rows("SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 't'::regclass ORDER BY 1")
    assert names == [("by_hand",), ("c",)]


def test_a_child_that_is_forced_to_stay_one_keeps_its_defaults(tenant):
    declared = table("a int") | {
        "tables/p.pssql": "CREATE TABLE p (id int, a text); CREATE TABLE c (id int, a text, b int);"
    }
    made = "CREATE TABLE p (id int, a text, d int DEFAULT 1); CREATE TABLE c (b int) INHERITS (p);"
    tenant.register(table("a int"))
    tenant.migrate(declared | {"migrations/001.pssql": made}, force=True)
    later = declared | {"migrations/001.pssql": made, "tables/z.pssql": "CREATE TABLE z (a int);"}
    changes = tenant.migrate(later, force=True).schema_validation.safe_changes
    assert [(change.table, change.change_type) for change in changes] == [("z", "add_table")]

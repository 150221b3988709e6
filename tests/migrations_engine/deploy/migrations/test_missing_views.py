"""Migrations that use a view which an earlier one has dropped, to make room, and which is declared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

TABLES = """\
CREATE TABLE t (id int PRIMARY KEY, a {});
CREATE TABLE log (n bigint);
CREATE VIEW below AS SELECT id, a FROM t;
CREATE VIEW v AS SELECT id, a FROM below;
"""
TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE TABLE log (n bigint);"
MAKING_ROOM = "DROP VIEW v; DROP VIEW below; ALTER TABLE t ALTER a TYPE bigint;"
USES = {
    "reads it": "INSERT INTO log SELECT count(*) FROM v;",
    "makes a view of it": "CREATE VIEW w AS SELECT id FROM v;",
    "changes it": "GRANT SELECT ON v TO PUBLIC; COMMENT ON COLUMN v.a IS 'x'; ALTER VIEW v ALTER a SET DEFAULT 1;",
    "writes through it": "INSERT INTO v VALUES (3, 4);",
    "calls a function that reads it": "INSERT INTO log SELECT f();",
}
FUNCTION = "CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM v); END $$;"


@pytest.mark.parametrize("use", USES)
def test_the_view_is_there_again(make_database: Callable[[], str], use: str):
    each, jumping, new = (Tenant(make_database()) for _ in range(3))
    first = files(TABLES.format("int"), functions=FUNCTION)
    then = files(TABLES.format("bigint"), MAKING_ROOM, functions=FUNCTION)
    last = files(TABLES.format("bigint"), MAKING_ROOM, USES[use], functions=FUNCTION)
    for tenant in (each, jumping):
        tenant.register(first)
        tenant.execute("INSERT INTO t VALUES (1, 1)")
    each.migrate(then)
    assert each.migrate(last).differences == jumping.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(each.conninfo) == structure_of(jumping.conninfo) == structure_of(new.conninfo)
    for table in ("t", "log"):
        assert each.rows(f"SELECT * FROM {table}") == jumping.rows(f"SELECT * FROM {table}")


@pytest.mark.parametrize(
    ("table", "migrations"),
    [
        (TABLE, ("INSERT INTO log SELECT sum(b) FROM v;",)),
        (TABLE.replace("b int", "c int"), ("ALTER TABLE t RENAME b TO c;", "CREATE VIEW w AS SELECT c FROM v;")),
    ],
)
def test_the_view_has_its_later_columns(make_database: Callable[[], str], table: str, migrations: tuple[str, ...]):
    old, new = (Tenant(make_database()) for _ in range(2))
    view = "CREATE VIEW below AS SELECT id, {} FROM t; CREATE VIEW v AS SELECT * FROM below;"
    old.register(files(TABLE + view.format("a, b" if "c int" in table else "a")))
    old.execute("INSERT INTO t VALUES (1, 2, 3)")
    last = files(table + view.format("a, c" if "c int" in table else "a, b"), *migrations)
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    if "c int" not in table:
        assert old.rows("SELECT n FROM log") == [(3,)]


def test_a_view_that_cannot_be_made_is_no_help(make_database: Callable[[], str]):
    """The error is that of the migration."""
    new = Tenant(make_database())
    migrations = ("DROP VIEW v; ALTER TABLE t DROP COLUMN a CASCADE;", USES["reads it"])
    tables = TABLES.format("int")
    with pytest.raises(MigrationFailed, match=r'migrations/002\.pssql, line 1 failed: relation "v" does not exist'):
        new.register(files(tables, *migrations, functions=FUNCTION))


RENAMED = {
    "the table of a view": ("CREATE VIEW v AS SELECT id, a FROM {};", "ALTER TABLE t RENAME TO u;"),
    "the table of a view over a view": (
        "CREATE VIEW below AS SELECT * FROM {}; CREATE VIEW v AS SELECT id, a FROM below;",
        "ALTER TABLE t RENAME TO u;",
    ),
    "the table of a materialized view": (
        "CREATE MATERIALIZED VIEW v AS SELECT id, a FROM {};",
        "ALTER TABLE t RENAME TO u;",
    ),
    "the row type of a function": (
        "CREATE FUNCTION f() RETURNS SETOF {0} LANGUAGE plpgsql AS 'BEGIN RETURN; END';"
        "CREATE VIEW v AS SELECT id, a FROM f();",
        "ALTER TABLE t RENAME TO u;",
    ),
    "the column of a view": ("CREATE VIEW v AS SELECT id, {1} AS a FROM {0};", "ALTER TABLE t RENAME a TO b;"),
}


@pytest.mark.parametrize("what", RENAMED)
def test_a_view_of_functions_is_there_before_a_later_migration_renames(make_database: Callable[[], str], what: str):
    view, renaming = RENAMED[what]
    each, jumping, new = (Tenant(make_database()) for _ in range(3))
    then = files("CREATE TABLE t (id int PRIMARY KEY, a int);", functions=view.format("t", "a"))
    table, column = ("u", "a") if " TO u;" in renaming else ("t", "b")
    reading = "CREATE TABLE log AS SELECT * FROM v;"
    last = files(
        f"CREATE TABLE {table} (id int PRIMARY KEY, {column} int);",
        *(reading, renaming),
        functions=view.format(table, column),
    )
    for tenant in (each, jumping):
        tenant.register(then)
        tenant.execute("INSERT INTO t VALUES (1, 1)")
    each.migrate(then | {"migrations/001.pssql": reading})
    reports = [each.migrate(last), jumping.migrate(last), new.register(last)]
    assert [(report.warnings, report.differences) for report in reports] == [((), ())] * 3
    assert structure_of(each.conninfo) == structure_of(jumping.conninfo) == structure_of(new.conninfo)
    assert each.rows("SELECT * FROM log") == jumping.rows("SELECT * FROM log")


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_of_functions_is_there_before_a_later_migration_renames_it(make_database: Callable[[], str], kind: str):
    table, view = "CREATE TABLE t (id int PRIMARY KEY, a int);", f"CREATE {kind} {{}} AS SELECT id, a FROM t;"
    old, new = (Tenant(make_database()) for _ in range(2))
    reading, renaming = "CREATE TABLE log AS SELECT * FROM v;", f"ALTER {kind} v RENAME TO w;"
    old.register(files(table, reading, functions=view.format("v")))
    last = files(table, reading, renaming, functions=view.format("w"))
    for report in (old.migrate(last), new.register(last)):
        assert (report.warnings, report.differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


@pytest.mark.parametrize(
    ("migration", "declaration"),
    [
        ("CREATE MATERIALIZED VIEW v AS SELECT a FROM t;",) * 2,
        ("CREATE POLICY p ON t USING (a > 0);",) * 2,
        ("CREATE INDEX i ON t (a);", "CREATE INDEX i ON t (a); CREATE INDEX j ON t (id, a);"),
    ],
)
def test_a_migration_creates_what_a_file_of_functions_declares(
    make_database: Callable[[], str], migration: str, declaration: str
):
    table = "CREATE TABLE t (id int PRIMARY KEY, a int);"
    old, new = (Tenant(make_database()) for _ in range(2))
    old.register(files(table))
    last = files(table, migration, functions=declaration)
    for report in (old.migrate(last), new.register(last)):
        assert (report.warnings, report.differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)

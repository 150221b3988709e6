"""Migrations that use a column which only a declaration added, of a table that migrations create in a new database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

SOURCE = "CREATE TABLE source (id int PRIMARY KEY, a int); INSERT INTO source VALUES (1, 2);"
TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int{});"
CREATED = TABLE.format("") + "INSERT INTO t SELECT id, a FROM source;"
BUILT_AGAIN = """\
CREATE TABLE t_new (id int PRIMARY KEY, a int{0});
INSERT INTO t_new (id, a, b) SELECT id, a, b FROM t;
DROP TABLE t;
ALTER TABLE t_new RENAME TO t;
"""


@pytest.mark.parametrize("column", [", b bigint", ", b text NOT NULL DEFAULT 'x'", ", b int[] DEFAULT '{1}'"])
def test_a_table_that_is_built_again_over_a_declared_column(make_database: Callable[[], str], column: str):
    table = SOURCE + TABLE.format(column)
    each, jumping, new = (Tenant(make_database()) for _ in range(3))
    for tenant in (each, jumping):
        tenant.register(files(SOURCE))
    each.migrate(files(SOURCE + TABLE.format(""), CREATED))
    each.migrate(files(table, CREATED))
    last = files(table, CREATED, BUILT_AGAIN.format(column))
    for tenant, deploy in ((each, each.migrate), (jumping, jumping.migrate), (new, new.register)):
        report = deploy(last)
        assert report.warnings == report.differences == ()
        assert tenant.migrate(last | {"seeders/none.pssql": ""}).schema_validation.is_empty
    assert structure_of(each.conninfo) == structure_of(jumping.conninfo) == structure_of(new.conninfo)
    rows = [tenant.rows("SELECT id, a, b FROM t") for tenant in (each, jumping, new)]
    assert rows[0] == rows[1] == rows[2] != []


def test_a_column_that_was_dropped_and_is_declared_again(make_database: Callable[[], str]):
    each, new = (Tenant(make_database()) for _ in range(2))
    dropped = "ALTER TABLE t DROP COLUMN b;"
    each.register(files(TABLE.format(", b int")))
    each.migrate(files(TABLE.format(""), dropped))
    each.migrate(files(TABLE.format(", b text"), dropped))
    last = files(TABLE.format(", b text"), dropped, "INSERT INTO t VALUES (1, 2, 'x'); UPDATE t SET b = upper(b);")
    assert each.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(each.conninfo) == structure_of(new.conninfo)
    assert each.rows("SELECT id, a, b FROM t") == new.rows("SELECT id, a, b FROM t") == [(1, 2, "X")]


def test_a_column_that_another_replaces(make_database: Callable[[], str]):
    old, new = (Tenant(make_database()) for _ in range(2))
    replacing = (
        "ALTER TABLE t ADD z int; UPDATE t SET z = length(b); ALTER TABLE t DROP b; ALTER TABLE t RENAME z TO b;"
    )
    old.register(files(TABLE.format(", b text")))
    old.execute("INSERT INTO t VALUES (1, 2, 'four')")
    last = files(TABLE.format(", b int"), replacing)
    for report in (old.migrate(last), new.register(last)):
        assert report.warnings == report.differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.rows("SELECT b FROM t") == [(4,)]


def test_a_column_that_its_own_migration_has_dropped(tenant: Tenant):
    mistaken = "INSERT INTO t (id) VALUES (1); ALTER TABLE t DROP COLUMN b; UPDATE t SET b = 'x';"
    with pytest.raises(MigrationFailed, match=r'column "b" .*does not exist'):
        tenant.register(files(TABLE.format(", b text"), mistaken))

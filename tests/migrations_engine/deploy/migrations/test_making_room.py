"""Migrations of existing databases that need declared columns, or room among declared objects without rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

TABLE = "CREATE TABLE t (id int PRIMARY KEY{});"
FILL = "UPDATE t SET code = 'c' || id;"


def test_a_tenant_that_skips_the_release_in_which_a_column_may_be_null(
    tenant: Tenant, make_database: Callable[[], str]
):
    skipping, new = Tenant(make_database()), Tenant(make_database())
    for each in (tenant, skipping):
        each.register(files(TABLE.format("")))
        each.execute("INSERT INTO t VALUES (1), (2)")

    tenant.migrate(files(TABLE.format(", code text UNIQUE"), FILL))
    last = files(TABLE.format(", code text NOT NULL UNIQUE"), FILL, "ALTER TABLE t ALTER code SET NOT NULL;")
    for each in (tenant, skipping):
        assert each.migrate(last).differences == ()
    new.register(last)

    assert structure_of(tenant.conninfo) == structure_of(skipping.conninfo) == structure_of(new.conninfo)
    assert tenant.rows("SELECT * FROM t ORDER BY 1") == skipping.rows("SELECT * FROM t ORDER BY 1")


def test_a_column_that_a_migration_does_not_fill_is_refused(tenant: Tenant):
    tenant.register(files(TABLE.format("")))
    tenant.execute("INSERT INTO t VALUES (1), (2)")
    with pytest.raises(MigrationFailed, match=r"t\.code: set not null, dataloss \(.*, 1 row at risk\)"):
        tenant.migrate(files(TABLE.format(", code text NOT NULL"), "UPDATE t SET code = 'x' WHERE id = 1;"))


USERS = (
    "CREATE TABLE a (id int PRIMARY KEY, x int, y int); CREATE VIEW v AS SELECT id, {0} FROM a;"
    "CREATE VIEW w AS SELECT * FROM v; CREATE FUNCTION f() RETURNS SETOF w LANGUAGE sql AS 'SELECT * FROM w';"
    "CREATE POLICY p ON a USING ({0} > 0); CREATE TRIGGER r BEFORE UPDATE OF {0} ON a FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger();"
)


@pytest.mark.parametrize(
    ("tables", "migration"),
    [
        (USERS.format("y").replace("x int, ", ""), "ALTER TABLE a DROP COLUMN x;"),
        (
            USERS.format("y").replace("x int, ", ""),
            "ALTER TABLE a DROP x, ALTER id SET DEFAULT 1, ALTER id DROP DEFAULT;",
        ),
        (USERS.format("x"), "DROP VIEW v;"),
    ],
)
def test_declared_objects_over_what_a_migration_drops_are_made_again(
    tenant: Tenant, make_database: Callable[[], str], tables: str, migration: str
):
    tenant.register(files(USERS.format("x")))
    tenant.execute("INSERT INTO a VALUES (1, 2, 3)")
    new = Tenant(make_database())

    after = files(tables, migration)
    assert tenant.migrate(after).differences == ()
    new.register(after)

    assert structure_of(tenant.conninfo) == structure_of(new.conninfo)
    assert tenant.rows("SELECT id, y FROM a") == [(1, 3)]


def test_what_is_not_declared_is_not_dropped_for_a_migration(tenant: Tenant):
    tenant.register(files(USERS.format("x")))
    tenant.execute("CREATE VIEW by_hand AS SELECT x FROM a")
    with pytest.raises(MigrationFailed, match="cannot drop column x of table a because other objects depend on it"):
        tenant.migrate(files(USERS.format("y").replace("x int, ", ""), "ALTER TABLE a DROP COLUMN x;"))
    assert tenant.rows("SELECT count(*) FROM by_hand") == [(0,)]

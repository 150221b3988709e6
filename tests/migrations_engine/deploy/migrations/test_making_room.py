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


VALUES = "CREATE TYPE e AS ENUM ('a', '{}'); CREATE TABLE t (s e);"
REPLACED_TYPE = (
    "ALTER TYPE e RENAME TO e_old; CREATE TYPE e AS ENUM ('a', 'x');"
    "ALTER TABLE t ALTER s TYPE e USING (CASE s::text WHEN 'b' THEN 'x' ELSE s::text END)::e;"
)
NEW_ORDER = (
    "CREATE TYPE other AS ENUM ('a', 'x'); ALTER TABLE t ALTER s TYPE other USING replace(s::text, 'b', 'x')::other;"
    "DROP TYPE e; ALTER TYPE other RENAME TO e;"
)
WITH_TYPE = "CREATE FUNCTION f(x e) RETURNS e LANGUAGE sql AS 'SELECT x';"


@pytest.mark.parametrize(
    "functions",
    [
        pytest.param(WITH_TYPE, id="argument"),
        pytest.param("CREATE FUNCTION f(x e[]) RETURNS SETOF e LANGUAGE sql AS 'SELECT unnest(x)';", id="array"),
        pytest.param("CREATE FUNCTION f() RETURNS TABLE (s e) LANGUAGE sql AS 'SELECT * FROM t';", id="column"),
        pytest.param("CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(s) FROM t; END;", id="body"),
        pytest.param(WITH_TYPE + "CREATE VIEW v AS SELECT f(s) FROM t;", id="used by a view"),
    ],
)
@pytest.mark.parametrize("migration", [REPLACED_TYPE + "DROP TYPE e_old;", NEW_ORDER], ids=["renamed", "dropped"])
def test_a_type_that_a_migration_replaces_under_declared_functions(
    make_database: Callable[[], str], functions: str, migration: str
):
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(VALUES.format("b"), functions=functions))
    old.execute("INSERT INTO t VALUES ('b')")
    last = files(VALUES.format("x"), migration, functions=functions)
    new.register(last)
    assert old.migrate(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.rows("SELECT s FROM t") == [("x",)]


def test_a_function_that_keeps_a_renamed_type_is_replaced(tenant: Tenant):
    tenant.register(files(VALUES.format("b"), functions=WITH_TYPE))
    tenant.migrate(files(VALUES.format("x"), REPLACED_TYPE, functions=WITH_TYPE))
    assert tenant.rows("SELECT proargtypes::regtype[]::text FROM pg_proc WHERE proname = 'f'") == [("[0:0]={e}",)]


def test_a_replaced_table_under_a_function_that_returns_its_rows(tenant: Tenant):
    functions = "CREATE FUNCTION f() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t';"
    tenant.register(files("CREATE TABLE t (id int);", functions=functions))
    tenant.execute("INSERT INTO t VALUES (1)")
    partitioned = "CREATE TABLE t (id int) PARTITION BY RANGE (id); CREATE TABLE d PARTITION OF t DEFAULT;"
    moving = f"ALTER TABLE t RENAME TO earlier; {partitioned} INSERT INTO t SELECT * FROM earlier; DROP TABLE earlier;"
    assert tenant.migrate(files(partitioned, moving, functions=functions)).differences == ()
    assert tenant.rows("SELECT id FROM f()") == [(1,)]


def test_a_function_by_hand_keeps_a_type(tenant: Tenant):
    tenant.register(files(VALUES.format("b")))
    tenant.execute(WITH_TYPE)
    with pytest.raises(MigrationFailed, match="other objects depend on it"):
        tenant.migrate(files(VALUES.format("x"), REPLACED_TYPE + "DROP TYPE e_old;"))


@pytest.mark.parametrize("drop", ["DROP VIEW w; DROP VIEW v;", "DROP VIEW v CASCADE;"])
def test_comments_and_privileges_of_a_view_come_back_with_it(make_database: Callable[[], str], drop: str):
    view = (
        "CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT a FROM v; COMMENT ON VIEW v IS 'v';"
        "COMMENT ON COLUMN v.a IS 'a'; COMMENT ON VIEW w IS 'w'; GRANT SELECT, UPDATE ON v TO PUBLIC;"
    )
    old, new = (Tenant(make_database()) for _ in range(2))
    old.register(files(TABLE.format(", a int") + view))
    last = files(TABLE.format(", a bigint") + view, f"{drop} ALTER TABLE t ALTER a TYPE bigint;")
    for report in (old.migrate(last), new.register(last)):
        assert (report.warnings, report.differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)

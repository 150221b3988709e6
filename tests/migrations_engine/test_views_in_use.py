"""Views change or go while views that nothing declares use them."""

from __future__ import annotations

import pytest

from migrations_engine.errors import MigrationFailed

from .conftest import Tenant, files

TABLE = "CREATE TABLE t (id int, a int);"
VIEW = "CREATE VIEW v AS SELECT id, a FROM t;"
USER = "CREATE VIEW w AS SELECT a FROM v;"


@pytest.mark.parametrize(
    "later", ["CREATE VIEW v AS SELECT id, a AS c FROM t;", "CREATE MATERIALIZED VIEW v AS SELECT id FROM t;", ""]
)
def test_a_view_that_would_lack_columns_is_named(tenant: Tenant, later: str):
    tenant.register(files(TABLE + VIEW))
    tenant.execute(USER)
    with pytest.raises(MigrationFailed, match=r"w would lack columns of it; use a migration: DROP VIEW w") as refused:
        tenant.migrate(files(TABLE + later))
    assert refused.value.validation is not None
    [change] = refused.value.validation.incompatible_changes
    assert (change.table, change.file) == ("v", None)
    report = tenant.migrate(files(TABLE + later, "DROP VIEW w;"))
    assert report.differences == ()


def test_a_rule_that_would_lack_columns_is_named(tenant: Tenant):
    tenant.register(files(TABLE + VIEW))
    tenant.execute("CREATE RULE r AS ON INSERT TO t DO ALSO SELECT a FROM v;")
    with pytest.raises(MigrationFailed, match=r"v has to change, but rule r on table t depends on it"):
        tenant.migrate(files(TABLE + "CREATE VIEW v AS SELECT id, a AS c FROM t;"))


def test_a_view_over_remaining_columns_is_made_again(tenant: Tenant):
    tenant.register(files(TABLE + VIEW))
    tenant.execute(USER)
    tenant.migrate(files(TABLE + "CREATE VIEW v AS SELECT a, id FROM t;"))
    assert tenant.rows("SELECT a FROM w") == []


def test_a_view_over_a_view_that_changes_with_it(tenant: Tenant):
    tenant.register(files(TABLE + VIEW + USER))
    tenant.migrate(files(TABLE + "CREATE VIEW v AS SELECT id, a AS c FROM t; CREATE VIEW w AS SELECT c FROM v;"))
    assert tenant.rows("SELECT c FROM w") == []


def test_types_and_schemas_that_are_no_longer_declared_stay_until_a_migration_drops_them(tenant: Tenant):
    tenant.register(files(TABLE, types="CREATE SCHEMA s; CREATE DOMAIN d AS int; CREATE TYPE mood AS ENUM ('a');"))
    report = tenant.migrate(files(TABLE))
    assert report.schema_validation.is_empty
    assert report.warnings == (
        "s is no longer declared and stays; to drop it, add a migration: DROP SCHEMA s",
        "d is no longer declared and stays; to drop it, add a migration: DROP DOMAIN d",
        "mood is no longer declared and stays; to drop it, add a migration: DROP TYPE mood",
    )
    tenant.execute("CREATE SCHEMA by_hand")
    report = tenant.migrate(files(TABLE, functions="CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"))
    assert [difference.partition(":")[0] for difference in report.differences] == [
        *("by_hand (drop schema)", "s (drop schema)", "d (drop type)", "mood (drop type)"),
    ]
    report = tenant.migrate(files(TABLE, "DROP SCHEMA s; DROP SCHEMA by_hand; DROP DOMAIN d; DROP TYPE mood;"))
    assert report.differences == ()
    assert {change.change_type for change in report.schema_validation.safe_changes} == {
        *("drop_schema", "drop_type"),
    }


@pytest.mark.parametrize("migration", [(), ("ALTER TYPE p ALTER ATTRIBUTE x SET DATA TYPE bigint CASCADE;",)])
def test_a_view_that_uses_an_attribute_of_another_type(tenant: Tenant, migration: tuple[str, ...]):
    views = "CREATE VIEW v AS SELECT ROW(id)::p AS q FROM t; CREATE VIEW w AS SELECT (q).x FROM v;"
    tenant.register(files(TABLE + views, types="CREATE TYPE p AS (x int);"))
    last = files(TABLE + views, *migration, types="CREATE TYPE p AS (x bigint);")
    report = tenant.migrate(last)
    assert report.differences == ()
    column = "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 0"
    assert tenant.rows(column) == [("bigint",)]
    tenant.execute("INSERT INTO t VALUES (7)")
    assert tenant.rows("SELECT * FROM w") == [(7,)]


def test_a_new_database_has_the_later_type_of_an_attribute(tenant: Tenant):
    views = "CREATE VIEW v AS SELECT ROW(id)::p AS q FROM t; CREATE VIEW w AS SELECT (q).x FROM v;"
    migration = "ALTER TYPE p ALTER ATTRIBUTE x TYPE bigint;"
    report = tenant.register(files(TABLE + views, migration, types="CREATE TYPE p AS (x bigint);"))
    assert len(report.satisfied_statements) == 1

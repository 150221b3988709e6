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
    tenant.execute(USER + "CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO t (a) VALUES (new.a);")
    with pytest.raises(MigrationFailed, match=r"w would lack columns of it; use a migration: DROP VIEW w") as refused:
        tenant.migrate(files(TABLE + later))
    assert refused.value.validation is not None
    [change] = refused.value.validation.incompatible_changes
    assert (change.table, change.file) == ("v", None)
    report = tenant.migrate(files(TABLE + later, "DROP VIEW w;"))
    assert report.differences == ()


def test_a_view_over_remaining_columns_is_made_again(tenant: Tenant):
    tenant.register(files(TABLE + VIEW))
    tenant.execute(USER)
    tenant.migrate(files(TABLE + "CREATE VIEW v AS SELECT a, id FROM t;"))
    assert tenant.rows("SELECT a FROM w") == []


def test_a_view_over_a_view_that_changes_with_it(tenant: Tenant):
    tenant.register(files(TABLE + VIEW + USER))
    tenant.migrate(files(TABLE + "CREATE VIEW v AS SELECT id, a AS c FROM t; CREATE VIEW w AS SELECT c FROM v;"))
    assert tenant.rows("SELECT c FROM w") == []


def test_a_type_that_is_no_longer_declared_stays_until_a_migration_drops_it(tenant: Tenant):
    tenant.register(files(TABLE, types="CREATE DOMAIN d AS int; CREATE TYPE mood AS ENUM ('a');"))
    report = tenant.migrate(files(TABLE))
    assert report.schema_validation.is_empty
    assert report.warnings == (
        "d is no longer declared and stays; to drop it, add a migration: DROP DOMAIN d",
        "mood is no longer declared and stays; to drop it, add a migration: DROP TYPE mood",
    )
    assert len(report.differences) == 2
    report = tenant.migrate(files(TABLE, "DROP DOMAIN d; DROP TYPE mood;"))
    assert report.differences == ()
    assert {change.change_type for change in report.schema_validation.safe_changes} == {"drop_type"}

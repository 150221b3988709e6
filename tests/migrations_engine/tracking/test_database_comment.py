"""The comment of a database is its ownership stamp: no deploy changes it."""

from __future__ import annotations

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant

STAMP = '{"owner":"a"}'
CHANGING = "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'mine'); END $$;"


@pytest.fixture
def stamped(tenant: Tenant) -> Tenant:
    tenant.execute(f"DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), '{STAMP}'); END $$")
    return tenant


def comment(tenant: Tenant) -> str | None:
    ((text,),) = tenant.rows(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    )
    return text


@pytest.mark.parametrize("folder", ["migrations", "functions", "seeders"])
def test_a_deploy_that_changes_the_comment_fails_and_leaves_nothing(stamped: Tenant, folder: str) -> None:
    files = {"tables/t.sql": "CREATE TABLE t (a int);", f"{folder}/1.sql": CHANGING}

    with pytest.raises(MigrationFailed, match="changed the comment of its database"):
        stamped.register(files, database_comment=STAMP)

    assert comment(stamped) == STAMP
    assert stamped.rows("SELECT to_regclass('t')") == [(None,)]


@pytest.mark.parametrize("after", ["", "SELECT 1 / 0;"])
def test_a_migration_outside_a_transaction_does_not_change_it_either(stamped: Tenant, after: str) -> None:
    files = {
        "tables/t.sql": "CREATE TABLE t (a int);",
        "migrations/1.sql": f"-- gateway: no-transaction\n{CHANGING}\n{after}",
    }

    with pytest.raises(MigrationFailed, match="The comment was put back"):
        stamped.register(files)

    assert comment(stamped) == STAMP


def test_a_database_of_a_new_owner_is_not_touched(stamped: Tenant) -> None:
    with pytest.raises(MigrationFailed, match="is no longer what it was when the database was looked up"):
        stamped.register({"tables/t.sql": "CREATE TABLE t (a int);"}, database_comment='{"owner":"b"}')

    assert stamped.rows("SELECT to_regclass('t')") == [(None,)]


def test_a_database_without_a_comment_keeps_none(tenant: Tenant) -> None:
    with pytest.raises(MigrationFailed, match="changed the comment"):
        tenant.register({"migrations/1.sql": CHANGING})

    tenant.register({"tables/t.sql": "CREATE TABLE t (a int);"})
    assert comment(tenant) is None

"""Learning what a schema means without leaving anything behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine import SCRATCH_NAME_PREFIX, DesiredSchemas
from migrations_engine.desired import ScratchDatabases
from migrations_engine.errors import ScratchUnavailable
from tests.migrations_engine.conftest import Tenant

BEFORE = {"tables/t.pssql": "CREATE TABLE t (a int)"}
AFTER = {
    "tables/t.pssql": "CREATE TABLE t (a int, b int)",
    "migrations/001.pssql": "INSERT INTO t (a) VALUES (1)",
}


def scratch_databases(admin) -> dict[str, int]:
    query = "SELECT datname, oid FROM pg_database WHERE starts_with(datname, %s)"
    return dict(admin.execute(query, [SCRATCH_NAME_PREFIX]).fetchall())


def test_one_scratch_database_is_kept_and_stays_empty(tenant, admin, postgres_url):
    tenant.register(BEFORE)
    tenant.migrate(AFTER)
    kept = scratch_databases(admin)
    assert list(kept) == [SCRATCH_NAME_PREFIX]
    tenant.migrate(AFTER | {"migrations/002.pssql": "CREATE TABLE made_by_migration (c int)"})
    assert scratch_databases(admin) == kept


def test_a_schema_with_migrations_outside_a_transaction_has_a_temporary_database(tenant, admin):
    tenant.register(BEFORE)
    outside = "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY t_a ON t (a);"
    tenant.migrate(BEFORE | {"migrations/001.pssql": outside})
    assert set(scratch_databases(admin)) <= {SCRATCH_NAME_PREFIX}


def test_schemas_are_loaded_concurrently_without_disturbing_each_other(make_database, superuser):
    superuser.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(SCRATCH_NAME_PREFIX)))
    tenants = [Tenant(make_database()) for _ in range(3)]
    for tenant in tenants:
        tenant.register(BEFORE)
        tenant._desired_schemas = DesiredSchemas()
    with ThreadPoolExecutor(3) as threads:
        reports = list(threads.map(lambda tenant: tenant.migrate(AFTER), tenants))
    assert [report.migrations_applied for report in reports] == [1, 1, 1]


def test_a_refusal_is_not_followed_by_advice_that_does_not_fit(postgres_url):
    def connect(name: str) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(postgres_url, dbname=name), autocommit=True)

    scratch = ScratchDatabases(connect=connect, template="nosuch")
    with pytest.raises(ScratchUnavailable, match="nosuch") as raised, scratch.transaction():
        pass
    assert "CREATEDB" not in raised.value.message


def test_the_scratch_database_of_another_role_is_not_used(tenant, admin, superuser, postgres_url):
    tenant.register(BEFORE)
    tenant.migrate(AFTER)  # it exists now
    former = sql.SQL("ALTER DATABASE {} OWNER TO {}")
    scratch, role = sql.Identifier(SCRATCH_NAME_PREFIX), sql.Identifier(admin.info.user)
    superuser.execute(former.format(scratch, sql.Identifier(superuser.info.user)))
    try:
        for number in (2, 3):
            tenant.migrate(AFTER | {f"migrations/00{number}.pssql": "INSERT INTO t (a) VALUES (2)"})
            others = scratch_databases(admin).keys() - {SCRATCH_NAME_PREFIX}
            assert len(others) == 1
    finally:
        superuser.execute(former.format(scratch, role))
        for name in scratch_databases(admin).keys() - {SCRATCH_NAME_PREFIX}:
            superuser.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

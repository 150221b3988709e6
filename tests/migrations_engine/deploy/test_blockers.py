"""Locks of the application: named, waited for, and never with the application queued behind for long."""

from __future__ import annotations

import threading

import psycopg
import pytest

from migrations_engine import MigrationFailed
from tests.support.waiting import wait_until

TABLE = {"tables/t.sql": "CREATE TABLE t (a int)"}
ALTERED = TABLE | {"migrations/1.sql": "ALTER TABLE t ADD COLUMN b int"}


def test_a_deploy_that_gives_up_reports_the_holder_of_the_lock(tenant):
    tenant.register(TABLE)
    with psycopg.connect(tenant.conninfo, application_name="nightly report") as other:
        other.execute("SELECT * FROM t")
        with pytest.raises(MigrationFailed, match="the lock is held by pid") as failure:
            tenant.migrate(ALTERED, lock_timeout_ms=400)
        assert f"pid {other.info.backend_pid} (application 'nightly report'" in failure.value.message
        assert "idle in transaction" in failure.value.message
    assert (failure.value.file, failure.value.line) == ("migrations/1.sql", 1)
    assert failure.value.server.sqlstate == "55P03"
    assert tenant.migrate(ALTERED).migrations_applied == 1


def test_a_waiting_deploy_does_not_block_the_application_and_continues_afterwards(tenant):
    tenant.register(TABLE)
    reports = []
    with psycopg.connect(tenant.conninfo) as other, psycopg.connect(tenant.conninfo, autocommit=True) as reader:
        other.execute("SELECT * FROM t")
        deploy = threading.Thread(
            target=lambda: reports.append(tenant.migrate(ALTERED, lock_timeout_ms=60_000)), daemon=True
        )
        deploy.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
        wait_until(lambda: reader.execute(waiting).fetchone() == (1,))
        reader.execute("SET statement_timeout = '40s'")  # the deploy itself may wait longer
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert not reports
        other.rollback()
        deploy.join()
    assert [report.migrations_applied for report in reports] == [1]

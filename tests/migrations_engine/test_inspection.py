"""What has changed in a database since its last deploy, in words."""

from __future__ import annotations

import psycopg

from migrations_engine import describe_drift, inspect_database

from .conftest import Tenant


def test_drift_is_described_in_words(tenant: Tenant):
    table = "CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 1, b int); COMMENT ON TABLE t IS 'deployed';"
    tenant.register({"tables/t.sql": table})
    tenant.execute(
        "COMMENT ON TABLE t IS NULL; COMMENT ON COLUMN t.a IS 'by hand'; ALTER TABLE t ALTER a SET DEFAULT 2;"
        "ALTER TABLE t DROP COLUMN b; CREATE INDEX i ON t (a);"
    )
    with psycopg.connect(tenant.conninfo) as connection:
        lines = describe_drift(connection)
    assert "t.a: column default is 2, was deployed as 1" in lines
    assert "t.b: column is missing" in lines
    assert "t.i: index that was not deployed" in lines
    assert any(line.endswith("comment is by hand, none was deployed") for line in lines), lines
    assert "table public.t: comment is not there, was deployed as deployed" in lines, lines


def test_an_unchanged_database_is_inspected_with_one_message(tenant: Tenant):
    sent = []

    class Cursor(psycopg.Cursor):
        def execute(self, query, *arguments, **options):
            sent.append(query)
            return super().execute(query, *arguments, **options)

    tenant.register({"tables/t.sql": "CREATE TABLE t (id int PRIMARY KEY);"})
    with psycopg.connect(tenant.conninfo, autocommit=True, cursor_factory=Cursor) as connection:
        found = inspect_database(connection)
        assert (found.is_intact, len(sent)) == (True, 1)
        connection.execute("CREATE TEMPORARY TABLE touched (a int)")
        touched = inspect_database(connection)
        assert touched == found
        connection.execute("ALTER TABLE t ADD COLUMN by_hand int")
        drifted = inspect_database(connection)
    assert (drifted.is_intact, drifted.schema_checksum) == (False, found.schema_checksum)
    assert drifted.fingerprint != found.fingerprint


def test_a_database_without_tracking_tables_was_not_deployed_to(tenant: Tenant):
    with psycopg.connect(tenant.conninfo, autocommit=True) as connection:
        found = inspect_database(connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert (found.schema_checksum, found.is_intact) == (None, False)

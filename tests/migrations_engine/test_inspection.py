"""What has changed in a database since its last deploy, in words."""

from __future__ import annotations

import psycopg

from migrations_engine import describe_drift

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
    assert any(line.endswith("comment is not there, was deployed as deployed") for line in lines), lines

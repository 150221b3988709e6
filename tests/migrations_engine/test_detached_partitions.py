"""What PostgreSQL leaves to a partition that a migration detaches is named with its cause, and the advice works."""

from __future__ import annotations

import pytest

from .conftest import Tenant, files

KEY = "CREATE TABLE t (a int, d int) PARTITION BY RANGE (d);"
INDEX = "CREATE INDEX i ON t (a);"
PARTITION = "CREATE TABLE p PARTITION OF t FOR VALUES FROM (0) TO (9);"
ALONE = "CREATE TABLE p (a int, d int);"
CONCURRENTLY = "-- gateway: no-transaction\nALTER TABLE t DETACH PARTITION p CONCURRENTLY;"
PLAIN = "ALTER TABLE t DETACH PARTITION p;"
CHECK = "ALTER TABLE p ADD CHECK (d IS NOT NULL AND d >= 0 AND d < 9);"


@pytest.mark.parametrize(
    ("tables", "detaching", "kept", "ways_out"),
    [
        (KEY, CONCURRENTLY, "p.p_d_check", (CHECK, "ALTER TABLE p DROP CONSTRAINT p_d_check;")),
        (KEY + INDEX, PLAIN, "p.p_a_idx", ("CREATE INDEX ON p (a);", "DROP INDEX p_a_idx;")),
    ],
    ids=["bounds", "index"],
)
def test_what_a_detached_partition_keeps(
    tenant: Tenant, tables: str, detaching: str, kept: str, ways_out: tuple[str, str]
):
    declaration, dropping = ways_out
    tenant.register(files(tables + PARTITION))
    report = tenant.migrate(files(tables + ALONE, detaching))
    (difference,) = report.differences
    assert difference.startswith(f"{kept} (drop ")
    assert difference.endswith(
        "migrations/001.pssql detaches the partition, which keeps it; declare it or drop it in a migration"
    )
    assert tenant.migrate(files(tables + ALONE + declaration, detaching)).differences == ()
    assert tenant.migrate(files(tables + ALONE, detaching, dropping)).differences == ()

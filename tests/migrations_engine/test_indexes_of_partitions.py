"""Indexes of partitions that PostgreSQL or a migration attaches to an index of the partitioned table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.structure import structure_of

from .conftest import Tenant, files

TABLE = (
    "CREATE TABLE t (id int, k int, b smallint) PARTITION BY RANGE (k);"
    "CREATE TABLE t0 PARTITION OF t FOR VALUES FROM (0) TO (10);"
)
OF_PARTITION = "CREATE INDEX t0_b ON t0 (b);"
OF_TABLE = "CREATE INDEX i ON t (b);"
ATTACHING = "CREATE INDEX i ON ONLY t (b);\nALTER INDEX i ATTACH PARTITION t0_b;"


@pytest.mark.parametrize(
    ("first", "last", "migration"),
    [
        pytest.param(TABLE, TABLE + OF_PARTITION, OF_TABLE, id="declared, attached by a migration"),
        pytest.param(TABLE + OF_PARTITION, TABLE + OF_PARTITION, OF_TABLE, id="declared before"),
        pytest.param(TABLE + OF_PARTITION, TABLE + OF_PARTITION + OF_TABLE, "", id="attached by a declaration"),
        pytest.param(TABLE, TABLE + OF_TABLE, OF_PARTITION + ATTACHING, id="made and attached, declared as one"),
        pytest.param(
            TABLE,
            TABLE + OF_TABLE,
            f"-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY t0_b ON t0 (b);\n{ATTACHING}",
            id="made concurrently and attached, declared as one",
        ),
        pytest.param(TABLE, TABLE + OF_PARTITION + OF_TABLE, OF_PARTITION + ATTACHING, id="declared as two"),
    ],
)
def test_an_attached_index_is_the_declared_one(make_database: Callable[[], str], first: str, last: str, migration: str):
    old, new = Tenant(make_database()), Tenant(make_database())
    new.register(files(last, migration))
    old.register(files(first))
    old.execute("INSERT INTO t VALUES (1, 1, 1)")
    report = old.migrate(files(last, migration))
    assert report.differences == report.warnings == ()
    assert not any(change.change_type == "drop_index" for change in report.schema_validation.safe_changes)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.migrate(files(last, migration, seeders="")).schema_validation.is_empty


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param("ALTER TABLE t ADD CONSTRAINT u UNIQUE (k);", "CREATE UNIQUE INDEX u ON t (k);", id="an index"),
        pytest.param(
            "CREATE UNIQUE INDEX u ON t (k);", "ALTER TABLE t ADD CONSTRAINT u UNIQUE (k);", id="a constraint"
        ),
        pytest.param("CREATE INDEX i ON t (b);", "CREATE INDEX j ON t USING hash (b);", id="another kind"),
    ],
)
def test_an_index_with_parts_is_replaced_by(make_database: Callable[[], str], first: str, last: str):
    old, new = Tenant(make_database()), Tenant(make_database())
    new.register(files(TABLE + last))
    old.register(files(TABLE + first))
    assert old.migrate(files(TABLE + last)).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)

"""Declared expressions over columns whose types migrations have changed, which PostgreSQL prints with other casts."""

from __future__ import annotations

import pytest

from .test_any_evolution import make

__all__ = ["make"]

TABLE = "CREATE TABLE t (id int PRIMARY KEY, a smallint, b {}{});"
WIDER = "DROP VIEW IF EXISTS v; ALTER TABLE t ALTER a TYPE numeric;"
CHECK = ", CONSTRAINT k CHECK (a > -1)"
GENERATED = ", g numeric GENERATED ALWAYS AS (a * 2) STORED"


def files(table: str, *migrations: str) -> dict[str, str]:
    return {"tables/t.pssql": table} | {f"migrations/{n:03}.pssql": text for n, text in enumerate(migrations, 1)}


def assert_deploys(make, *versions: dict[str, str]):
    tenant = make()
    tenant.register(versions[0])
    tenant.execute("INSERT INTO t (id, a, b) VALUES (1, 1, 1)")
    for version in versions[1:]:
        tenant.migrate(version)
    again = tenant.migrate(versions[-1] | {"seeders/none.pssql": ""})
    assert again.schema_validation.is_empty
    assert tenant.rows("SELECT id, a, b FROM t") == [(1, 1, 1)]


@pytest.mark.parametrize(
    ("column", "item", "drop"),
    [
        (CHECK, "", "ALTER TABLE t DROP CONSTRAINT IF EXISTS k;"),
        (GENERATED, "", "ALTER TABLE t DROP COLUMN IF EXISTS g;"),
        ("", "CREATE INDEX i ON t (b) WHERE a > -1;", "DROP INDEX IF EXISTS i;"),
        ("", "CREATE INDEX i ON t ((a > -1));", "DROP INDEX IF EXISTS i;"),
        ("", "CREATE POLICY i ON t USING (a > -1);", "DROP POLICY IF EXISTS i ON t;"),
        ("", "CREATE STATISTICS i ON b, (a > -1) FROM t;", "DROP STATISTICS IF EXISTS i;"),
        ("", "CREATE VIEW v AS SELECT a > -1 AS x FROM t;", "DROP VIEW IF EXISTS v;"),
    ],
)
def test_an_expression_is_declared_after_migrations_retyped_its_column(make, column, item, drop):
    plain = TABLE.format("int", "")
    declared = TABLE.format("int", column) + item
    assert_deploys(make, files(plain), files(plain, drop, WIDER), files(declared, drop, WIDER))

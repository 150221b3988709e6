"""What a migration loses or rewrites, and so needs a copy for its undoing."""

from __future__ import annotations

import pytest

from gateway.operations.keep_copy import loses_or_rewrites
from migrations_engine import Change, DeployReport, PlannedStatement, SchemaValidation

DROPPED = Change(table="t", change_type="drop_column", column="c", compatibility="dataloss", reason="dropped")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE t ADD COLUMN c int; CREATE INDEX ON t (c); COMMENT ON TABLE t IS 'update'", False),
        ("INSERT INTO t VALUES (1)", False),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", False),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", True),
        ("-- why\nupdate t set a = 1", True),
        ("ALTER TABLE t ADD b int; DELETE FROM t", True),
        ("TRUNCATE t", True),
        ("DO $$ BEGIN END $$", True),
        ("SELECT f()", True),
        ("WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d", True),
        ("(SELECT f())", True),
    ],
)
def test_statements_of_migrations(sql: str, expected: bool) -> None:
    planned = PlannedStatement(step="migrations", sql=sql, file="migrations/1.sql")
    assert loses_or_rewrites(DeployReport(plan=(planned,))) is expected


@pytest.mark.parametrize(
    "report",
    [
        DeployReport(plan=(PlannedStatement(step="tables", sql="ALTER TABLE t ALTER a TYPE bigint", rewrites=True),)),
        DeployReport(schema_validation=SchemaValidation(dataloss_changes=(DROPPED,))),
        DeployReport(schema_validation=SchemaValidation(incompatible_changes=(DROPPED,))),
        DeployReport(left_out=("migrations/1.sql",)),
    ],
)
def test_reports(report: DeployReport) -> None:
    assert loses_or_rewrites(report)


def test_what_only_adds_needs_no_copy() -> None:
    planned = PlannedStatement(step="tables", sql="CREATE TABLE u (a int)")
    functions = PlannedStatement(step="functions", sql="CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert not loses_or_rewrites(DeployReport(plan=(planned, functions)))

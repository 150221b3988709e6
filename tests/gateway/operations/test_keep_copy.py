"""What a migration loses or rewrites, and so needs a copy for its undoing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from gateway.databases import KeptCopy, ManagedDatabase, WrittenRows
from gateway.databases.stamps import Stamp
from gateway.errors import UndoRefused
from gateway.naming import schema_database
from gateway.operations import keep_copy, undo_migration
from gateway.operations.deploy import DeployTerms
from gateway.operations.keep_copy import CopyRules, loses_or_rewrites
from gateway.operations.undo_migration import UndoRequest
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


OWNER = schema_database("shop", "shop", "a")
DATABASE = ManagedDatabase(name="shop_shop_a", oid=7, owner=OWNER, stamp=Stamp(owner=OWNER).to_text())


def test_without_counts_from_before_nothing_is_waited_for_after_the_migration(monkeypatch) -> None:
    connected, sealed = [], []
    services = SimpleNamespace(
        registry=SimpleNamespace(forget=lambda _: None),
        copies=SimpleNamespace(make=lambda *_, **__: "copy", seal=lambda *copy_and_mark: sealed.append(copy_and_mark)),
    )

    def dedicated_to(_services, database):
        connected.append(database)
        return nullcontext()

    monkeypatch.setattr(keep_copy, "dedicated_to", dedicated_to)
    monkeypatch.setattr(WrittenRows, "now", lambda _: WrittenRows(before=None))
    monkeypatch.setattr(CopyRules, "_needs_copy", lambda *_: True)
    rules = CopyRules(services, None, DeployTerms(undo=True, request_id="r"))
    with rules.kept_copy(DATABASE):
        assert sealed == []
    assert connected == [DATABASE]  # before; a connection after it would wait for the other sessions
    assert sealed == [("copy", None)]


@pytest.mark.parametrize(
    ("mark", "why"), [(None, "may have been written, as it is in use"), ("2", "have been written")]
)
def test_a_refused_undo_says_why_and_how_to_force_it(monkeypatch, mark, why) -> None:
    services = SimpleNamespace(registry=SimpleNamespace(forget=lambda _: None))
    monkeypatch.setattr(undo_migration, "dedicated_to", lambda *_: nullcontext())
    monkeypatch.setattr(undo_migration, "read_mark", lambda _: mark)
    kept_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    copy = KeptCopy(name="c", stamp=Stamp(owner=OWNER), oid=7, kept_at=kept_at, request_id="r", mark="1")
    with pytest.raises(UndoRefused) as refused:
        undo_migration._refuse_written(services, copy, DATABASE)
    assert refused.value.message == (
        f"rows of 'shop_shop_a' {why} since the migration of 2026-01-02T03:04:05+00:00, or it has been deployed to "
        "again; an undo loses these changes; repeat it with force to accept that"
    )


def test_an_expired_copy_is_restored_only_by_force(monkeypatch) -> None:
    restored = []

    def put_back(*copy_and_database: object) -> tuple[str, ...]:
        restored.append(copy_and_database)
        return ()

    kept_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    copy = KeptCopy(name="c", stamp=Stamp(owner=OWNER), oid=7, kept_at=kept_at, request_id="r", mark="1")
    services = SimpleNamespace(
        copies=SimpleNamespace(all=lambda: [copy], has_expired=lambda _: True, put_back=put_back),
        directory=SimpleNamespace(find=lambda _: DATABASE, forget=lambda _: None),
        registry=SimpleNamespace(changed=lambda _: None),
        settings=SimpleNamespace(parallel_deploys=1),
    )
    monkeypatch.setattr(undo_migration, "deploy_turn", lambda _: nullcontext())
    wanted = UndoRequest(platform="shop", schema_name="shop")
    (refused,) = undo_migration.undo_migration(services, wanted)
    assert (refused.status, restored) == ("failed", [])
    assert "the copy of 2026-01-02T03:04:05+00:00 has expired (UNDO_KEEP_SECS)" in (refused.message or "")
    (forced,) = undo_migration.undo_migration(services, replace(wanted, force=True))
    assert (forced.status, restored) == ("restored", [(copy, DATABASE)])

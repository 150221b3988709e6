"""Migrations build a table again, and its declaration follows in the same release, the next one, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

OLD = "CREATE TABLE t (id int PRIMARY KEY, a int, b text);"
NEW = "(id bigint PRIMARY KEY, a numeric(10, 2) NOT NULL, b text)"
FILL = "INSERT INTO {} SELECT id, coalesce(a, 0), b FROM {};"
ROWS = "INSERT INTO t VALUES (1, 5, 'x'), (2, NULL, 'y')"
PARTITIONED = "(id int, a int, b text, PRIMARY KEY (id, b)) PARTITION BY LIST (b)"
NUMBERED = "(id bigserial, b text NOT NULL, PRIMARY KEY (id, b)) PARTITION BY LIST (b)"
PARTITION = "CREATE TABLE t_rest PARTITION OF {} DEFAULT;"
REFERRING = "CREATE TABLE c (t int REFERENCES t); CREATE INDEX t_a ON t (a);"


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    migration: str
    old: str = OLD
    new: str = f"CREATE TABLE t {NEW};"
    functions: str = ""
    rows: str = ROWS


def _beside(new: str, *, fill: str = FILL.format("t_new", "t"), drop: str = "DROP TABLE t", then: str = "") -> str:
    return f"CREATE TABLE t_new {new}; {fill} {drop}; ALTER TABLE t_new RENAME TO t; {then}"


REBUILT = {
    "under another name": Rebuilt(migration=_beside(NEW)),
    "with the name of its key": Rebuilt(
        migration=_beside(NEW, then="ALTER TABLE t RENAME CONSTRAINT t_new_pkey TO t_pkey;")
    ),
    "with CASCADE": Rebuilt(
        migration=_beside(NEW, drop="DROP TABLE t CASCADE"),
        old=OLD + REFERRING,
        new=f"CREATE TABLE t {NEW};{REFERRING}",
        functions="CREATE VIEW v AS SELECT id, b FROM t; CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM v;",
    ),
    "with other columns": Rebuilt(
        migration=_beside("(id int PRIMARY KEY, d date)", fill="INSERT INTO t_new (id) SELECT id FROM t;"),
        new="CREATE TABLE t (id int PRIMARY KEY, d date);",
    ),
    "with a sequence": Rebuilt(
        migration=_beside(
            "(id bigserial PRIMARY KEY, a int)",
            fill="INSERT INTO t_new (a) SELECT a FROM t;",
            then="ALTER SEQUENCE t_new_id_seq RENAME TO t_id_seq;",
        ),
        old="CREATE TABLE t (id serial PRIMARY KEY, a int, b text);",
        new="CREATE TABLE t (id bigserial PRIMARY KEY, a int);",
    ),
    "with its name": Rebuilt(
        migration=f"ALTER TABLE t RENAME TO t_old; CREATE TABLE t {NEW}; {FILL.format('t', 't_old')} DROP TABLE t_old;"
    ),
    "as it was": Rebuilt(
        migration=_beside(
            "(LIKE t INCLUDING ALL)", fill="ALTER TABLE t_new DROP a; INSERT INTO t_new SELECT id, b FROM t;"
        ),
        new="CREATE TABLE t (id int PRIMARY KEY, b text);",
    ),
    "with partitions": Rebuilt(
        migration=_beside(PARTITIONED, fill=f"{PARTITION.format('t_new')} INSERT INTO t_new TABLE t;"),
        new=f"CREATE TABLE t {PARTITIONED}; {PARTITION.format('t')}",
    ),
    "with partitions and a sequence": Rebuilt(
        migration=(
            f"ALTER TABLE t RENAME TO t_old; CREATE TABLE t {NUMBERED}; {PARTITION.format('t')}"
            "INSERT INTO t SELECT * FROM t_old; DROP TABLE t_old;"
        ),
        old="CREATE TABLE t (id serial PRIMARY KEY, b text NOT NULL);",
        new=f"CREATE TABLE t {NUMBERED}; {PARTITION.format('t')}",
        rows="INSERT INTO t (b) VALUES ('x'), ('y')",
    ),
    "without partitions": Rebuilt(
        migration=_beside("(id int PRIMARY KEY, a int, b text)", fill="INSERT INTO t_new TABLE t;"),
        old=f"CREATE TABLE t {PARTITIONED}; {PARTITION.format('t')}",
        new=OLD,
    ),
}


@pytest.mark.parametrize("name", REBUILT)
def test_a_declaration_that_follows_a_rebuilt_table_later(make_database: Callable[[], str], name: str):
    rebuilt = REBUILT[name]
    lagging = files(rebuilt.old, rebuilt.migration, functions=rebuilt.functions)
    caught_up = files(rebuilt.new, rebuilt.migration, functions=rebuilt.functions)
    old, skipping, new, newer = (Tenant(make_database()) for _ in range(4))
    for tenant in (old, skipping):
        tenant.register(files(rebuilt.old, functions=rebuilt.functions))
        tenant.execute(rebuilt.rows)
    for report in (old.migrate(lagging), new.register(lagging)):
        assert report.differences == ()
        assert any("; new databases get " in warning for warning in report.warnings)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    for report in (old.migrate(caught_up), new.migrate(caught_up), skipping.migrate(caught_up)):
        assert report.differences == report.warnings == ()
    newer.register(caught_up)
    tenants = (old, skipping, new)
    assert all(structure_of(tenant.conninfo) == structure_of(newer.conninfo) for tenant in tenants)
    assert len(old.rows("SELECT FROM t")) == 2
    assert old.rows("SELECT * FROM t ORDER BY id") == skipping.rows("SELECT * FROM t ORDER BY id")


def test_what_only_a_rebuilt_table_demands_stays_until_the_declaration_follows(make_database: Callable[[], str]):
    stricter = "(id int PRIMARY KEY, a int NOT NULL DEFAULT 1, b text)"
    migration = _beside(stricter)
    lagging, caught_up = files(OLD, migration), files(f"CREATE TABLE t {stricter};", migration)
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(OLD))
    old.execute(ROWS)
    other = {"tables/other.pssql": "CREATE TABLE other (x int);"}
    for archive in (lagging, lagging | other):
        differences = old.migrate(archive).differences
        assert [text.partition(":")[0] for text in differences] == ["t.a (alter column default)", "t.a (drop not null)"]
        assert all("a migration and a declaration differ" in text for text in differences)
    report = old.migrate(caught_up | other)
    assert report.differences == report.warnings == ()
    new.register(caught_up | other)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


def test_a_later_declaration_is_not_taken_for_the_earlier_one(make_database: Callable[[], str]):
    later = "CREATE TABLE t (id bigint PRIMARY KEY, a numeric, b text, c int DEFAULT 1);"
    last = files(later, _beside(NEW))
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(OLD))
    old.execute(ROWS)
    old.migrate(files(f"CREATE TABLE t {NEW};", _beside(NEW)))
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)

"""Migrations rename a table or column, and no file declares the new name: rows stay, and new databases have neither."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed

from .conftest import Tenant, files
from .histories.checks import structure

TABLE = "CREATE TABLE t (id serial PRIMARY KEY, a int, b int);"
LATER = "CREATE TABLE t (id serial PRIMARY KEY, a int, c text);"
OTHER = "CREATE TABLE u (id int);"
ASIDE = "ALTER TABLE t RENAME TO t_old;"
BUILD = f"{ASIDE} {LATER} INSERT INTO t SELECT id, a, b::text FROM t_old;"
WITH_NAMES = (
    f"{ASIDE} ALTER INDEX t_pkey RENAME TO t_old_pkey; ALTER SEQUENCE t_id_seq RENAME TO t_old_id_seq; {LATER}"
    "INSERT INTO t SELECT id, a, b::text FROM t_old; COMMENT ON TABLE t_old IS 'kept until March';"
)
PARTS = "CREATE TABLE p (k int) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"

RENAMED = "a migration has renamed it, and no file declares it as it is here"
NO_TABLE = f"{{}} (drop table): here table, in a new database not there; {RENAMED}"
NO_PRIVILEGE = f"t_old (revoke privilege): here SELECT TABLE for PUBLIC, in a new database not there; {RENAMED}"
TAKEN = "t.{} (rename {}): here {}1, in a new database {}; {} is the name of another object here"
KEEP_NAMES = (
    TAKEN.format("t_pkey1", "constraint", *["t_pkey"] * 3),
    TAKEN.format("id", "sequence", *["t_id_seq"] * 3),
)

CASES = {
    "a table": ([files(TABLE + OTHER), files(OTHER, ASIDE)], (NO_TABLE.format("t_old"),)),
    "a table with comments and privileges": (
        [files(TABLE + OTHER + "COMMENT ON TABLE t IS 'x'; GRANT SELECT ON t TO PUBLIC;"), files(OTHER, ASIDE)],
        (NO_TABLE.format("t_old"), NO_PRIVILEGE),
    ),
    "a table into another schema": (
        [files(TABLE + OTHER), files(OTHER, "CREATE SCHEMA aside; ALTER TABLE t SET SCHEMA aside;")],
        (NO_TABLE.format("aside.t"),),
    ),
    "a partitioned table": (
        [files(TABLE + PARTS), files(TABLE, "ALTER TABLE p RENAME TO p_old;")],
        (NO_TABLE.format("p1"), NO_TABLE.format("p_old").replace("here table", "here partitioned table")),
    ),
    "a column": (
        [files(TABLE), files(TABLE.replace(", b int", ""), "ALTER TABLE t RENAME b TO b_old;")],
        (f"t.b_old (drop column): here integer, in a new database not there; {RENAMED}",),
    ),
    "a sequence": (
        [files(TABLE + "CREATE SEQUENCE s;"), files(TABLE, "ALTER SEQUENCE s RENAME TO s_old;")],
        (f"s_old (drop sequence): here bigint, in a new database not there; {RENAMED}",),
    ),
    "a table that is built anew, and its names": (
        [files(TABLE), files(LATER, WITH_NAMES)],
        (NO_TABLE.format("t_old"),),
    ),
    "a table that is built anew, and not its names": (
        [files(TABLE), files(LATER, BUILD)],
        (*KEEP_NAMES, NO_TABLE.format("t_old")),
    ),
    "a table that a later migration drops": (
        [files(TABLE), files(LATER, BUILD), files(LATER, BUILD, "DROP TABLE t_old;")],
        (),
    ),
}


@pytest.mark.parametrize(("versions", "differences"), CASES.values(), ids=CASES.keys())
def test_what_is_put_aside_stays_and_new_databases_do_without(
    make_database: Callable[[], str], versions: list[dict[str, str]], differences: tuple[str, ...]
):
    fresh = Tenant(make_database())
    new = fresh.register(versions[-1])
    assert new.differences == ()
    for taken in (versions, [versions[0], versions[-1]]):
        tenant = Tenant(make_database())
        tenant.register(taken[0])
        tenant.execute("INSERT INTO t (a, b) VALUES (1, 2)")
        for version in taken[1:]:
            report = tenant.migrate(version)
        assert sorted(report.differences) == sorted(differences)
        assert (structure(tenant) == structure(fresh)) == (not differences)
        again = tenant.migrate(versions[-1] | {"seeders/none.pssql": ""})
        assert again.schema_validation.is_empty
        assert sorted(again.differences) == sorted(differences)


@pytest.mark.parametrize(
    ("rename", "missing", "later"),
    [
        (ASIDE, 'relation "t"', "t_old"),
        ("ALTER TABLE u RENAME a TO b;", 'column "a"', "b"),
        ("ALTER SEQUENCE s RENAME TO s_old;", 'relation "s"', "s_old"),
    ],
)
def test_a_rename_of_what_there_never_was(tenant: Tenant, rename: str, missing: str, later: str):
    """In a new database the last migration may be right; in an existing one it is a mistake."""
    report = tenant.register(files(OTHER, rename))
    assert report.warnings == (
        f"migrations/001.pssql, line 1 was left out: {missing} does not exist, and no file declares {later}, so new "
        "databases have neither",
    )
    with pytest.raises(MigrationFailed, match=f"{missing} does not exist"):
        tenant.migrate(files(OTHER, rename, rename))
    assert tenant.migrate(files(OTHER, rename, "SELECT 1")).warnings == ()


@pytest.mark.parametrize(
    ("copy", "told"),
    [
        ("DROP TABLE gone;", 0),
        ("INSERT INTO t (a) SELECT a FROM gone; DROP TABLE gone;", 1),
        ("UPDATE t SET a = gone.a FROM gone; DROP TABLE gone;", 1),
        ("UPDATE gone SET a = 2; DELETE FROM gone WHERE a = 2; DROP TABLE gone;", 0),
    ],
)
def test_rows_of_a_table_that_is_dropped_are_missed_only_if_they_are_copied(tenant: Tenant, copy: str, told: int):
    report = tenant.register(files(TABLE, "INSERT INTO gone VALUES (1);", copy))
    assert len(report.warnings) == told
    for warning in report.warnings:
        assert warning.startswith('migrations/002.pssql, line 1 was left out: relation "gone" does not exist, ')

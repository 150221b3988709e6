"""A name that an object of the last release has is given to an object of a new table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed
from tests.support.structure import structure_of

from .conftest import Tenant, files

MOVED = {
    "an index": (
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a);",
        "CREATE TABLE u (b int); CREATE INDEX i ON u (b);",
    ),
    "a key": ("CREATE TABLE t (a int, CONSTRAINT i UNIQUE (a));", "CREATE TABLE u (b int, CONSTRAINT i UNIQUE (b));"),
    "an index to a table": ("CREATE TABLE t (a int); CREATE INDEX u ON t (a);", "CREATE TABLE u (b int);"),
    "an index to a type": (
        "CREATE TABLE t (a int); CREATE INDEX p ON t (a);",
        "CREATE TYPE p AS (x int); CREATE TABLE u (b p);",
    ),
}


@pytest.mark.parametrize(
    ("what", "migration"),
    [*((what, "") for what in MOVED), *((what, "INSERT INTO u SELECT FROM t;") for what in ("an index", "a key"))],
)
def test_a_name_moves_to_a_new_table(make_database: Callable[[], str], what: str, migration: str):
    first, new_table = MOVED[what]
    old, new = (Tenant(make_database()) for _ in range(2))
    old.register({"tables/t.pssql": first})
    old.execute("INSERT INTO t VALUES (1)")
    last = files("CREATE TABLE t (a int);", *filter(None, [migration])) | {"tables/u.pssql": new_table}
    for report in (old.migrate(last), new.register(last)):
        assert (report.warnings, report.differences) == ((), ())
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    assert old.rows("SELECT count(*) FROM u") == [(1 if migration else 0,)]


def test_a_type_that_stays_keeps_its_name(make_database: Callable[[], str]):
    tenant = Tenant(make_database())
    tenant.register(files("CREATE TABLE t (a int);", types="CREATE TYPE u AS (x int);"))
    last = "CREATE TABLE t (a int); CREATE TABLE u (b int);"
    with pytest.raises(MigrationFailed, match="drop or rename what has the name in a migration"):
        tenant.migrate(files(last))
    assert tenant.migrate(files(last, "DROP TYPE u;")).differences == ()

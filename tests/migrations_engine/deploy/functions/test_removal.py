"""Functions that something uses which was forced to stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

F = "CREATE FUNCTION f({}) RETURNS {} LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
#: Other objects that use the function, and follow its new version.
USERS = (
    "CREATE VIEW v AS SELECT f(a) AS f FROM t;"
    "CREATE FUNCTION g(int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT f($1); END;"
)
BEFORE = F.format("x int", "int") + USERS
AFTER = {
    "another name of an argument": F.format("y int", "int") + USERS,
    "another result": F.format("x int", "bigint") + USERS,
    "another argument": F.format("x int, y int DEFAULT 1", "int") + USERS,
    "no file": "SELECT 1;",
}
COLUMNS = {"default": "b int DEFAULT f(1)", "generated": "b int GENERATED ALWAYS AS (f(a)) STORED"}
STAYS = "here, not in a new database; it stays because what was forced to stay uses it"
DROP = "ALTER TABLE t DROP COLUMN b;"


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("case", AFTER)
def test_a_function_stays_for_a_column_that_was_forced_to_stay(
    make_database: Callable[[], str], case: str, column: str
) -> None:
    before = files(f"CREATE TABLE t (a int, {COLUMNS[column]});", functions=BEFORE)
    after = files("CREATE TABLE t (a int);", functions=AFTER[case])
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(before)
    old.execute("INSERT INTO t (a) VALUES (1)")
    old.migrate(after, force=True)
    other = after | {"tables/z.pssql": "CREATE TABLE z (a int);"}
    report = old.migrate(other)
    assert [text for text in report.differences if STAYS in text]
    assert len(report.differences) == 2
    assert old.rows("SELECT a, b FROM t") == [(1, 1)]
    last = other | files("CREATE TABLE t (a int);", DROP, functions=AFTER[case])
    report = old.migrate(last)
    assert not report.differences
    new.register(last)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)

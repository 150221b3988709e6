"""A NOT NULL of a migration that is declared under another name, or otherwise inherited (since PostgreSQL 18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine import MigrationFailed
from tests.conftest import SERVER_VERSION
from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

pytestmark = pytest.mark.skipif(SERVER_VERSION < 18, reason="NOT NULL has no name")
TABLE = "CREATE TABLE t (id int, {});"


@pytest.mark.parametrize("column", ["a int NOT NULL", "a int CONSTRAINT x NOT NULL", "a int NOT NULL NO INHERIT"])
@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE t ALTER a SET NOT NULL;",
        "ALTER TABLE t ADD NOT NULL a;",
        "ALTER TABLE t ADD NOT NULL a NO INHERIT;",
        "ALTER TABLE t ADD CONSTRAINT n NOT NULL a;",
        "ALTER TABLE t ADD CONSTRAINT n NOT NULL a NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT n;",
        "ALTER TABLE t ADD CONSTRAINT n NOT NULL a NOT VALID, VALIDATE CONSTRAINT n;",
    ],
)
@pytest.mark.parametrize("lags", [False, True])
def test_the_declared_one_stays(make_database: Callable[[], str], column: str, migration: str, lags: bool):
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(TABLE.format("a int")))
    if lags:
        old.migrate(files(TABLE.format("a int"), migration))
    last = files(TABLE.format(column), migration)
    assert old.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


def test_a_second_one_is_a_mistake(tenant: Tenant):
    tenant.register(files(TABLE.format("a int NOT NULL")))
    with pytest.raises(MigrationFailed, match='cannot create not-null constraint "n"'):
        tenant.migrate(files(TABLE.format("a int NOT NULL"), "ALTER TABLE t ADD CONSTRAINT n NOT NULL a;"))


PARENT = "CREATE TABLE t (id int NOT NULL, at date NOT NULL) PARTITION BY LIST (id);"
ATTACHED = {
    "a table that becomes the partition of another": (
        PARENT + "CREATE TABLE old PARTITION OF t FOR VALUES IN (1);",
        f"ALTER TABLE t RENAME TO old; {PARENT} ALTER TABLE t ATTACH PARTITION old FOR VALUES IN (1);",
    ),
    "a table that becomes the child of another": (
        "CREATE TABLE p (id int CONSTRAINT n NOT NULL); CREATE TABLE t (at date NOT NULL) INHERITS (p);",
        "CREATE TABLE p (id int CONSTRAINT n NOT NULL); ALTER TABLE t INHERIT p;",
    ),
}


@pytest.mark.parametrize("case", ATTACHED)
def test_names_that_cannot_be_changed_stay(tenant: Tenant, make_database: Callable[[], str], case: str):
    declared, migration = ATTACHED[case]
    last, new = files(declared, migration), Tenant(make_database())
    tenant.register(files("CREATE TABLE t (id int NOT NULL, at date NOT NULL);"))
    tenant.execute("INSERT INTO t VALUES (1, '2020-01-01')")
    tenant.migrate(last)
    assert tenant.migrate(last).schema_validation.is_empty
    new.register(last)
    assert tenant.rows("SELECT id FROM t") == [(1,)]

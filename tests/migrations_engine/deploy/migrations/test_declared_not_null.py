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

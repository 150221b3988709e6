"""Migrations change a domain, and a column declared later has the domain inside its type."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine.errors import MigrationFailed
from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

DOMAIN = "CREATE DOMAIN score AS int CONSTRAINT c CHECK (VALUE > {});"
PAIR = "CREATE TYPE pair AS (x int, z score);"
TABLE = "CREATE TABLE t (id int, s score{});"
CHANGE = "ALTER DOMAIN score DROP CONSTRAINT c; ALTER DOMAIN score ADD CONSTRAINT c CHECK (VALUE > -3);"


@pytest.mark.parametrize(
    "column",
    [
        ", p pair",
        ", p score[]",
        ", p pair[] DEFAULT '{}'",
        ", p pair DEFAULT ROW(1, 2)); CREATE VIEW v AS SELECT p, (p).z FROM t; CREATE TABLE u (q pair",
    ],
)
def test_a_check_of_a_domain_inside_a_column(make_database: Callable[[], str], column: str):
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(TABLE.format(""), types=DOMAIN.format(-2)))
    old.migrate(files(TABLE.format(""), CHANGE, types=DOMAIN.format(-3)))
    last = files(TABLE.format(column), CHANGE, types=DOMAIN.format(-3) + PAIR)
    old.migrate(last)
    new.register(last)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


def test_a_column_with_values_is_left_as_it_is(tenant: Tenant):
    rows = "INSERT INTO t VALUES (1, 1, ROW(1, 1));"
    with pytest.raises(MigrationFailed, match=r'001\.pssql, line 1 failed: cannot alter type "score"'):
        tenant.register(files(TABLE.format(", p pair"), rows + CHANGE, types=DOMAIN.format(-3) + PAIR))

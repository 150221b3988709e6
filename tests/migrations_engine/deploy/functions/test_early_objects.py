"""Operators, casts and types that are new together with the checks, indexes and views that use them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.migrations_engine.conftest import Tenant, files
from tests.support.structure import structure_of

TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int);"
OPERATOR = """
CREATE FUNCTION same(x int, y int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT x = y $$;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same);
COMMENT ON OPERATOR === (int, int) IS 'the same';
"""
CAST = """
CREATE TYPE pair AS (x int, y int);
CREATE FUNCTION to_pair(x int) RETURNS pair LANGUAGE sql IMMUTABLE AS $$ SELECT x, x $$;
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
"""
USES = {
    "a check with an operator": (OPERATOR, "ALTER TABLE t ADD CONSTRAINT k CHECK (a === id);"),
    "an index with an operator": (OPERATOR, "CREATE INDEX i ON t (id) WHERE a === id;"),
    "a generated column with an operator": (
        OPERATOR,
        "ALTER TABLE t ADD g boolean GENERATED ALWAYS AS (a === 1) STORED;",
    ),
    "a check with a cast": (CAST, "ALTER TABLE t ADD CONSTRAINT k CHECK ((a::pair).x > 0);"),
    "a view with a cast": (CAST, "CREATE VIEW v AS SELECT a::pair AS p FROM t;"),
}


@pytest.mark.parametrize("folder", ["functions", "tables"])
@pytest.mark.parametrize("name", USES)
def test_new_objects_and_their_users(make_database: Callable[[], str], name: str, folder: str):
    makes, use = USES[name]
    last = files(TABLE + use, functions=makes) if folder == "functions" else files(makes + TABLE + use)
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(TABLE))
    old.execute("INSERT INTO t VALUES (1, 1)")
    old.migrate(last)
    new.register(last)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)
    again = new.migrate(last | {"seeders/none.pssql": ""})
    assert again.schema_validation.is_empty


def test_a_migration_of_a_new_database_uses_an_operator_of_functions(tenant: Tenant):
    last = files(TABLE, "ALTER TABLE t ADD CONSTRAINT k CHECK (a === id);", functions=OPERATOR)
    tenant.register(last)
    assert tenant.rows("SELECT conname::text FROM pg_constraint WHERE conname = 'k'") == [("k",)]
    assert tenant.migrate(last | {"seeders/none.pssql": ""}).schema_validation.is_empty

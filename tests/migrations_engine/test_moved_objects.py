"""Migrations rename objects or move them to another schema, while functions use them or are moved themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine.errors import FunctionDeployFailed
from tests.support.structure import structure_of

from .conftest import Tenant, files

TABLE = "CREATE SCHEMA s; CREATE TABLE t (id int PRIMARY KEY, a text);"
FUNCTION = "CREATE FUNCTION {}(x int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT x $$;"
NUMBERS = "CREATE TABLE numbers (n int CHECK ({}(n) > 0)); CREATE SCHEMA s;"


@pytest.mark.parametrize("migration", ["ALTER TABLE t SET SCHEMA s;", "ALTER TABLE t RENAME TO u;"])
@pytest.mark.parametrize(
    "function",
    [
        "CREATE FUNCTION f() RETURNS SETOF t LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$;",
        "CREATE FUNCTION f(x regclass DEFAULT 't'::regclass) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;",
        "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM t; END;",
    ],
)
def test_a_function_that_names_a_table_by_its_earlier_name(tenant: Tenant, function: str, migration: str):
    tenant.register(files(TABLE, functions=function))
    with pytest.raises(FunctionDeployFailed, match=r"functions/x\.pssql has not changed, but this deploy breaks it: "):
        tenant.migrate(files(TABLE, migration, functions=function))


@pytest.mark.parametrize(
    ("later", "migration"),
    [
        ("s.f", "ALTER FUNCTION f(int) SET SCHEMA s;"),
        ("g", "ALTER FUNCTION public.f(x int) RENAME TO g;"),
    ],
)
def test_a_function_that_a_migration_moves(make_database: Callable[[], str], later: str, migration: str):
    last = files(NUMBERS.format(later), migration, functions=FUNCTION.format(later))
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files(NUMBERS.format("f"), functions=FUNCTION.format("f")))
    old.migrate(last)
    assert len(new.register(last).satisfied_statements) == 1
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


def test_a_name_that_was_given_up_twice(make_database: Callable[[], str]):
    migrations = (
        "ALTER TABLE t RENAME a TO c;",
        "ALTER TABLE t DROP COLUMN b;",
        "ALTER TABLE t RENAME c TO b;",
        "ALTER TABLE t ADD a int;",
    )
    last = files("CREATE TABLE t (id int, b int, a int);", *migrations)
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(files("CREATE TABLE t (id int, a int, b text);"))
    old.migrate(last)
    new.register(last)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)

"""Operators, casts, triggers, views … of ``functions/``, which tables and migrations of a new database use early."""

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


FILES = {
    "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a int);",
    "functions/f.pssql": "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1';",
    "functions/g.pssql": "CREATE FUNCTION g() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';",
    "functions/h.pssql": "CREATE FUNCTION h() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := 7; RETURN NEW; END';",
    "functions/tr.pssql": "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION h();",
    "functions/v.pssql": "CREATE VIEW u AS SELECT id, f(id) FROM t; CREATE VIEW v AS SELECT * FROM u;",
    "functions/p.pssql": "CREATE POLICY p ON t USING (f(a) > 1);",
}
MIGRATIONS = {
    "disables a trigger": "ALTER TABLE t DISABLE TRIGGER tr;",
    "disables a trigger outside a transaction": "-- gateway: no-transaction\nALTER TABLE t DISABLE TRIGGER tr;",
    "inserts with a trigger and without it": "ALTER TABLE t DISABLE TRIGGER tr; INSERT INTO t VALUES (1, 1);"
    "ALTER TABLE t ENABLE TRIGGER tr; INSERT INTO t VALUES (2, 1);",
    "renames a trigger": "ALTER TRIGGER tr ON t RENAME TO other;",
    "alters a policy": "ALTER POLICY p ON t USING (a > 2);",
    "comments": "COMMENT ON TRIGGER tr ON t IS 'x'; COMMENT ON VIEW v IS 'y'; COMMENT ON POLICY p ON t IS 'z';",
    "alters a view": "ALTER VIEW v SET (security_barrier); GRANT SELECT ON v TO PUBLIC;",
    "reads a view": "CREATE TABLE k AS SELECT count(*) FROM v; CREATE VIEW w AS SELECT id FROM v;",
    "calls a function over a view": "SELECT * FROM g();",
    "alters a function over a view": "ALTER FUNCTION g() DEPENDS ON EXTENSION plpgsql;",
    "renames a function under a view": "ALTER FUNCTION f(int) RENAME TO f2;",
    "drops a function under a view": "DROP POLICY p ON t; DROP FUNCTION f(int) CASCADE;",
    "drops a view": "DROP VIEW v CASCADE;",
}


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_migrations_that_name_them_make_equal_databases(
    tenant: Tenant, make_database: Callable[[], str], migration: str
):
    tenant.register(FILES)
    new = Tenant(make_database())

    last = {**FILES, "migrations/1.pssql": MIGRATIONS[migration]}
    report = tenant.migrate(last)
    new.register(last)

    assert not report.differences
    assert structure_of(tenant.conninfo) == structure_of(new.conninfo)
    assert tenant.rows("SELECT t::text FROM t") == new.rows("SELECT t::text FROM t")

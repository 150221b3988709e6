"""The error for a statement that PostgreSQL refuses names the file and the line of it, in every folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migrations_engine.errors import EngineError

from .conftest import Tenant

TABLE = "CREATE TABLE t (\n  id int PRIMARY KEY,\n  name text\n);\n"
FUNCTION = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
GOOD = {"tables/t.pssql": TABLE, "functions/f.pssql": FUNCTION}

BAD = {
    "a wrong type in a table": ("tables/b.pssql", "-- b\n\nCREATE TABLE b (\n  a int,\n  c intt\n);", 5),
    "a second table of one name": ("tables/b.pssql", "CREATE TABLE b (a int);\nSELECT 1;\n\nCREATE TABLE b (c int)", 4),
    "a check that a row of the file breaks": (
        "tables/b.pssql",
        "CREATE TABLE b (a int CHECK (a > 0));\nINSERT INTO b VALUES (1);\nINSERT INTO b\nVALUES (0);",
        3,
    ),
    "a missing column of a view": ("tables/v.pssql", "\nCREATE VIEW v AS\nSELECT id,\n  nothing\nFROM t;", 4),
    "a column that is missing in an index": (
        "tables/b.pssql",
        "BEGIN;\nCREATE TABLE b (a int);\nCREATE INDEX ON b (nothing);\nCOMMIT;",
        3,
    ),
    "a type": ("types/mood.pssql", "CREATE TYPE mood AS ENUM ('a');\nCREATE TYPE mood AS ENUM (\n'b',\n'b');", 2),
    "a domain": ("types/d.pssql", "\n\nCREATE DOMAIN d AS\n  nothing;", 4),
    "a migration": ("migrations/1.pssql", "ALTER TABLE t ADD x int;\nALTER TABLE t\n  ADD y intt;", 3),
    "a wrong type of an existing column in a migration": (
        "migrations/1.pssql",
        "SELECT 1;\nALTER TABLE t\n  ALTER name TYPE intt USING 1;",
        3,
    ),
    "a migration that raises": (
        "migrations/1.pssql",
        "SELECT 1;\n/* two\nlines */ DO $$ BEGIN\n  RAISE EXCEPTION 'no';\nEND $$;",
        3,
    ),
    "a migration outside a transaction": (
        "migrations/1.pssql",
        "-- gateway: no-transaction\nSELECT 1;\nCREATE INDEX CONCURRENTLY\n  ON t (nothing);",
        3,
    ),
    "the syntax of a body": (
        "functions/g.pssql",
        "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRN 1;\nEND $$;",
        3,
    ),
    "what a body in SQL uses": (
        "functions/g.pssql",
        "CREATE FUNCTION h() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;\n"
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $$\nSELECT id\nFROM nothing $$;",
        4,
    ),
    "a function that is replaced": (
        "functions/f.pssql",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2';\nCREATE FUNCTION g(x\n  intt) RETURNS int"
        " LANGUAGE sql AS 'SELECT 1';",
        3,
    ),
    "a trigger beside a function": (
        "functions/g.pssql",
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;\n\n\n"
        "CREATE TRIGGER g BEFORE UPDATE OF nothing\n  ON t FOR EACH ROW EXECUTE FUNCTION g();",
        4,
    ),
    "a grant to nobody": ("functions/f.pssql", f"{FUNCTION}\nGRANT EXECUTE ON FUNCTION f()\nTO nobody;", 2),
    "a function in the file of a table": (
        "tables/b.pssql",
        "CREATE TABLE b (a int);\n\nCREATE FUNCTION g() RETURNS int LANGUAGE sql AS\n'SELECT ' || 1;",
        4,
    ),
    "a seeder": ("seeders/t.pssql", "INSERT INTO t VALUES (1);\n\nINSERT INTO t (id,\n  nothing) VALUES (2, 'b');", 4),
    "a seeder against a key": ("seeders/t.pssql", "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1);", 2),
    "another statement of a seeder": ("seeders/t.pssql", "INSERT INTO t VALUES (1);\nUPDATE t\nSET nothing = 1;", 3),
}  # fmt: skip


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "existing"])
def test_file_and_line(make_database: Callable[[], str], is_new: bool) -> None:
    shared = tenant_with(make_database, is_new)
    for name, (file, text, line) in BAD.items():
        commits = "no-transaction" in text
        tenant = tenant_with(make_database, is_new) if commits else shared
        with pytest.raises(EngineError) as failure:
            tenant.register(GOOD | {file: text})
        assert failure.value.server is not None, name
        assert (failure.value.file, failure.value.line) == (file, line), name
        beginning = f"{file}, line {line} failed: {failure.value.server.message}"
        assert failure.value.message.startswith(beginning), name


def test_a_body_of_an_unchanged_file_has_a_line(tenant: Tenant) -> None:
    user = "CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$\n  SELECT name\n  FROM t $$;"
    files = GOOD | {"functions/g.pssql": user}
    tenant.register(files)
    renamed = {
        "tables/t.pssql": TABLE.replace("name", "title"),
        "migrations/1.sql": "ALTER TABLE t RENAME name TO title",
    }
    with pytest.raises(EngineError) as failure:
        tenant.migrate(files | renamed)
    assert (failure.value.file, failure.value.line) == ("functions/g.pssql", 2)


def tenant_with(make_database: Callable[[], str], is_new: bool) -> Tenant:
    tenant = Tenant(make_database())
    if not is_new:
        tenant.register(GOOD)
    return tenant

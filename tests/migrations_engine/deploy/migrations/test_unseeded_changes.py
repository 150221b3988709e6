"""Migrations that read or change rows of seeders, which a new database gets after them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from migrations_engine import DeployReport
from tests.migrations_engine.conftest import Tenant, files

TABLES = """
    CREATE TABLE roles (id serial PRIMARY KEY, name text UNIQUE, level int DEFAULT 0, price int DEFAULT 100);
    CREATE TABLE "Role rights" (role int REFERENCES roles, code text, PRIMARY KEY (role, code));
    CREATE TABLE settings (id serial PRIMARY KEY, role int, v text);
    CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT clock_timestamp(), v text);
"""
ROLES = "INSERT INTO roles (name) VALUES ('admin'), ('user');"
GRANT = """INSERT INTO "Role rights" SELECT id, 'all' FROM roles WHERE name = 'admin'"""
SETTING = "INSERT INTO settings (role, v) VALUES ((SELECT id FROM roles WHERE name = 'admin'), 'x')"
BLOCK = "DO $$ BEGIN INSERT INTO settings (role) SELECT id FROM roles; END $$"
UPDATE = "UPDATE roles SET level = 9 WHERE name = 'admin'"
COMMON_TABLE = f"WITH new AS ({UPDATE} RETURNING id) INSERT INTO log (v) SELECT id FROM new"
LOG = "INSERT INTO log (v) SELECT name FROM roles"
CREATED_AS = "CREATE TABLE IF NOT EXISTS copied AS SELECT name FROM roles"
SELECTED_INTO = "SELECT name INTO TEMP new FROM roles; INSERT INTO settings (v) SELECT name FROM new; DROP TABLE new"
COPY = 'INSERT INTO settings (role) SELECT role FROM "Role rights"'
#: Migrations, and the tables in which new databases lack their result.
LACKING = {
    "a query": ([GRANT], ['"Role rights"']),
    "a subquery": ([SETTING], ["settings"]),
    "a block": ([BLOCK], ["settings"]),
    "a common table": ([COMMON_TABLE], ["log", "roles"]),
    "a change": ([UPDATE], ["roles"]),
    "a change with comments": ([UPDATE.replace(" ", " /* all */ -- of them\n", 1)], ["roles"]),
    "a table that is created": ([CREATED_AS], ["copied"]),
    "a declared table that is created": (["SELECT id, 1 AS role INTO declared FROM roles"], ["declared"]),
    "by way of a created table": ([SELECTED_INTO], ["settings"]),
    "by way of another table": ([GRANT, COPY], ['"Role rights"', "settings"]),
    "a migration outside a transaction": (["-- gateway: no-transaction\n" + GRANT], ['"Role rights"']),
}  # fmt: skip
#: Migrations, and what other seeders define.
COMPLETE = {
    "rows of its own": (["INSERT INTO roles (name) VALUES ('auditor')"], ""),
    "rows that seeders define, too": ([GRANT], GRANT),
    "rows with a number of their own": ([SETTING], SETTING),
    "rows with a time of their own": ([LOG], LOG),
    "rows that go again": ([GRANT, 'DELETE FROM "Role rights"'], ""),
    "a change that is taken back": (["UPDATE roles SET level = 9", "UPDATE roles SET level = 0"], ""),
    "a change that seeders may have made": (["UPDATE roles SET price = price * 2"], ""),
    "a change of other rows": (["UPDATE roles SET level = 9 WHERE name = 'other'"], ""),
    "a table that goes": (["CREATE TABLE t (a int)", "INSERT INTO t SELECT 1 FROM roles", "DROP TABLE t"], ""),
}  # fmt: skip


def release(*migrations: str, seeders: str = "") -> dict[str, str]:
    return files(TABLES, *migrations, seeders=ROLES) | ({"seeders/b.pssql": seeders} if seeders else {})


def lacking(report: DeployReport) -> list[str]:
    return [found[1] for text in report.warnings if (found := re.search(r'rows of ("[^"]+"|\w+) with the help', text))]


@pytest.mark.parametrize("case", LACKING)
def test_old_and_new_databases_name_the_tables_that_differ(make_database: Callable[[], str], case: str) -> None:
    migrations, tables = LACKING[case]
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(release())
    declared = {"tables/declared.pssql": "CREATE TABLE declared (id int, role int)"} if tables == ["declared"] else {}
    assert lacking(old.migrate(release(*migrations) | declared)) == tables
    assert lacking(new.register(release(*migrations) | declared)) == tables
    rows = [{table: one.rows(f"SELECT * FROM {table}") for table in tables} for one in (old, new)]
    assert all(rows[0][table] != rows[1][table] for table in tables)
    assert new.rows("INSERT INTO roles (name) VALUES ('next') RETURNING id") == [(3,)]


@pytest.mark.parametrize("case", COMPLETE)
def test_changes_that_new_databases_have_are_not_named(make_database: Callable[[], str], case: str) -> None:
    migrations, seeders = COMPLETE[case]
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(release())
    assert lacking(old.migrate(release(*migrations, seeders=seeders), add_seeds=True)) == []
    assert lacking(new.register(release(*migrations, seeders=seeders))) == []


def test_the_advice_ends_the_difference(make_database: Callable[[], str]) -> None:
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(release())
    [text] = old.migrate(release(GRANT)).warnings
    assert text.startswith(
        'migrations/001.pssql, line 1, changes rows of "Role rights" with the help of rows of seeders/'
    )
    assert text.endswith("new databases lack the result: define it in seeders/")
    assert not old.migrate(release(GRANT, seeders=GRANT)).warnings
    assert not new.register(release(GRANT, seeders=GRANT)).warnings
    rows = [one.rows('SELECT * FROM "Role rights"') for one in (old, new)]
    assert rows[0] == rows[1] == [(1, "all")]

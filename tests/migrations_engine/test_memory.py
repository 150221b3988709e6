"""A deploy that has ended holds nothing of its schema, which may be many megabytes of text."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from migrations_engine import EngineError, SchemaFile

from .conftest import Tenant, schema_of

FILES = {
    "types/mood.sql": "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "tables/t.sql": "CREATE TABLE t (id integer PRIMARY KEY, a mood, b text DEFAULT f())",
    "migrations/1.sql": "CREATE INDEX ON t (a)",
    "functions/f.sql": "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "functions/g.sql": "CREATE FUNCTION g() RETURNS text LANGUAGE sql AS 'SELECT h()'",
    "functions/h.sql": "CREATE FUNCTION h() RETURNS text LANGUAGE sql AS 'SELECT f()'",
    "seeders/t.sql": "INSERT INTO t (id, a) VALUES (1, 'ok')",
}
CHANGES = {
    "nothing": {},
    "everything": {
        "types/mood.sql": "CREATE TYPE mood AS ENUM ('sad', 'ok', 'good')",
        "tables/t.sql": "CREATE TABLE t (id integer PRIMARY KEY, a mood, b text DEFAULT f(), c integer)",
        "migrations/2.sql": "CREATE INDEX ON t (b)",
        "functions/f.sql": "CREATE OR REPLACE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT 2::text'",
    },
    "a wrong function": {"functions/i.sql": "CREATE FUNCTION i() RETURNS text LANGUAGE sql AS 'SELECT nosuch()'"},
    "a wrong migration": {"migrations/2.sql": "DROP TABLE nosuch"},
    "a wrong seeder": {"seeders/t.sql": "INSERT INTO t (id, a) VALUES (2, 'bad')"},
}


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def deploy_and_watch(tenant: Tenant, files: dict[str, str], purpose: str, **options: bool) -> list[weakref.ref]:
    schema = schema_of(files)
    folders = ("types", "tables", "migrations", "functions", "seeders")
    watched: list[SchemaFile] = [file for folder in folders for file in getattr(schema, folder)]
    references = [weakref.ref(file) for file in watched]
    with suppress(EngineError):
        tenant.deploy_schema(schema, purpose, **options)
    return references


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_deploy_that_has_ended_holds_no_file(tenant: Tenant, without_collector, change: str, dry_run: bool):
    tenant.register(FILES)
    references = deploy_and_watch(tenant, FILES | CHANGES[change], "migrate", dry_run=dry_run)
    assert [reference() for reference in references if reference() is not None] == []


def test_a_first_deploy_that_has_ended_holds_no_file(tenant: Tenant, without_collector):
    references = deploy_and_watch(tenant, FILES, "register")
    assert [reference() for reference in references if reference() is not None] == []

"""Any schema and any change of it: a refused deploy changes nothing, and rows survive every deploy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.databases.catalog import drop_database
from migrations_engine import MigrationFailed
from tests.support.structure import structure_of

from .conftest import Tenant

#: Types by family, the narrow before the wide; each with a value that all of the family hold.
FAMILIES = {
    "whole": (["smallint", "integer", "bigint"], "7"),
    "text": (["varchar(4)", "varchar(12)", "text"], "'abc'"),
    "number": (["numeric(4,2)", "numeric(8,2)", "numeric(8,4)", "numeric"], "1.25"),
    "moment": (["timestamp(3)", "timestamp"], "'2020-02-03 04:05:06'"),
    "list": (["int[]", "bigint[]"], "'{1,2}'"),
    "mood": (["mood"], "'m0'"),
    "code": (["code"], "'c'"),
}
TABLES = ["a", 'Mixed "Case"', "order"]
COLUMNS = ["b", "C c", "select", "d"]


@dataclass(frozen=True)
class Column:
    family: str
    width: int
    not_null: bool = False
    default: bool = False
    unique: bool = False
    check: bool = False
    indexed: bool = False

    def sql(self, name: str) -> str:
        types, value = FAMILIES[self.family]
        quoted = quote(name)
        parts = [quoted, types[self.width % len(types)]]
        parts += ["NOT NULL"] if self.not_null else []
        parts += [f"DEFAULT {value}"] if self.default else []
        parts += ["UNIQUE"] if self.unique else []
        parts += [f"CHECK ({quoted} = {quoted})"] if self.check else []
        return " ".join(parts)

    @property
    def value(self) -> str:
        return FAMILIES[self.family][1]


@dataclass(frozen=True)
class Shape:
    """A generated schema."""

    tables: dict[str, dict[str, Column]]
    moods: int
    functions: dict[str, int]

    def files(self) -> dict[str, str]:
        labels = ", ".join(f"'m{number}'" for number in range(self.moods))
        files = {
            "types/mood.pssql": f"CREATE TYPE mood AS ENUM ({labels});",
            "types/code.pssql": "CREATE DOMAIN code AS text CHECK (length(VALUE) < 9);",
        }
        for number, (table, columns) in enumerate(self.tables.items()):
            body = ", ".join(["id int PRIMARY KEY", *(column.sql(name) for name, column in columns.items())])
            indexes = "".join(
                f"CREATE INDEX ON {quote(table)} ({quote(name)});" for name, c in columns.items() if c.indexed
            )
            files[f"tables/{number}.pssql"] = f"CREATE TABLE {quote(table)} ({body});{indexes}"
        for name, variant in self.functions.items():
            arguments, result = [("", "int"), ("x int", "int"), ("y int", "int"), ("x text", "text")][variant]
            files[f"functions/{name}.pssql"] = (
                f"CREATE FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE sql AS $$ SELECT NULL::{result} $$;"
            )
        return files


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


columns = st.builds(
    Column,
    family=st.sampled_from(sorted(FAMILIES)),
    width=st.integers(0, 3),
    not_null=st.booleans(),
    default=st.booleans(),
    unique=st.booleans(),
    check=st.booleans(),
    indexed=st.booleans(),
)
shapes = st.builds(
    Shape,
    tables=st.dictionaries(
        st.sampled_from(TABLES), st.dictionaries(st.sampled_from(COLUMNS), columns, max_size=4), min_size=1
    ),
    moods=st.integers(1, 3),
    functions=st.dictionaries(st.sampled_from(["f", "g"]), st.integers(0, 3)),
)


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """A schema, and another one that keeps most of its columns as they are or almost so."""
    before, other = draw(shapes), draw(shapes)
    tables = {}
    for table in {**before.tables, **other.tables}:
        if table not in before.tables or draw(st.integers(0, 5)) == 0:
            kept = other.tables.get(table)
        else:
            kept = {}
            for name in {**before.tables[table], **other.tables.get(table, {})}:
                column = before.tables[table].get(name)
                what = draw(st.sampled_from(["keep", "keep", "alter", "drop", "replace"]))
                if what == "replace" or column is None:
                    column = other.tables.get(table, {}).get(name)
                elif what == "alter":
                    change = draw(columns)
                    field = draw(st.sampled_from(["width", "not_null", "default", "unique", "check", "indexed"]))
                    column = replace(column, **{field: getattr(change, field)})
                if column is not None and what != "drop":
                    kept[name] = column
        if kept is not None:
            tables[table] = kept
    return before, replace(other, tables=tables)


@pytest.fixture(scope="module")
def make(postgres_url: str) -> Callable[[], Tenant]:
    """Create databases that stay until the server stops, so that failures can be inspected."""
    numbers = itertools.count()
    with psycopg.connect(postgres_url, autocommit=True) as admin:

        def database() -> Tenant:
            name = f"test_any_{next(numbers)}"
            drop_database(admin, name)
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return Tenant(make_conninfo(postgres_url, dbname=name))

        yield database


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(evolution=evolutions())
def test_any_evolution(make: Callable[[], Tenant], evolution: tuple[Shape, Shape]):
    before, after = evolution
    tenant = make()
    tenant.register(before.files())
    fill(tenant, before)
    rows, catalog = rows_of(tenant, before, before), tenant.catalog()
    try:
        report = tenant.migrate(after.files())
    except MigrationFailed as failure:
        validation = failure.validation
        assert validation.dataloss_changes or validation.incompatible_changes
        assert tenant.catalog() == catalog
        assert rows_of(tenant, before, before) == rows
        tenant.migrate(after.files(), force=True)
        forced = True
    else:
        validation = report.schema_validation
        forced = False
        assert not validation.dataloss_changes
        assert not validation.incompatible_changes
        fresh = make()
        fresh.register(after.files())
        leftovers = {name for name in before.tables if name not in after.tables}
        assert not leftovers
        assert structure_of(tenant.conninfo) == structure_of(fresh.conninfo)
    assert rows_of(tenant, before, before) == rows, "no row and no value is lost, forced or not"
    for again in (tenant.migrate(after.files()), tenant.migrate(after.files() | {"seeders/none.pssql": ""})):
        assert again.schema_validation.is_empty
        assert (again.tables_created, again.functions_updated, again.functions_dropped) == (0, 0, 0)
    assert forced == bool(validation.dataloss_changes or validation.incompatible_changes)


def fill(tenant: Tenant, shape: Shape) -> None:
    for table, found in shape.tables.items():
        names = "".join(f", {quote(name)}" for name in found)
        values = "".join(f", {column.value}" for column in found.values())
        tenant.execute(f"INSERT INTO {quote(table)} (id{names}) VALUES (1{values})")
        if not any(column.not_null for column in found.values()):
            tenant.execute(f"INSERT INTO {quote(table)} (id{names}) VALUES (2{', NULL' * len(found)})")


def rows_of(tenant: Tenant, shape: Shape, within: Shape) -> dict[str, list[tuple]]:
    """Return every value, as PostgreSQL compares it: 1.2500 is 1.25."""
    return {
        table: tenant.rows(
            "SELECT id"
            + "".join(f", {quote(name)}::{_COMPARED[column.family]}" for name, column in found.items())
            + f" FROM {quote(table)} ORDER BY id"
        )
        for table, found in shape.tables.items()
        if table in within.tables
    }


_COMPARED = {
    "whole": "bigint",
    "text": "text",
    "number": "float",
    "moment": "timestamp",
    "list": "bigint[]",
    "mood": "text",
    "code": "text",
}

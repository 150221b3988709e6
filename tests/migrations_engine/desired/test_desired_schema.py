"""What is remembered of schemas, bounded by the memory that it takes."""

from __future__ import annotations

import tracemalloc

import psycopg

from migrations_engine import DesiredSchemas
from migrations_engine.catalog import read_catalog
from migrations_engine.desired import DesiredSchema
from migrations_engine.model import Catalog

from ..conftest import schema_of

CAPACITY = 400_000


def put(schemas: DesiredSchemas, number: int, text: str) -> None:
    catalog = Catalog.from_json(text.replace("customers", f"customers_{number}"))
    schema = schema_of({"tables/t.sql": f"CREATE TABLE customers_{number} ()"})
    schemas.put(schema, 160000, DesiredSchema.of(schema, declared=catalog, complete=catalog, routines=()))


def test_the_least_used_schemas_are_forgotten_before_memory_grows(connection: psycopg.Connection):
    for number in range(10):
        columns = ", ".join(f"column_{index} text DEFAULT 'x' CHECK (column_{index} <> '')" for index in range(20))
        connection.execute(f"CREATE TABLE customers_{number} (id serial PRIMARY KEY, {columns})")
    text = read_catalog(connection).to_json()
    assert 20_000 < len(text) < CAPACITY / 4

    schemas, loaded = DesiredSchemas(CAPACITY), []
    put(schemas, 0, text)
    tracemalloc.start()
    try:
        for number in range(1, 8 * CAPACITY // len(text)):
            put(schemas, number, text)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 8 * CAPACITY

    def known(number: int) -> bool:
        def load() -> DesiredSchema:
            loaded.append(number)
            return DesiredSchema(declared=Catalog.from_json(text), complete=Catalog.from_json(text))

        schemas.get(schema_of({"tables/t.sql": f"CREATE TABLE customers_{number} ()"}), 160000, load)
        return number not in loaded

    assert known(8 * CAPACITY // len(text) - 1)
    assert not known(0)

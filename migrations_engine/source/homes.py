"""Finds the schemas of the objects that a file names without one, if it sets a search path of several schemas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.schema import Homes, Schema, SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.script import script_of, statements_of


def with_homes(schema: Schema) -> Schema:
    """Return *schema*; its files with a search path of several schemas know where the objects of all files are."""
    files = (*schema.types, *schema.tables, *schema.migrations, *schema.seeders)
    if not any(map(_may_need_homes, files)):
        return schema
    homes = _homes(schema)

    def completed(files: Iterable[SchemaFile]) -> tuple[SchemaFile, ...]:
        return tuple(replace(file, homes=homes) if _may_need_homes(file) else file for file in files)

    return replace(
        schema,
        types=completed(schema.types),
        tables=completed(schema.tables),
        migrations=completed(schema.migrations),
        functions=completed(schema.functions),
        seeders=completed(schema.seeders),
    )


def _may_need_homes(file: SchemaFile) -> bool:
    return b"search_path" in file.content.lower() and any(
        statement.search_path is not None and len(statement.search_path.schemas) > 1
        for statement in script_of(file).statements
    )


def _homes(schema: Schema) -> Homes:
    """Return the schemas and names of what the files create, and of tables before migrations rename them to that."""
    found: set[tuple[str, str]] = set()
    for file in (*schema.types, *schema.tables, *schema.migrations):
        for made in script_of(file).created:
            home = made.table.schema if made.kind == "INDEX" and made.table is not None else made.schema
            if made.name is not None:
                found.add((home or DEFAULT_SCHEMA, made.name))
    for statement in reversed([*statements_of(schema.migrations)]):
        altered = alter_table_actions(statement)
        if statement.search_path is None or altered is None or altered.actions[0].kind != "RENAME TO":
            continue
        later, earlier = altered.actions[0].new_name, altered.table.name
        path = statement.search_path.schemas
        home = next((schema for schema in path if (schema, later) in found), None)
        if home is not None and not any((schema, earlier) in found for schema in path):
            found.add((home, earlier))
    return frozenset(found)

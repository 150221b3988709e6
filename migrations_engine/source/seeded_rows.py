"""Finds statements of migrations that read or change rows of seeders, which a new database gets after them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.created_as import table_created_as
from migrations_engine.source.dependency_order import order_migrations
from migrations_engine.source.effects_on_rows import is_insert_of_values
from migrations_engine.source.lexer import GAP, name_of
from migrations_engine.source.names import insert_target
from migrations_engine.source.script import script_of, statements_of
from migrations_engine.source.statements import SqlStatement

#: The leading words of statements that may add, change or delete rows.
_WRITING: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "DO"})
_NAME: Final = r'(?:[\w$]+|"(?:[^"]|"")+")'
#: The table to which a statement, or one in the code of a DO, writes. What else it finds is not the name of a table.
_TARGET: Final = re.compile(
    rf"\b(?:(?:INSERT|MERGE)\b{GAP}\bINTO|UPDATE|DELETE\b{GAP}\bFROM)\b{GAP}(?:\bONLY\b{GAP})?"
    rf"(?:{_NAME}{GAP}\.{GAP})?({_NAME})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DataChange:
    """A statement of a migration that may change rows, and the names of their tables."""

    file: SchemaFile
    statement: SqlStatement
    tables: frozenset[str]


def changes_that_need_seeds(schema: Schema) -> tuple[DataChange, ...]:
    """Return the changes of rows that may depend on rows of seeders, in the order in which a new database makes them.

    They name a table with a seeder, or a table that another one of them changes. There are none if all of them insert
    given values.
    """
    tables = {target.table.name for target in map(insert_target, statements_of(schema.seeders)) if target is not None}
    if not tables:
        return ()
    changes = [
        DataChange(file, statement, _written(statement))
        for file in order_migrations(schema.migrations, schema.tables)
        for statement in script_of(file).statements
        if not _WRITING.isdisjoint(statement.words[:1]) or table_created_as(statement) is not None
    ]
    known: set[str] = set()
    while known != tables:
        known = {*tables}
        found = [change for change in changes if _uses(change, known)]
        tables |= {name for change in found for name in change.tables}
    return tuple(found) if any(not is_insert_of_values(change.statement) for change in found) else ()


def _written(statement: SqlStatement) -> frozenset[str]:
    created = table_created_as(statement)
    if created is not None:
        return frozenset({created.name})
    target = insert_target(statement)
    if target is not None and statement.words[:1] == ("INSERT",):
        return frozenset({target.table.name})
    return frozenset(filter(None, map(name_of, _TARGET.findall(statement.text))))


def _uses(change: DataChange, tables: Collection[str]) -> bool:
    if is_insert_of_values(change.statement):
        return not change.tables.isdisjoint(tables)
    return any(mentions_name(change.statement.text, name) for name in tables)

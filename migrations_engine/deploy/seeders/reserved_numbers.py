"""Keeps the numbers of seeders' rows from rows that migrations insert before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.numbers import move_sequences_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.schema import SchemaFile
from migrations_engine.source.insert import Insert, insert_of
from migrations_engine.source.names import insert_target
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_NAME: Final = "_stonescriptdb_gateway_numbers"
_COPY: Final = sql.Identifier("pg_temp", _NAME)
_COPYING: Final = (
    "CREATE TEMPORARY TABLE {name} AS SELECT * FROM {table} LIMIT 0",
    "{before} INSERT INTO {copy} {columns} {rows}",
    "DELETE FROM {copy} WHERE EXISTS (SELECT FROM {table})",
)


def reserve_numbers(session: DeploySession, seeders: Sequence[SchemaFile], migrations: Sequence[SchemaFile]) -> None:
    """Move the sequences of empty tables that *migrations* fill behind the numbers that *seeders* write there.

    Seeders run after the migrations, but their rows are often older. A row of a migration that draws its number would
    get that of a seeder's row, which then counts as present. What PostgreSQL refuses reserves nothing.
    """
    filled = {target.table.address for target in map(insert_target, _statements(migrations)) if target is not None}
    for insert in filter(None, map(insert_of, _statements(seeders) if filled else ())):
        if insert.target.address in filled and not insert.writes:
            with suppress(psycopg.Error, MigrationFailed), session.undone():
                _copy(session, insert)
                move_sequences_of(session, insert.target, rows=_COPY)


def _statements(files: Iterable[SchemaFile]) -> Iterable[SqlStatement]:
    return (statement for file in files for statement in script_of(file).statements)


def _copy(session: DeploySession, insert: Insert) -> None:
    """Insert into a copy of the table. If the table has rows, the copy is empty."""
    columns = sql.SQL(", ").join(map(sql.Identifier, insert.columns or ()))
    parts = {
        "table": sql.Identifier(*insert.target.address),
        "name": sql.Identifier(_NAME),
        "copy": _COPY,
        "columns": sql.SQL("({})").format(columns) if insert.columns is not None else sql.SQL(""),
        "before": sql.SQL(insert.before),
        "rows": sql.SQL(insert.source),
    }
    for statement in _COPYING:
        session.query(sql.SQL(statement).format(**parts))

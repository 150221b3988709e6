"""Keeps the numbers of seeders' rows from rows that migrations insert before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.numbers import move_sequences_of
from migrations_engine.deploy.seeders.rows import insert_into, joined
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.schema import SchemaFile
from migrations_engine.source.insert import Insert, insert_of
from migrations_engine.source.names import ObjectName, insert_target
from migrations_engine.source.script import statements_of

_NAME: Final = "_stonescriptdb_gateway_numbers"
_COPY: Final = sql.Identifier("pg_temp", _NAME)


def reserve_numbers(session: DeploySession, seeders: Sequence[SchemaFile], migrations: Sequence[SchemaFile]) -> None:
    """Move the sequences of empty tables that *migrations* fill behind the numbers that *seeders* write there.

    Seeders run after the migrations, but their rows are often older. A row of a migration that draws its number would
    get that of a seeder's row, which then counts as present. What PostgreSQL refuses reserves nothing.
    """
    filled = {target.table.address for target in map(insert_target, statements_of(migrations)) if target is not None}
    inserts: dict[ObjectName, list[Insert]] = {}
    for insert in filter(None, map(insert_of, statements_of(seeders) if filled else ())):
        if insert.target.address in filled and not insert.writes:
            inserts.setdefault(insert.target, []).append(insert)
    for target, found in inserts.items():
        table = sql.Identifier(*target.address)
        with suppress(psycopg.Error, MigrationFailed), session.undone():
            if not session.has_rows(table):
                _copy(session, table, found)
                move_sequences_of(session, target, rows=_COPY)


def _copy(session: DeploySession, table: sql.Identifier, inserts: Sequence[Insert]) -> None:
    """Insert into a copy of the table, which is not there yet."""
    session.query(sql.SQL("CREATE TEMPORARY TABLE {} AS SELECT * FROM {} LIMIT 0").format(sql.Identifier(_NAME), table))
    whole = joined(inserts)
    for insert in inserts if whole is None else [whole]:
        with suppress(psycopg.Error), session.savepoint():
            insert_into(session, _COPY, insert)

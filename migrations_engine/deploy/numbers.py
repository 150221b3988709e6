"""Moves sequences behind the numbers that INSERT statements have written themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.names import ObjectName, insert_target
from migrations_engine.source.script import statements_of

_QUERIES: Final = load_queries(__package__)


def move_sequences_of_files(session: DeploySession, files: Iterable[SchemaFile]) -> None:
    """Move the sequences of all tables on that *files* fill with INSERT.

    :raises MigrationFailed: PostgreSQL refuses it
    """
    targets = filter(None, map(insert_target, statements_of(files)))
    for table in dict.fromkeys(target.table for target in targets):
        move_sequences_of(session, table)


def move_sequences_of(session: DeploySession, table: ObjectName, *, rows: sql.Composable | None = None) -> bool:
    """Set the sequences from which columns of *table* draw to the highest number there, if they are behind it.

    A sequence that is not behind stays, because other sessions may draw from it. Return whether one was behind.

    :param rows: the table in which the numbers are, if it is another one
    :raises MigrationFailed: PostgreSQL refuses it
    """
    schema, name = table.address
    moved = False
    with session.failures_as(what=f"moving the sequences of {name} on"):
        found = session.query(_QUERIES["sequences_of_columns"], {"schema": schema, "table": name}).fetchall()
        for label, column, sequence, last_number, order in found:
            statement = sql.SQL(_MOVING[order]).format(
                sequence=sql.Literal(sequence),
                column=sql.Identifier(column),
                table=rows or sql.SQL(label),
                counter=sql.SQL(sequence),
                last_number=sql.Literal(last_number),
            )
            with session.hidden_rows(sql.SQL(label)):
                moved = session.query(statement).fetchone() is not None or moved
            if session.recording is not None:
                session.recording.add(session.connection, statement)
    return moved


#: By the direction of the sequence.
_MOVING: Final = {
    "ascending": (
        "SELECT setval({sequence}, number) FROM (SELECT max({column}) AS number FROM {table}) AS rows, {counter}"
        " WHERE number <= {last_number} AND (number > last_value OR number = last_value AND NOT is_called)"
    ),
    "descending": (
        "SELECT setval({sequence}, number) FROM (SELECT min({column}) AS number FROM {table}) AS rows, {counter}"
        " WHERE number >= {last_number} AND (number < last_value OR number = last_value AND NOT is_called)"
    ),
}

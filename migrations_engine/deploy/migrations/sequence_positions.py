"""Undoes what statements have drawn from sequences, which a savepoint does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_Position = tuple[str, int, bool]  # the sequence, its last value, and whether that was drawn


@contextmanager
def positions_kept(session: DeploySession, new: Collection[str] | None = None) -> Iterator[None]:
    """Run the block, and give each sequence its earlier position if PostgreSQL refuses a statement of it.

    :param new: the names of what this deploy creates, from which no other session draws; None in a new database
    """
    before = _positions(session, new)
    try:
        yield
    except psycopg.Error:
        if before and not session.connection.closed:
            _restore(session, before, new)
        raise


@contextmanager
def nothing_kept(session: DeploySession) -> Iterator[None]:
    """Run the block in a new database, roll it back, and give each sequence its earlier position."""
    before = _positions(session, None)
    with session.undone():
        yield
    _restore(session, before, None)


def _restore(session: DeploySession, before: Collection[_Position], new: Collection[str] | None) -> None:
    for name, value, is_drawn in {*before} - {*_positions(session, new)}:
        session.query(_QUERIES["set_position"], {"name": name, "value": value, "is_drawn": is_drawn})


def _positions(session: DeploySession, new: Collection[str] | None) -> list[_Position]:
    names = session.query(_QUERIES["sequences"]).fetchall()
    selects = [
        sql.SQL("SELECT {}::text, last_value, is_called FROM {}").format(spelled, sql.Identifier(schema, name))
        for schema, name in names
        if new is None or name in new
        for spelled in [sql.Literal(sql.Identifier(schema, name).as_string(session.connection))]
    ]
    return session.query(sql.SQL(" UNION ALL ").join(selects)).fetchall() if selects else []

"""Unique indexes for ``ON CONFLICT (…)`` in migrations, where a new table has other keys than it had then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.source.lexer import tokens
from migrations_engine.source.names import insert_target
from migrations_engine.source.statements import SqlStatement

NO_SUCH_KEY: Final = "42P10"
_INDEX: Final = "_stonescriptdb_gateway_conflict"
_STEP: Final = "migrations"


@contextmanager
def unique_index(session: DeploySession, statement: SqlStatement) -> Iterator[None]:
    """Run the block while the table that *statement* fills has a unique index for its ON CONFLICT."""
    target = insert_target(statement)
    columns = _conflict_target(statement)
    if target is None or columns is None:
        yield
        return
    table = sql.Identifier(*target.table.address)
    creating = sql.SQL("CREATE UNIQUE INDEX {} ON {} {}").format(sql.Identifier(_INDEX), table, sql.SQL(columns))
    session.run(creating, step=_STEP, effect="for the ON CONFLICT of the next statement")
    yield
    session.run(sql.SQL("DROP INDEX {}").format(sql.Identifier(target.table.address[0], _INDEX)), step=_STEP)


def _conflict_target(statement: SqlStatement) -> str | None:
    """Return what is between ``ON CONFLICT`` and ``DO``, as ``(a, b) WHERE c``; None if that is no list of columns."""
    previous, start = ("", ""), None
    for token in tokens(statement.text):
        word = token.text.upper()
        if start is None and previous == ("ON", "CONFLICT"):
            if word != "(":
                return None
            start = token.start
        elif start is not None and word == "DO":
            return statement.text[start : token.start]
        previous = previous[1], word
    return None

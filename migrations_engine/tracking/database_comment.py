"""The comment of the database, which names its owner and which no deploy may change."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from migrations_engine.errors import MigrationFailed
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
READ_COMMENT: Final = _QUERIES["database_comment"]


class DatabaseComment:
    """The comment that a database must have before and after a deploy."""

    def __init__(self, connection: psycopg.Connection[Any], comment: str | None) -> None:
        self._connection = connection
        self._kept = comment

    @classmethod
    def found(cls, connection: psycopg.Connection[Any], found: str | None, required: str | None) -> DatabaseComment:
        """Return the comment *found* at the start of a deploy, if it is the required one. None requires nothing.

        :raises MigrationFailed: it is different
        """
        if required not in (None, found):
            raise MigrationFailed(
                "the comment of the database, which says whose it is, is no longer what it was when the database was "
                "looked up; nothing was changed, the same request can be repeated"
            )
        return cls(connection, found)

    def check(self) -> None:
        """Check the comment before the commit.

        :raises MigrationFailed: the deploy has changed it
        """
        if self._now() != self._kept:
            raise MigrationFailed(
                "the deploy changed the comment of its database (COMMENT ON DATABASE), which says whose the database "
                "is; take that out of the schema"
            )

    def restore(self) -> None:
        """Restore the comment after a migration outside a transaction.

        :raises MigrationFailed: the migration has changed it
        """
        if self._now() != self._kept:
            ((name,),) = self._connection.execute("SELECT current_database()").fetchall()
            self._connection.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(self._kept))
            )
            raise MigrationFailed(
                "a migration outside a transaction changed the comment of its database (COMMENT ON DATABASE), which "
                "says whose the database is. The comment was put back; take that out of the migration"
            )

    def _now(self) -> str | None:
        row = self._connection.execute(READ_COMMENT).fetchone()
        assert row is not None
        comment: str | None = row[0]
        return comment

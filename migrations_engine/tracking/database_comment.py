"""The comment of the database, which names its owner and which no deploy may change."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from migrations_engine.errors import MigrationFailed
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)


class DatabaseComment:
    """The comment that a database must have before and after a deploy."""

    def __init__(self, connection: psycopg.Connection[Any], comment: str | None) -> None:
        self._connection = connection
        self._kept = comment

    @classmethod
    def required(cls, connection: psycopg.Connection[Any], comment: str | None) -> DatabaseComment:
        """Return the comment to check at the end: *comment*, or the present one if that is None."""
        required = cls(connection, comment)
        if comment is None:
            _, required._kept = required._now()
        return required

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
        if self._now()[1] != self._kept:
            raise MigrationFailed(
                "the deploy changed the comment of its database (COMMENT ON DATABASE), which says whose the database "
                "is; take that out of the schema"
            )

    def restore(self) -> None:
        """Restore the comment after a migration outside a transaction.

        :raises MigrationFailed: the migration has changed it
        """
        name, comment = self._now()
        if comment != self._kept:
            self._connection.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(self._kept))
            )
            raise MigrationFailed(
                "a migration outside a transaction changed the comment of its database (COMMENT ON DATABASE), which "
                "says whose the database is. The comment was put back; take that out of the migration"
            )

    def _now(self) -> tuple[str, str | None]:
        row = self._connection.execute(_QUERIES["database_comment"]).fetchone()
        assert row is not None
        name, comment = row
        return name, comment

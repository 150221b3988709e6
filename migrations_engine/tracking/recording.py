"""The statements of one deploy, to be repeated in other databases."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql


class Recording:
    """The statements of a deploy that change its database, its tracking tables included, in order.

    :ivar statements: as texts without parameters
    :ivar is_repeatable: False if a statement would have another effect in an equal database
    """

    def __init__(self) -> None:
        self.statements: list[bytes] = []
        self.is_repeatable = True

    def add(
        self,
        connection: psycopg.Connection[Any],
        statement: bytes | str | sql.SQL | sql.Composed,
        parameters: Any = None,  # noqa: ANN401 - psycopg's
    ) -> None:
        """Add *statement*, which has succeeded."""
        if parameters is not None:
            statement = psycopg.ClientCursor(connection).mogrify(statement, parameters)
        elif isinstance(statement, sql.SQL | sql.Composed):
            statement = statement.as_bytes(connection)
        self.statements.append(statement.encode() if isinstance(statement, str) else statement)

    def script(self) -> bytes:
        """Return all statements as one script."""
        return b"\n;\n".join(self.statements)

"""The statements of one deploy, to be repeated in other databases."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql


class Recording:
    """What a deploy has sent that changes its database, its tracking tables included, in order.

    :ivar statements: as texts without parameters
    :ivar is_repeatable: False when a statement would do something else in another database that is equal to this one
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
        """Return all statements as one."""
        return b"\n;\n".join(self.statements)

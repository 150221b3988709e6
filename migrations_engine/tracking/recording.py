"""The statements of one deploy, to be repeated in other databases."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg import sql


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Queries for rows at risk, which a deploy has sent between its statements.

    :ivar queries: each a SELECT of one number
    :ivar subjects: what each counts
    :ivar required: the number that has decided about statements; None for a query that has only informed
    """

    queries: tuple[bytes, ...]
    subjects: tuple[Hashable, ...]
    required: tuple[int | None, ...]


Step: TypeAlias = "bytes | RowCounts"


class Recording:
    """The statements of a deploy that change its database, its tracking tables included, in order, with its row counts.

    :ivar statements: as texts without parameters
    :ivar is_repeatable: False if a statement would have another effect in an equal database
    """

    def __init__(self) -> None:
        self.statements: list[Step] = []
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

    def add_counts(self, counts: RowCounts) -> None:
        """Add queries that have been answered."""
        self.statements.append(counts)

    def steps(self) -> tuple[tuple[tuple[bytes, RowCounts], ...], bytes]:
        """Return all statements as scripts: those before each group of row counts, with that, and the last one."""
        counted: list[tuple[bytes, RowCounts]] = []
        script: list[bytes] = []
        for statement in self.statements:
            if isinstance(statement, RowCounts):
                counted.append((b"\n;\n".join(script), statement))
                script.clear()
            else:
                script.append(statement)
        return tuple(counted), b"\n;\n".join(script)

"""What this room needs of the connections it is given, and PostgreSQL's refusals in the gateway's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import psycopg

from gateway.errors import ConnectionFailed, GatewayError


class Connections(Protocol):
    """Where connections come from; every one of them is counted in the budget."""

    def lease(
        self, database: str, *, wait_timeout_seconds: float | None = None
    ) -> AbstractContextManager[psycopg.Connection[Any]]:
        """A pooled connection in autocommit, for something short; None is the usual wait limit."""

    def dedicated(self, database: str) -> AbstractContextManager[psycopg.Connection[Any]]:
        """A connection of one's own that is closed, and its backend gone, at the end."""

    def forget(self, database: str) -> None:
        """Close this process's idle connections to a database that is about to change its name or to go."""


@contextmanager
def refusals(doing: str, **facts: str | None) -> Iterator[None]:
    """Turn the driver's errors into ours.

    :param doing: what was tried, to follow "PostgreSQL refused to"
    :raises ConnectionFailed: the connection was lost, or the server is going down (SQLSTATE classes 08 and 57P)
    :raises GatewayError: any other refusal, with PostgreSQL's message as the cause
    """
    try:
        yield
    except psycopg.Error as exc:
        state = exc.sqlstate or ""
        if not state or state.startswith(("08", "57P")):
            raise ConnectionFailed(f"the connection was lost while the gateway tried to {doing}", **facts) from exc
        raise GatewayError(
            f"PostgreSQL refused to {doing}",
            cause=exc.diag.message_primary,
            sqlstate=exc.sqlstate,
            detail=exc.diag.message_detail,
            hint=exc.diag.message_hint,
            **facts,
        ) from exc

"""The catalog of databases: its rows as types, statements about a database, and the conversion of errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Protocol

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from gateway.databases.stamps import ManagedDatabase, Stamp
from gateway.errors import ConnectionFailed, GatewayError
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)


class Connections(Protocol):
    """The source of connections, all of which are counted in the budget."""

    def lease(
        self, database: str, *, wait_timeout_seconds: float | None = None
    ) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lease a pooled connection in autocommit, for short work; None is the usual wait limit."""

    def dedicated(self, database: str) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Open a separate connection in autocommit; at the end it is closed and its backend has ended."""

    def forget(self, database: str) -> None:
        """Close this process's idle connections to a database that is about to be renamed or dropped."""


@contextmanager
def refusals(doing: str, **facts: str | None) -> Iterator[None]:
    """Raise the driver's errors as errors of the gateway.

    :param doing: what was tried, to follow "PostgreSQL refused to"
    :raises ConnectionFailed: the connection was lost, or the server is going down (SQLSTATE classes 08 and 57P), it is
        a standby or read-only, or has no space or memory (class 53), or the database is in use
    :raises GatewayError: any other refusal, with PostgreSQL's message as the cause
    """
    try:
        yield
    except psycopg.Error as exc:
        state = exc.sqlstate or ""
        if not state or state.startswith(("08", "57P")):
            raise ConnectionFailed(f"the connection was lost while the gateway tried to {doing}", **facts) from exc
        if isinstance(exc, psycopg.errors.ObjectInUse):
            message = f"PostgreSQL cannot {doing} while others are connected to it; end their sessions and try again"
            raise ConnectionFailed(message, cause=exc.diag.message_detail, sqlstate=state, **facts) from exc
        if isinstance(exc, psycopg.errors.ReadOnlySqlTransaction) or state.startswith("53"):
            message = f"PostgreSQL cannot {doing} now; try again when its cause is resolved"
            raise ConnectionFailed(message, cause=exc.diag.message_primary, sqlstate=state, **facts) from exc
        raise GatewayError(
            f"PostgreSQL refused to {doing}",
            cause=exc.diag.message_primary,
            sqlstate=exc.sqlstate,
            detail=exc.diag.message_detail,
            hint=exc.diag.message_hint,
            **facts,
        ) from exc


def drop_database(session: psycopg.Connection[Any], name: str) -> None:
    """Drop the database, if it exists, and terminate the sessions in it.

    An ordinary role may not end an autovacuum worker, and so its drop with FORCE is refused while there is one. A drop
    without FORCE ends the worker, and then waits five seconds for the other sessions to end.

    :raises ObjectInUse: a session in it belongs to a role whose sessions this one may not end
    """
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        session.execute(drop + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        session.execute(_QUERIES["end_sessions"], {"name": name})
        session.execute(drop)


def comment_on_database(session: psycopg.Connection[Any], name: str, text: str | None) -> None:
    """Make *text* the comment of the database: an ownership stamp, or a record of what it is for; None removes it."""
    session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text)))


def rename_database(session: psycopg.Connection[Any], name: str, to: str) -> None:
    """Rename the database, in which there may be no session.

    :raises DuplicateDatabase: there is a database of the name *to*
    """
    session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))


def time_for_comment() -> datetime:
    """Return the present time, as comments on databases record it: in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, kw_only=True)
class DatabaseRow:
    """A database as the catalog has it."""

    oid: int
    name: str
    is_half_dropped: bool
    comment: str | None
    role: str  #: that owns it
    size_bytes: int | None = None

    @cached_property
    def stamp(self) -> Stamp | None:
        """The stamp in the comment, or None if the comment is not a stamp."""
        return Stamp.from_text(self.comment)

    def managed(self, stamp: Stamp) -> ManagedDatabase:
        """Return this database with the owner in *stamp*."""
        return ManagedDatabase(
            name=self.name,
            oid=self.oid,
            owner=stamp.owner,
            created_at=stamp.created_at,
            adopted_at=stamp.adopted_at,
            stamp=self.comment,
            role=self.role,
            size_bytes=self.size_bytes,
        )


def read_rows(session: psycopg.Connection[Any], query: str, parameters: Mapping[str, str | bool]) -> list[DatabaseRow]:
    """Run one of the queries that return databases."""
    with session.cursor(row_factory=class_row(DatabaseRow)) as cursor:
        return cursor.execute(_QUERIES[query], parameters).fetchall()


def read_named(session: psycopg.Connection[Any], name: str) -> DatabaseRow | None:
    """Return the database of this name, or None."""
    rows = read_rows(session, "database_named", {"name": name})
    return rows[0] if rows else None

"""Copies of databases from before a migration: kept for some time, to be restored by undo.

Invariants:

1. A copy does not allow connections. Its comment has its owner's stamp, but another prefix than a stamp, so it is not
   listed and not served.
2. A copy gets its name together with its comment. Before that it is an unpublished database.
3. A copy takes the database's place in one transaction: both renames, its stamp, its properties and its opening.
4. Space is reserved before a copy is made: a shared advisory lock in the maintenance database, held by the session that
   makes the copy, with the number of blocks in its key. So all gateways see it, and it ends with its session. It is
   replaced by the size of the copy in the transaction that publishes that. Both happen under an exclusive lock.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from gateway.databases.catalog import (
    Connections,
    comment_on_database,
    drop_database,
    refusals,
    rename_database,
    time_for_comment,
)
from gateway.databases.properties import copy_properties
from gateway.databases.roles import PlatformRoles
from gateway.databases.stamps import ManagedDatabase, Stamp
from gateway.databases.unpublished import CLOSED, UnpublishedDatabases
from gateway.errors import ConnectionFailed, UndoRefused
from gateway.naming import RESERVED_PREFIX, DatabaseOwner, owner_facts
from migrations_engine.queries import load_queries

_log: Final = logging.getLogger(__name__)
_QUERIES: Final = load_queries(__package__)
_PREFIX: Final = f"{RESERVED_PREFIX}undo_"
_COMMENT_VERSION: Final = 1
_UNDONE: Final = "undone, to be dropped"  #: the comment of a database that a copy has taken the place of
UNKNOWN_MARK: Final = "unknown"  #: equal to no mark
_ATTEMPTS: Final = 5  #: to find a database without a session, each up to PostgreSQL's own five seconds
_CLOSE_POLL_SECONDS: Final = 0.02
_BLOCK_BYTES: Final = 8192  #: in which space is reserved, because a lock's key has 31 bits for it


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCopy:
    """A copy of a database from before a migration.

    :ivar oid: of the database it is a copy of
    :ivar mark: the result of :func:`read_mark` right after the migration; None while that runs
    """

    name: str
    stamp: Stamp
    oid: int
    kept_at: datetime
    request_id: str
    mark: str | None
    size_bytes: int = 0

    def to_comment(self) -> str:
        """Return the copy's comment."""
        record = {
            "stonescriptdb_gateway_undo": _COMMENT_VERSION,
            "stamp": self.stamp.to_text(),
            "oid": self.oid,
            "kept_at": self.kept_at.isoformat(),
            "request_id": self.request_id,
            "mark": self.mark,
        }
        return json.dumps(record, separators=(",", ":"))


class KeptCopies:
    """The copies on a server."""

    def __init__(
        self,
        connections: Connections,
        *,
        maintenance_database: str,
        most_bytes: int,
        keep_seconds: float,
        roles: PlatformRoles | None,
    ) -> None:
        """Create the store; opens no connection.

        :param most_bytes: maximum of all copies together
        :param keep_seconds: after which a copy has expired, and may be dropped
        :param roles: the owners of databases, if platforms have roles of their own
        """
        self._connections = connections
        self._maintenance_database = maintenance_database
        self._most_bytes = most_bytes
        self._roles = roles
        self._keep = timedelta(seconds=keep_seconds)

    def make(self, database: ManagedDatabase, *, request_id: str) -> KeptCopy:
        """Copy *database*; new connections to it wait meanwhile.

        :raises UndoRefused: the setting leaves no space for it
        :raises ConnectionFailed: sessions in the database do not end
        """
        self.expire()
        with self._connections.dedicated(self._maintenance_database) as session:
            temporary = UnpublishedDatabases.new_name(session)
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(temporary), sql.Identifier(database.name)
            )
            made = KeptCopy(
                name=f"{_PREFIX}{database.oid}_{int(time.time() * 1000):x}",
                stamp=Stamp.from_text(database.stamp) or Stamp(owner=database.owner),
                oid=database.oid,
                kept_at=time_for_comment(),
                request_id=request_id,
                mark=None,
            )
            with refusals("copy a database", **owner_facts(database.owner)):
                blocks = self._reserve_space(session, database)
                self._without_sessions(database.name, database.owner, lambda _: session.execute(statement + CLOSED))
                with _space_locked(session):
                    rename_database(session, temporary, made.name)
                    comment_on_database(session, made.name, made.to_comment())
                    session.execute(_QUERIES["release_copy_space"], {"blocks": blocks})
        return made

    def seal(self, copy: KeptCopy, mark: str | None) -> None:
        """Mark *copy* as the one that undo restores, and drop older copies of the database.

        :param mark: None if it is not known, so that putting it back has to be forced
        """
        with self._connections.dedicated(self._maintenance_database) as session, refusals("keep a copy"):
            sealed = replace(copy, mark=mark or UNKNOWN_MARK)
            comment_on_database(session, copy.name, sealed.to_comment())
            for other in _copies(session):
                if other.oid == copy.oid and other.name != copy.name:
                    drop_database(session, other.name)

    def drop(self, copy: KeptCopy) -> None:
        """Drop a copy that is not needed. A failure is logged; the copy is dropped when it has expired."""
        try:
            with self._connections.dedicated(self._maintenance_database) as session, refusals("drop a copy"):
                drop_database(session, copy.name)
        except ConnectionFailed as exc:
            _log.warning("the copy %s is left until it expires: %s", copy.name, exc)

    def all(self) -> tuple[KeptCopy, ...]:
        """Return every copy that a database can be restored from."""
        with self._connections.lease(self._maintenance_database) as session, refusals("list copies"):
            return tuple(copy for copy in _copies(session) if copy.mark is not None)

    def has_expired(self, copy: KeptCopy) -> bool:
        """Return whether the next :meth:`expire` drops *copy*."""
        return time_for_comment() - copy.kept_at > self._keep

    def put_back(self, copy: KeptCopy, database: ManagedDatabase) -> tuple[str, ...]:
        """Replace *database* by *copy*, and drop the old database.

        Its sessions are terminated; calls have PostgreSQL's five seconds to end by themselves.

        Return the properties of the database, such as settings by a superuser, that the copy could not be given.

        :raises ConnectionFailed: there are sessions in it that do not end
        :raises UndoRefused: one of the two has been dropped meanwhile
        """
        owner = database.owner
        aside = f"{_PREFIX}{database.oid}_undone"
        refused: tuple[str, ...] = ()
        with self._connections.dedicated(self._maintenance_database) as session:

            def swap(attempt: int) -> None:
                nonlocal refused
                session.execute(_QUERIES["cut_off"], {"name": database.name, "all": attempt > 0})
                with session.transaction():
                    rename_database(session, database.name, aside)
                    rename_database(session, copy.name, database.name)
                    if self._roles is not None:
                        self._roles.make_owner(session, database.name, owner.platform)
                    else:
                        opened = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
                        session.execute(opened.format(sql.Identifier(database.name)))
                    comment_on_database(session, database.name, copy.stamp.to_text())
                    comment_on_database(session, aside, _UNDONE)
                    refused = copy_properties(session, aside, database.name)

            with refusals("put a copy back", **owner_facts(owner)):
                drop_database(session, aside)
                try:
                    self._without_sessions(database.name, owner, swap)
                except errors.InvalidCatalogName as exc:
                    message = "the database or its copy has been dropped meanwhile, or the copy has been restored"
                    raise UndoRefused(message, **owner_facts(owner)) from exc
                drop_database(session, aside)
        return refused

    def expire(self) -> tuple[str, ...]:
        """Drop expired copies and what a crash has left, and return their names."""
        with self._connections.dedicated(self._maintenance_database) as session, refusals("drop copies"):
            rows = session.execute(_QUERIES["undone"], {"prefix": _PREFIX, "comment": _UNDONE}).fetchall()
            over = [name for (name,) in rows]
            over += [copy.name for copy in _copies(session) if self.has_expired(copy)]
            for name in over:
                drop_database(session, name)
        return tuple(over)

    def _reserve_space(self, session: psycopg.Connection[Any], database: ManagedDatabase) -> int:
        """Reserve the space of a copy of *database*, until *session* ends, and return its number of blocks.

        :raises UndoRefused: the setting leaves no space for it
        """
        with _space_locked(session):
            ((blocks, reserved),) = session.execute(_QUERIES["copy_space"], {"name": database.name}).fetchall()
            taken = (blocks + reserved) * _BLOCK_BYTES + sum(copy.size_bytes for copy in _copies(session))
            if taken > self._most_bytes:
                raise UndoRefused(
                    f"the copies of databases would take {taken} bytes, UNDO_COPIES_MAX_BYTES is "
                    f"{self._most_bytes}; drop some, raise it, or migrate without undo",
                    **owner_facts(database.owner),
                )
            session.execute(_QUERIES["reserve_copy_space"], {"blocks": blocks})
        return int(blocks)

    def _without_sessions(self, name: str, owner: DatabaseOwner, act: Callable[[int], object]) -> None:
        """Do *act*, which needs *name* to be without sessions. Its argument is the number of earlier attempts."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._closing_idle_connections(name):
                    act(attempt)
            except errors.ObjectInUse as exc:
                if attempt == _ATTEMPTS - 1:
                    message = f"{name!r} cannot be copied or renamed while others are connected to it; try again"
                    raise ConnectionFailed(message, cause=exc.diag.message_detail, **owner_facts(owner)) from exc
            else:
                return

    @contextmanager
    def _closing_idle_connections(self, name: str) -> Iterator[None]:
        """Close connections to *name* during the block as calls give them back; new ones wait for the server's lock."""
        ended = Event()

        def close() -> None:
            while not ended.wait(_CLOSE_POLL_SECONDS):
                self._connections.forget(name)

        self._connections.forget(name)
        thread = Thread(target=close, name="closing idle connections", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def _space_locked(session: psycopg.Connection[Any]) -> Iterator[None]:
    """Open a transaction in which no other session reserves space or publishes a copy."""
    session.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # so that queries see what the lock has waited for
    with session.transaction():
        session.execute(_QUERIES["lock_copy_space"])
        yield


def _copies(session: psycopg.Connection[Any]) -> list[KeptCopy]:
    found = []
    for name, comment, size in session.execute(_QUERIES["copies"], {"prefix": _PREFIX}).fetchall():
        with suppress(ValueError, TypeError, KeyError):
            record = json.loads(comment or "")
            stamp = Stamp.from_text(record["stamp"])
            if record["stonescriptdb_gateway_undo"] == _COMMENT_VERSION and stamp is not None:
                found.append(
                    KeptCopy(
                        name=name,
                        stamp=stamp,
                        oid=record["oid"],
                        kept_at=datetime.fromisoformat(record["kept_at"]),
                        request_id=record["request_id"],
                        mark=record["mark"],
                        size_bytes=size,
                    )
                )
    return found

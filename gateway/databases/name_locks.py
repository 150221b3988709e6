"""Locks on database names, over threads, workers and gateways: one request at a time creates a database of a name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final
from weakref import WeakValueDictionary

import psycopg

from gateway.databases.catalog import Connections, refusals
from gateway.errors import SchemaDeployError
from migrations_engine.queries import load_queries

_POLL_SECONDS: Final = 0.05  #: between attempts; short compared with creating a database
_QUERIES: Final = load_queries(__package__)


class NameLocks:
    """Locks on database names.

    Two are taken, one after the other: a lock of this process, so that only one of its threads spends a connection on
    waiting, then an advisory lock of a session in the maintenance database. Both are released when their holder ends.
    """

    def __init__(self, connections: Connections, *, maintenance_database: str, wait_seconds: float) -> None:
        self._connections = connections
        self._maintenance_database = maintenance_database
        self._wait_seconds = wait_seconds
        self._guard = Lock()
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    @contextmanager
    def held(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """Hold the lock on *name*, and yield the session that holds it: a connection to the maintenance database.

        :raises SchemaDeployError: another session held it for longer than the wait limit
        """
        deadline = time.monotonic() + self._wait_seconds
        with self._guard:
            lock = self._locks.setdefault(name, Lock())
        if not lock.acquire(timeout=self._wait_seconds):
            raise _waited_too_long(name)
        try:
            with self._connections.dedicated(self._maintenance_database) as session:
                with refusals("lock a database name"):
                    while not try_lock(session, name):
                        if time.monotonic() >= deadline:
                            raise _waited_too_long(name)
                        time.sleep(_POLL_SECONDS)
                yield session
        finally:
            lock.release()


def try_lock(session: psycopg.Connection[Any], name: str) -> bool:
    """Lock *name* for *session* if it is free. Return whether it was."""
    row = session.execute(_QUERIES["try_lock"], {"name": name}).fetchone()
    return bool(row and row[0])


def unlock(session: psycopg.Connection[Any], name: str) -> None:
    """Release the lock of *session* on *name*."""
    session.execute(_QUERIES["unlock"], {"name": name})


def lockable_prefix(session: psycopg.Connection[Any], prefix: str) -> str:
    """Return *prefix* with the oid of *session*'s database, for names that are locked there.

    Advisory locks belong to a database, so processes with another maintenance database do not see them.
    """
    row = session.execute(_QUERIES["current_database_oid"]).fetchone()
    return f"{prefix}{row[0] if row else 0}_"


def _waited_too_long(name: str) -> SchemaDeployError:
    return SchemaDeployError(
        "migration_failed",
        f"another request is still creating the database {name!r}; try again later",
        database=name,
    )

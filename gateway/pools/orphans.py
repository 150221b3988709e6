"""Connections that no process has any more, while PostgreSQL may still have their backends.

They are left by a worker that was killed and by a network that was cut. Their slots are free again when
``pg_stat_activity`` has been seen without their backends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from gateway.errors import GatewayError
from gateway.pools.budget import Budget, Orphan
from gateway.pools.connection import CountedConnection
from gateway.pools.pool import TenantPool

UNFINISHED_SECONDS: Final = 2.0  #: a backend whose process id was never learned has ended by then: its client is gone

_log = logging.getLogger(__name__)


class Reaper:
    """Asks PostgreSQL which orphans are still there, ends those, and frees the slots of the others."""

    def __init__(
        self,
        *,
        budget: Budget,
        borrow: Callable[[], TenantPool | None],
        connect: Callable[[], CountedConnection],
        submit: Callable[[Callable[[], None]], None],
        query: bytes,
    ) -> None:
        """Nothing is looked at yet.

        :param borrow: a pool with an idle connection to ask through, if there is one
        :param connect: a new connection to ask through
        :param submit: run a task on another thread
        """
        self._budget = budget
        self._borrow = borrow
        self._connect = connect
        self._submit = submit
        self._query = query
        self._lock = threading.Lock()
        self._queued = False

    def wanted(self) -> None:
        """Look soon, on another thread; once, however often this is called meanwhile."""
        with self._lock:
            if self._queued:
                return
            self._queued = True
        self._submit(self._reap)

    def wanted_if_needed(self) -> None:
        """Look soon if there are orphans."""
        if self._budget.orphans():
            self.wanted()

    def _reap(self) -> None:
        with self._lock:
            self._queued = False
        if not (orphans := self._budget.orphans()):
            return
        try:
            with self._connection() as connection:
                alive = self._still_there(connection, orphans)
        except (GatewayError, psycopg.Error) as error:
            _log.info("%d connections without an owner could not be looked after: %s", len(orphans), error)
            return
        for orphan in orphans:
            if orphan.backend not in alive if orphan.backend else orphan.seconds >= UNFINISHED_SECONDS:
                self._budget.free_orphan(orphan)

    def _still_there(self, connection: CountedConnection, orphans: list[Orphan]) -> set[int]:
        backends = [orphan.backend for orphan in orphans if orphan.backend]
        return {row[0] for row in connection.execute(self._query, [backends])}

    @contextmanager
    def _connection(self) -> Iterator[CountedConnection]:
        pool = self._borrow()
        connection = pool.take_idle() if pool is not None else None
        if pool is not None and connection is not None:
            try:
                yield connection
            finally:
                pool.putconn(connection)
            return
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

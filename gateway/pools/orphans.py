"""Orphans: slots of connections that no process holds, while PostgreSQL may still run their backends.

A killed worker and a broken network leave orphans. Their slots are freed when ``pg_stat_activity`` no longer lists the
backends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic
from typing import Final

import psycopg

from gateway.errors import GatewayError
from gateway.pools.budget import Budget, Orphan
from gateway.pools.connection import CountedConnection

UNFINISHED_SECONDS: Final = 2.0  #: after which a backend without a known process id has ended, as its client has
OBSERVER_SECONDS: Final = 4.0  #: after which an observer's backend has ended: its session's timeouts are shorter
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)


class Reaper:
    """Terminates the backends of orphans that still exist, and frees the slots of the others.

    Its thread runs only while there are orphans.
    """

    def __init__(
        self, *, budget: Budget, connection: Callable[[], AbstractContextManager[CountedConnection]], query: bytes
    ) -> None:
        """Create a reaper whose thread is not running.

        :param connection: the observer's connection, while no other worker has it
        :param query: terminates the backends with the given process ids that have been orphans for the given seconds,
            and returns the ids of those that still exist
        """
        self._budget = budget
        self._connection = connection
        self._query = query
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the thread if there are orphans."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set() and self._budget.orphans():
                self._thread = threading.Thread(target=self._run, name="pool-reaper", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop the thread. The next worker checks the remaining orphans."""
        self._stopping.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.wait(pause):
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            with self._lock:
                if not (orphans := self._budget.orphans()):
                    self._thread = None
                    return
            try:
                self._check(orphans)
            except (GatewayError, psycopg.Error) as error:
                _log.info("%d orphaned connections could not be checked: %s", len(orphans), error)
            except Exception:  # noqa: BLE001 - the thread continues: without it the slots would never be freed
                _log.exception("%d orphaned connections could not be checked", len(orphans))

    def _check(self, orphans: list[Orphan]) -> None:
        for orphan in orphans:
            if orphan.is_observer and orphan.since < monotonic() - OBSERVER_SECONDS:
                self._budget.free_orphan(orphan)  # its own slot is needed for the check
        with self._connection() as connection:
            alive = self._existing_backends(connection, [orphan for orphan in orphans if orphan.backend])
        for orphan in orphans:
            if orphan.backend not in alive if orphan.backend else orphan.since < monotonic() - UNFINISHED_SECONDS:
                self._budget.free_orphan(orphan)

    def _existing_backends(self, connection: CountedConnection, orphans: list[Orphan]) -> set[int]:
        seconds = [monotonic() - orphan.since for orphan in orphans]
        backends = [orphan.backend for orphan in orphans]
        return {row[0] for row in connection.execute(self._query, [backends, seconds], prepare=False)}

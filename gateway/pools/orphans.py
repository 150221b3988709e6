"""Connections that no process has any more, while PostgreSQL may still have their backends.

They are left by a worker that was killed and by a network that was cut. Their slots are free again when
``pg_stat_activity`` has been seen without their backends.
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

UNFINISHED_SECONDS: Final = 2.0  #: a backend whose process id was never learned has ended by then: its client is gone
OBSERVER_SECONDS: Final = 4.0  #: an observer's backend has ended by then: its session's time-outs are far shorter
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Reaper:
    """Asks PostgreSQL which orphans are still there, ends those, and frees the slots of the others.

    Its thread lives only while there are orphans.
    """

    def __init__(
        self, *, budget: Budget, connection: Callable[[], AbstractContextManager[CountedConnection]], query: bytes
    ) -> None:
        """Create an observer that is not running yet.

        :param connection: the observer's connection, while no other worker has it
        :param query: returns those of the process ids (with seconds as orphans) whose backends still exist; they
            are terminated
        """
        self._budget = budget
        self._connection = connection
        self._query = query
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Look soon, on another thread, if there are orphans."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set() and self._budget.orphans():
                self._thread = threading.Thread(target=self._run, name="pool-reaper", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Look no more; orphans that are left are the next worker's."""
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
                _log.info("%d connections without an owner could not be looked after: %s", len(orphans), error)
            except Exception:  # noqa: BLE001 - the thread goes on: without it the slots would stay taken
                _log.exception("%d connections without an owner could not be looked after", len(orphans))

    def _check(self, orphans: list[Orphan]) -> None:
        for orphan in orphans:
            if orphan.is_observer and orphan.since < monotonic() - OBSERVER_SECONDS:
                self._budget.free_orphan(orphan)  # it could not be checked, as long as it has the observer's slot
        with self._connection() as connection:
            alive = self._existing_backends(connection, [orphan for orphan in orphans if orphan.backend])
        for orphan in orphans:
            if orphan.backend not in alive if orphan.backend else orphan.since < monotonic() - UNFINISHED_SECONDS:
                self._budget.free_orphan(orphan)

    def _existing_backends(self, connection: CountedConnection, orphans: list[Orphan]) -> set[int]:
        seconds = [monotonic() - orphan.since for orphan in orphans]
        backends = [orphan.backend for orphan in orphans]
        return {row[0] for row in connection.execute(self._query, [backends, seconds], prepare=False)}

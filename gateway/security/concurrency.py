"""The limit of running calls for each database."""

from __future__ import annotations

from threading import Lock
from typing import Final

from gateway.errors import PoolExhausted


class ConcurrencyLimit:
    """The number of running requests of this process for each database.

    Requests that exceed the connections of a database wait, each with a thread. The limit is below the number of
    threads, so that requests to other databases have some.
    """

    def __init__(self, most: int) -> None:
        """Count up to *most* requests for each database."""
        self._most: Final = most
        self._lock: Final = Lock()
        self._running: Final[dict[str, int]] = {}  # under _lock; databases without a request are not in it

    def enter(self, database: str) -> None:
        """Count one more request, until :meth:`leave`.

        :raises PoolExhausted: the limit is reached; the request is not counted
        """
        with self._lock:
            count = self._running.get(database, 0)
            if count >= self._most:
                raise PoolExhausted(f"{count} calls for this database are under way or waiting already; try again")
            self._running[database] = count + 1

    def leave(self, database: str) -> None:
        """Count one request less."""
        with self._lock:
            count = self._running.pop(database) - 1
            if count:
                self._running[database] = count

"""No database gets all threads of a worker, however many ask for it."""

from __future__ import annotations

from threading import Lock
from typing import Final

from gateway.errors import PoolExhausted


class Crowding:
    """How many requests for each database this process has under way.

    Most of a flood waits for a connection to its one database, each with a thread. What is let in of it is less than
    the threads there are, so that there is always one for the requests of others.
    """

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._under_way: dict[str, int] = {}  # under _lock; databases without a request are not in it

    def enter(self, database: str, most: int) -> None:
        """Count one more, which ends with :meth:`leave`.

        :raises PoolExhausted: there are *most* already; it is not counted
        """
        with self._lock:
            count = self._under_way.get(database, 0)
            if count >= most:
                raise PoolExhausted(f"{count} calls for this database are under way or waiting already; try again")
            self._under_way[database] = count + 1

    def leave(self, database: str) -> None:
        """Count one less."""
        with self._lock:
            count = self._under_way.pop(database) - 1
            if count:
                self._under_way[database] = count

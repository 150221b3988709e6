"""psycopg's connection pool without the threads that make its connections."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from psycopg_pool import ConnectionPool
from psycopg_pool.pool import MaintenanceTask

from gateway.pools.connection import CountedConnection


class ThreadlessPool(ConnectionPool[CountedConnection]):
    """A pool that makes no connections by itself: a thread that needs one makes it."""

    def _open(self) -> None:
        self._check_open()
        self._closed = False
        self._opened = True  # without psycopg_pool's threads; see TaskThreads

    def _signal_stop_worker(self) -> list[object]:  # type: ignore[override]  # there is none to stop
        return []

    def run_task(self, task: MaintenanceTask) -> None:
        """Do nothing: psycopg_pool's tasks refill a pool, and this one grows only on demand."""

    def resize(self, min_size: int, max_size: int | None = None) -> None:
        """Refuse.

        :raises NotImplementedError: always, because the budget decides how many connections there are
        """
        raise NotImplementedError("the budget of all pools decides how many connections there are")

    def drain(self) -> None:
        """Close the idle connections now, and leased ones when they are returned."""
        self._drained_at = monotonic()
        self.close_idle(lambda _: True)

    def check(self) -> None:
        """Close the idle connections that the server has closed."""
        self.close_idle(lambda connection: connection.lost)

    @property
    def idle_count(self) -> int:
        """Return the number of idle connections."""
        return len(self._pool)

    @property
    def in_use(self) -> bool:
        """Return whether a connection is leased, or a caller waits for one."""
        return bool(self._waiting) or self.in_use_count > 0

    @property
    def in_use_count(self) -> int:
        """Return the number of leased connections."""
        return self._nconns - len(self._pool)

    def requests(self) -> dict[str, int]:
        """Return the number of leases of the pool so far, and how many of them had to wait."""
        return {name: self._stats[name] for name in (self._REQUESTS_NUM, self._REQUESTS_QUEUED)}

    def close_idle(self, which: Callable[[CountedConnection], bool]) -> int:
        """Close the idle connections for which *which* is true, and return their number."""
        with self._lock:
            chosen = [connection for connection in self._pool if which(connection)]
            for connection in chosen:
                self._pool.remove(connection)
            self._nconns -= len(chosen)
        for connection in chosen:
            connection.close()
        return len(chosen)

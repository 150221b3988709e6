"""Waiting for a connection: for one that is returned to the pool, or for permission to make one."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Lock
from time import monotonic
from typing import Final

from psycopg_pool.abc import CT
from psycopg_pool.pool import WaitingClient

from gateway.errors import PoolExhausted


class _WithdrawnError(Exception):
    """The mark of a waiter that accepts no connection; never raised."""


_WITHDRAWN: Final = _WithdrawnError()


class Waiter(WaitingClient[CT]):
    """A place in a pool's queue and, with a ticket, in the queue of all workers.

    ``set`` and ``fail`` are psycopg_pool's: the first call decides, and returns whether it was accepted.

    :ivar on_change: called, in any thread and with locks held, when a thread that waits would be woken
    """

    __slots__ = ("_changed", "_lock", "_woken", "arrival", "key", "may_connect", "on_change", "ticket", "urgent")

    def __init__(self, *, key: int, urgent: bool = False) -> None:
        """Start to wait now.

        :param key: the database's key in the table
        :param urgent: for administration, which goes before calls
        """
        # Not psycopg_pool's, which makes a condition: the loop needs none, and that would be half of the costs.
        self.conn: CT | None = None
        self.error: BaseException | None = None
        self.key = key
        self.urgent = urgent
        self.arrival = monotonic()  # one clock for all processes of the machine
        self.ticket: int | None = None
        self.may_connect = False  #: it is at the front of its pool's queue, and may make a connection
        self.on_change: Callable[[], None] | None = None
        self._woken = False
        self._lock = Lock()  # of conn, error and _woken
        self._changed: Condition | None = None  # on _lock; only while a thread waits

    def set(self, conn: CT) -> bool:
        """Pass a connection to the waiter. Return whether it was accepted."""
        return self._end(conn, None)

    def fail(self, error: Exception) -> bool:
        """End the wait with *error*. Return whether it was accepted."""
        return self._end(None, error)

    def _end(self, conn: CT | None, error: Exception | None) -> bool:
        with self._lock:
            if self.conn is not None or self.error is not None:
                return False
            self.conn, self.error = conn, error
            self._wake_thread()
        self._report()
        return True

    def wake(self) -> None:
        """Wake the waiter, to check again."""
        with self._lock:
            self._woken = True
            self._wake_thread()
        self._report()

    def _wake_thread(self) -> None:
        """Wake the thread that waits, if one does. Under the lock."""
        if self._changed is not None:
            self._changed.notify()

    def _report(self) -> None:
        if self.on_change is not None:
            self.on_change()

    @property
    def is_ready(self) -> bool:
        """Return whether the wait has a result: a connection, an error, or the first place in its pool's queue."""
        return self.conn is not None or self.error is not None or self.may_connect

    def wait_for_change(self, seconds: float) -> CT | None:
        """Wait for a connection or a wake-up, at most *seconds*.

        :raises BaseException: the argument of ``fail``
        """
        with self._lock:
            if not (self.conn or self.error or self._woken) and seconds > 0:
                self._changed = Condition(self._lock)
                self._changed.wait(seconds)
                self._changed = None
            self._woken = False
            if self.error:
                raise self.error
            return self.conn

    def withdraw(self) -> CT | None:
        """Accept no connection from now on; return the one that was accepted before."""
        with self._lock:
            if self.conn is None and self.error is None:
                self.error = _WITHDRAWN
            return self.conn


def none_became_free() -> PoolExhausted:
    """Return the error for a lease that has waited too long."""
    return PoolExhausted("no connection became free within the wait limit", retry_after=1)

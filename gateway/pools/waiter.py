"""Waiting for a connection: for one given back to its pool, or for one's turn to make one."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from psycopg_pool.abc import CT
from psycopg_pool.pool import WaitingClient


class _WithdrawnError(Exception):
    """The mark of a waiter that takes nothing any more; never raised."""


_WITHDRAWN: Final = _WithdrawnError()


class Waiter(WaitingClient[CT]):
    """A place in a pool's queue and, with a ticket, in the queue of all workers.

    ``set`` and ``fail`` are psycopg_pool's: whoever comes first decides, and is told whether it was accepted.

    :ivar on_news: called, in any thread and with locks held, when a thread that waits would be woken
    """

    __slots__ = ("_woken", "arrival", "key", "leads", "on_news", "ticket", "urgent")

    def __init__(self, *, key: int, urgent: bool = False) -> None:
        """Arrive now.

        :param key: the database, as the table knows it
        :param urgent: administration, which goes before calls and is not held back by its database's share
        """
        super().__init__()
        self.key = key
        self.urgent = urgent
        self.arrival = monotonic()  # one clock for all processes of the machine
        self.ticket: int | None = None
        self.leads = False  #: first in its pool's queue: it may make a connection as well
        self._woken = False
        self.on_news: Callable[[], None] | None = None

    def set(self, conn: CT) -> bool:
        """Give a connection. Returns whether it is accepted."""
        accepted = super().set(conn)
        self._tell()
        return accepted

    def fail(self, error: Exception) -> bool:
        """Give up waiting with *error*. Returns whether it is accepted."""
        accepted = super().fail(error)
        self._tell()
        return accepted

    def wake(self) -> None:
        """Make whoever waits look again."""
        with self._cond:
            self._woken = True
            self._cond.notify_all()
        self._tell()

    def _tell(self) -> None:
        if self.on_news is not None:
            self.on_news()

    @property
    def has_news(self) -> bool:
        """Whether there is something for whoever waits: a connection, an error, or the lead of its pool."""
        return self.conn is not None or self.error is not None or self.leads

    def wait_for_news(self, seconds: float) -> CT | None:
        """Wait until a connection is given, or *seconds* are over, or somebody wakes us.

        :raises BaseException: what ``fail`` was called with
        """
        with self._cond:
            if not (self.conn or self.error or self._woken):
                self._cond.wait(max(0.0, seconds))
            self._woken = False
            if self.error:
                raise self.error
            return self.conn

    def withdraw(self) -> CT | None:
        """Take no connection from now on; gives the one that came before."""
        with self._cond:
            if self.conn is None and self.error is None:
                self.error = _WITHDRAWN
            return self.conn

"""A place in the queue of a pool, as a wait of steps."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from gateway.errors import ClientGone
from gateway.pools.connection import CountedConnection
from gateway.pools.waiter import Waiter, none_became_free
from gateway.steps import Event, Peer

GROW_SECONDS: Final = 0.02  #: to wait for a returned connection before a new one is made; short calls take less


class PoolOfTurns(Protocol):
    """The methods of a pool that a turn uses."""

    @property
    def needs_more(self) -> bool:
        """Whether to connect without waiting for a returned connection."""

    def wait_in_turn(self, waiter: Waiter[CountedConnection], deadline: float) -> CountedConnection:
        """Return a connection: wait for a returned one in this thread, or make one at the front of the queue."""


class Turn:
    """A place in the queue for a connection of a pool, as a wait.

    :ivar connection: the result of a wait in a thread
    :ivar error: the error with which such a wait has ended
    """

    def __init__(self, pool: PoolOfTurns, waiter: Waiter[CountedConnection], deadline: float) -> None:
        self.deadline = deadline
        self.connection: CountedConnection | None = None
        self.error: Exception | None = None
        self._pool = pool
        self._waiter = waiter
        self._grow_at: float | None = None

    def block(self, peer: Peer | None) -> Event:  # noqa: ARG002 - the first of the queue connects
        """Wait in this thread. Errors are raised by :meth:`result`."""
        try:
            self.connection = self._pool.wait_in_turn(self._waiter, self.deadline)
        except Exception as exc:  # noqa: BLE001 - raised by the steps
            self.error = exc
        return Event.READY

    def result(self, event: Event) -> CountedConnection:
        """Return the result of the wait.

        :raises GatewayError: there was no connection
        :raises ClientGone: the client of the work has disconnected
        """
        if event is Event.GONE:
            raise ClientGone("the client closed its connection while its call waited for its turn")
        if event is Event.LATE:
            connection = self._waiter.withdraw()
            error: BaseException | None = none_became_free()
        else:
            connection, error = self.connection or self._waiter.conn, self.error or self._waiter.error
        if connection is None:
            raise error or AssertionError("the wait is over without a connection or an error")
        return connection

    def listen(self, on_change: Callable[[], None]) -> None:
        """Call *on_change*, in any thread and with locks held, when :attr:`is_ready` may have become true."""
        self._waiter.on_change = on_change

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection or an error, or a thread has to make a connection."""
        return self._waiter.is_ready

    @property
    def needs_thread(self) -> bool:
        """Whether a thread has to make a connection."""
        return self._waiter.may_connect and self._waiter.conn is None and self._waiter.error is None

    def seconds_to_grow(self) -> float:
        """Return the seconds to wait for a returned connection before a thread connects."""
        if self._grow_at is None:
            self._grow_at = monotonic() + GROW_SECONDS
        return 0.0 if self._pool.needs_more else self._grow_at - monotonic()

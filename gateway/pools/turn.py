"""A place in the queue of a pool, as something that steps wait for."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from gateway.errors import ClientGone, PoolExhausted
from gateway.pools.connection import CountedConnection
from gateway.pools.waiter import Waiter
from gateway.steps import Event, Peer

GROW_SECONDS: Final = 0.02  #: within which a short call ends and returns its connection, so that no new one is needed


class PoolOfTurns(Protocol):
    """What a turn needs of its pool."""

    @property
    def needs_more(self) -> bool:
        """Whether a connection is to be made without waiting for one that is given back."""

    def wait_in_turn(self, waiter: Waiter[CountedConnection], deadline: float) -> CountedConnection:
        """Wait in this thread, and make a connection when it is the waiter's turn to."""


class Turn:
    """A place in the queue for a connection of a pool, as something to wait for.

    :ivar connection: what a thread has got by waiting
    :ivar error: why it has not
    """

    def __init__(self, pool: PoolOfTurns, waiter: Waiter[CountedConnection], deadline: float) -> None:
        self.deadline = deadline
        self.connection: CountedConnection | None = None
        self.error: Exception | None = None
        self._pool = pool
        self._waiter = waiter
        self._grow_at: float | None = None

    def block(self, peer: Peer | None) -> Event:  # noqa: ARG002 - the first of the queue connects
        """Wait in this thread."""
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
        """Have *on_change* called, in any thread and with locks held, when :attr:`is_ready` may have become true."""
        self._waiter.on_change = on_change

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection, or an error, or a connection is to be made by a thread that blocks."""
        return self._waiter.is_ready

    @property
    def needs_thread(self) -> bool:
        """Whether a connection is to be made, for which a thread has to block."""
        return self._waiter.may_connect and self._waiter.conn is None and self._waiter.error is None

    def seconds_to_grow(self) -> float:
        """Return the seconds until a thread has to connect, because no connection was given back before."""
        if self._grow_at is None:
            self._grow_at = monotonic() + GROW_SECONDS
        return 0.0 if self._pool.needs_more else self._grow_at - monotonic()


def none_became_free() -> PoolExhausted:
    """Return the error for a lease that has waited too long."""
    return PoolExhausted("no connection became free within the wait limit", retry_after=1)

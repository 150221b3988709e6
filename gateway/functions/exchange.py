"""Sending to the server and reading its answer, while watching the clock and the client. libpq without a detour."""

from __future__ import annotations

import select
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from gateway.errors import ClientGone
from gateway.functions.failures import ConnectionLost, ServerRefused

CANCEL_SECONDS: Final = 5.0  #: for a cancelled statement to end

_FATAL_ERROR: Final = int(ExecStatus.FATAL_ERROR)
_EXPECTED: Final = frozenset(
    map(int, (ExecStatus.TUPLES_OK, ExecStatus.TUPLES_CHUNK, ExecStatus.SINGLE_TUPLE, ExecStatus.COMMAND_OK))
)
_CONNECTION_OK: Final = int(ConnStatus.OK)
_HANG_UP: Final = getattr(select, "POLLRDHUP", 0)  # elsewhere only POLLHUP tells, which is always reported

Accept: TypeAlias = Callable[[PGresult], bool]  #: takes a result, and says whether more is wanted


class HasFileno(Protocol):
    """A socket, or anything else that can be polled."""

    def fileno(self) -> int:
        """The descriptor, or -1 when it is closed."""


class Exchange:
    """One connection's conversation with the server, for one thread at a time.

    libpq calls that hold Python's lock are made only when there is something to read: the waiting is done by ``poll``.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = weakref.ref(connection)
        self._pgconn: PGconn = connection.pgconn
        self._poller = select.poll()
        self._poller.register(self._pgconn.socket, select.POLLIN)

    def send(self, send: Callable[..., None], *message: object) -> None:
        """Hand a message to libpq, by the method of its that *send* is.

        :raises ConnectionLost: it could not be sent
        """
        try:
            send(*message)
        except psycopg.Error as exc:
            raise ConnectionLost(f"the connection was lost: {exc}", sent=False) from exc

    def receive(self, accept: Accept, *, seconds: float, client: HasFileno | None = None) -> None:
        """Read the answer to what was sent, to its end, whatever happens.

        :param accept: takes each result; if it wants no more, the statement is cancelled
        :param seconds: after which the server is given up
        :param client: the statement is cancelled too when the other end of this socket is closed
        :raises ServerRefused: the answer is an error
        :raises ClientGone: the client is gone; the statement was cancelled
        :raises ConnectionLost: the connection ended, or the time was over
        """
        try:
            refused, gone = self._read_results(accept, monotonic() + seconds, client)
        except psycopg.Error as exc:
            raise ConnectionLost(f"the connection was lost: {exc}", sent=True) from exc
        if self._pgconn.status != _CONNECTION_OK:
            raise ConnectionLost(f"the connection was lost: {refused or 'no reason given'}", sent=True) from refused
        if gone:
            raise ClientGone("the client closed its connection; the call was cancelled")
        if refused is not None:
            raise refused

    def _read_results(
        self, accept: Accept, deadline: float, client: HasFileno | None
    ) -> tuple[ServerRefused | None, bool]:
        """Gives the server's error, if there was one that we did not cause, and whether the client is gone."""
        pgconn = self._pgconn
        refused: ServerRefused | None = None
        gone = cancelled = False
        while pgconn.flush():  # a long value does not fit into the socket at once
            self._wait_to_send(deadline)
        while True:
            while pgconn.is_busy():
                if self._wait_for_answer(deadline, client):
                    pgconn.consume_input()
                else:
                    gone, client = True, None
                    deadline = self._cancel()
            result = pgconn.get_result()
            if result is None:
                return (None if cancelled else refused), gone
            if result.status == _FATAL_ERROR:
                refused = ServerRefused(result)
            elif result.status not in _EXPECTED:
                raise ConnectionLost(f"the server answered with what was not asked for: {result.status}", sent=True)
            elif not (gone or cancelled or accept(result)):
                cancelled = True
                deadline = self._cancel()

    def _wait_for_answer(self, deadline: float, client: HasFileno | None) -> bool:
        """Whether the server has sent something; False if the client is gone first.

        Bytes that a client sends ahead are no news: only the end of its stream is waited for.
        """
        watched = -1 if client is None else client.fileno()
        if watched >= 0:
            self._poller.register(watched, _HANG_UP)
        try:
            ready = self._poller.poll(max(0, int((deadline - monotonic()) * 1000)))
        finally:
            if watched >= 0:
                self._poller.unregister(watched)
        if not ready:
            raise ConnectionLost("the server did not answer in time", sent=True)
        return all(descriptor != watched for descriptor, _ in ready)

    def _wait_to_send(self, deadline: float) -> None:
        writable = select.poll()
        writable.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)
        if not writable.poll(max(0, int((deadline - monotonic()) * 1000))):
            raise ConnectionLost("the server did not take the call in time", sent=True)
        self._pgconn.consume_input()

    def _cancel(self) -> float:
        """Tell the server to stop. Gives the time by which it must have."""
        connection = self._connection()
        assert connection is not None  # it is leased to the thread that runs this
        connection.cancel_safe(timeout=CANCEL_SECONDS)
        return monotonic() + CANCEL_SECONDS


def ignore(_: PGresult) -> bool:
    """Accept any result and keep nothing of it."""
    return True

"""Waiting for the server's answer in steps, with a deadline, and cancelling when the client has disconnected."""

from __future__ import annotations

import fcntl
import select
import termios
import weakref
from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, TypeAlias

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from gateway.errors import ClientGone
from gateway.functions.refusals import ConnectionBroken, ServerRefused, too_large
from gateway.steps import ELSEWHERE, Event, Peer, Steps

CANCEL_SECONDS: Final = 5.0  #: for the end of a cancelled statement
CANCEL_AGAIN_SECONDS: Final = 0.5  #: without an answer; the server ignores a cancel that arrives before the statement
KEPT_BYTES: Final = 2**20  #: of a message; libpq keeps the memory of the longest one until the connection is closed
_MAX_BYTES: Final = 2**30  #: of a message, as PostgreSQL has it
_INT: Final = Struct("i")
PROBE_MILLISECONDS: Final = 1000  #: between two probes of a client that has ended its sending
_EXPECTED: Final = frozenset(
    map(int, (ExecStatus.TUPLES_OK, ExecStatus.TUPLES_CHUNK, ExecStatus.SINGLE_TUPLE, ExecStatus.COMMAND_OK))
)
_FATAL_ERROR: Final = int(ExecStatus.FATAL_ERROR)
_CONNECTION_OK: Final = int(ConnStatus.OK)
_BROKEN: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL

Accept: TypeAlias = Callable[[PGresult], bool]  #: takes a result, and returns whether to continue


class _Sending:
    """A context in which messages are passed to libpq.

    :raises ConnectionBroken: they could not be sent
    """

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, psycopg.Error):
            raise ConnectionBroken(f"the connection was lost: {error}", sent=False) from error


SENDING: Final = _Sending()


class ServerWait:
    """A wait for the server's answer, or until more can be sent to it.

    :ivar armed_by: the loop in which the descriptor is registered for reading
    :ivar deadline: on the clock of ``time.monotonic``
    :ivar drained: whether all received data was read, so that the wait is for new data
    :ivar sending: whether to wait also until more can be sent
    :ivar for_client: whether the wait ends when the client disconnects
    """

    __slots__ = ("_poller", "armed_by", "deadline", "descriptor", "drained", "for_client", "sending")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.deadline = 0.0
        self.armed_by: object = None
        self.drained = False
        self.sending = False
        self.for_client = False
        self._poller = select.poll()

    def block(self, peer: Peer | None) -> Event:
        """Wait in this thread."""
        poller = self._poller
        poller.register(self.descriptor, select.POLLIN | (select.POLLOUT if self.sending else 0))
        watched = peer.fileno() if peer is not None and self.for_client else -1
        if peer is None or watched < 0:
            ready = poller.poll(self._milliseconds())
            return Event.READY if ready else Event.LATE
        poller.register(watched, peer.hang_up)
        try:
            return self._block_for(peer, watched)
        finally:
            poller.unregister(watched)

    def _block_for(self, peer: Peer, watched: int) -> Event:
        """Wait for the server, or the end of the client's stream; bytes that the client sends ahead are ignored."""
        pause = self._milliseconds()
        while True:
            ready = dict(self._poller.poll(min(pause, self._milliseconds())))
            if self.descriptor in ready:
                return Event.READY
            if ready.get(watched, 0) & _BROKEN:
                return Event.GONE
            if watched in ready:
                pause = PROBE_MILLISECONDS
                self._poller.modify(watched, 0)
            elif not self._milliseconds():
                return Event.LATE
            peer.probe()

    def _milliseconds(self) -> int:
        return max(0, int((self.deadline - monotonic()) * 1000))


class ServerConnection(Protocol):
    """The methods of psycopg's connection that a conversation uses."""

    @property
    def pgconn(self) -> PGconn:
        """The connection of libpq."""

    def cancel_safe(self, *, timeout: float) -> None:
        """Cancel the running statement."""

    def close(self) -> None:
        """Close the connection."""


class Conversation:
    """The waits of one connection, for one thread at a time.

    :ivar gone: the client has disconnected
    :ivar cancelled: the running statement was cancelled, so that its error is expected
    :ivar outgrown: libpq has sent or received a long message, whose memory is freed with the connection only
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.wait = ServerWait(connection.pgconn.socket)
        self.gone = self.cancelled = self.outgrown = False
        self._given_up = 0.0  # when the server has not answered a cancel, on the clock of the wait
        self._connection = weakref.ref(connection)

    def begin(self, *, seconds: float, for_client: bool, drained: bool = False) -> None:
        """Begin a new exchange.

        :param seconds: after which the connection is given up
        :param for_client: whether to cancel when the client disconnects
        :param drained: whether the wait is for new data only; libpq may leave data unread
        """
        self.gone = self.cancelled = False
        wait = self.wait
        wait.deadline, wait.for_client, wait.drained = monotonic() + seconds, for_client, drained

    def give_up(self, event: Event) -> Steps[None]:
        """Cancel the statement after a wait has ended with *event*, which is not READY.

        :raises ConnectionBroken: the server has not answered in time
        """
        if event is Event.LATE:
            if not self.cancelled or monotonic() >= self._given_up:
                raise ConnectionBroken("the server did not answer in time", sent=True)
            yield from self._send_cancel()
            return
        self.gone = True
        if self.wait.sending:  # the server reads the rest first
            self.wait.for_client = False
        else:
            yield from self.cancel()

    def cancel(self) -> Steps[None]:
        """Cancel the running statement, which must then end within a short time.

        :raises ConnectionBroken: it could not be cancelled
        """
        self.cancelled = True
        self._given_up = monotonic() + CANCEL_SECONDS
        yield from self._send_cancel()

    def _send_cancel(self) -> Steps[None]:
        yield ELSEWHERE
        connection = self._connection()
        assert connection is not None  # it is leased to the caller of these steps
        try:
            connection.cancel_safe(timeout=CANCEL_SECONDS)
        except psycopg.Error as exc:
            raise ConnectionBroken(f"the statement could not be cancelled: {exc}", sent=True) from exc
        self.wait.deadline = min(monotonic() + CANCEL_AGAIN_SECONDS, self._given_up)
        self.wait.for_client = False

    def lost(self, reason: str, *, sent: bool) -> ConnectionBroken:
        """Make libpq notice that the server has closed the connection, and return the error for that."""
        connection = self._connection()
        if connection is not None:
            with suppress(psycopg.Error):
                connection.pgconn.consume_input()
        return ConnectionBroken(f"the connection was lost: {reason}", sent=sent)

    def close(self) -> None:
        """Close the connection, because an exchange was not completed."""
        connection = self._connection()
        if connection is not None:
            connection.close()


class Exchange:
    """A statement that was sent with libpq, and its results.

    The functions of libpq that hold Python's lock are called only when there is something to read.
    """

    def __init__(self, connection: ServerConnection, conversation: Conversation) -> None:
        self._pgconn = connection.pgconn
        self._conversation = conversation

    def receive(
        self, accept: Accept | None, *, seconds: float, for_client: bool = False, max_bytes: int = _MAX_BYTES
    ) -> Steps[None]:
        """Read the results of a statement to their end.

        :param accept: takes each result, and returns whether to continue; if not, the statement is cancelled.
            None ignores the results
        :param seconds: after which the connection is given up
        :param for_client: whether to cancel the statement when the client disconnects
        :param max_bytes: of a result, an error or a notice, about
        :raises ResponseTooLarge: one is longer, and the connection was closed
        :raises ServerRefused: the statement ended with an error, which was not caused by cancelling
        :raises ClientGone: the client has disconnected, and the statement was cancelled
        :raises ConnectionBroken: the connection has ended, or *seconds* have passed
        """
        pgconn, conversation = self._pgconn, self._conversation
        conversation.begin(seconds=seconds, for_client=for_client)
        try:
            refused = yield from self._read_results(accept, max_bytes)
        except psycopg.Error as exc:
            raise ConnectionBroken(f"the connection was lost: {exc}", sent=True) from exc
        if pgconn.status != _CONNECTION_OK:
            raise ConnectionBroken(f"the connection was lost: {refused or 'no reason given'}", sent=True) from refused
        if conversation.gone:
            raise ClientGone("the client closed its connection; the call was cancelled")
        if refused is not None and not conversation.cancelled:
            raise refused

    def _read_results(self, accept: Accept | None, max_bytes: int) -> Steps[ServerRefused | None]:
        """Pass the results to *accept*, and return the first error."""
        pgconn, conversation = self._pgconn, self._conversation
        if pgconn.flush():  # a long value does not fit into the socket at once
            yield from self._send_rest()
        refused: ServerRefused | None = None
        while True:
            received = 0
            while pgconn.is_busy():
                event = yield conversation.wait
                if event is Event.READY:
                    received += self._arrived()
                    conversation.outgrown |= received > KEPT_BYTES
                    if received > max_bytes + KEPT_BYTES:
                        conversation.close()
                        raise too_large(max_bytes)
                    pgconn.consume_input()
                else:
                    yield from conversation.give_up(event)
            result = pgconn.get_result()
            if result is None:
                return refused
            if result.status in _EXPECTED:
                if accept is not None and not (conversation.cancelled or accept(result)):
                    yield from conversation.cancel()
            elif result.status != _FATAL_ERROR:
                raise ConnectionBroken(f"the server sent an unexpected result: {result.status}", sent=True)
            elif refused is None:
                refused = ServerRefused(result.error_field, result.get_error_message().strip())

    def _arrived(self) -> int:
        """Return the number of bytes that libpq can read now."""
        answer = fcntl.ioctl(self._conversation.wait.descriptor, termios.FIONREAD, bytes(_INT.size))
        return int(_INT.unpack(answer)[0])

    def _send_rest(self) -> Steps[None]:
        """Continue sending until the server has the whole message."""
        conversation, wait = self._conversation, self._conversation.wait
        wait.sending = True
        try:
            while self._pgconn.flush():
                event = yield wait
                if event is not Event.READY:
                    yield from conversation.give_up(event)
                self._pgconn.consume_input()
        finally:
            wait.sending = False
        if conversation.gone:
            yield from conversation.cancel()

"""Sending to the server and reading its answer or error by libpq alone, in steps, watching the clock and the client."""

from __future__ import annotations

import re
import select
import weakref
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, PipelineStatus
from psycopg.pq.abc import PGconn, PGresult

from gateway.errors import ClientGone, QueryFailed
from gateway.steps import ELSEWHERE, Event, Peer, Steps

CHANGED: Final = "stonescriptdb_gateway.function_has_changed"  #: in the error of a call made with an old signature

_UNDEFINED_OBJECT: Final = "42704"
_DATATYPE_MISMATCH: Final = "42804"  #: of a polymorphic parameter; the one error of parsing without a position

# The end of the context of an error in reading a value is ``unnamed portal parameter $1 = '...'``, of an empty value
# ``''``, in the language of lc_messages, the dollar not in all of them. In all of them the lines about functions have
# quotes or parentheses.
# The context may have megabytes, such as the text of a statement that the function runs: no part of the pattern can
# match what an earlier part can, so the search takes one pass.
_OF_PARAMETER: Final = re.compile(r"""(?:\A|\n)[^\n"'«»„“”(:0-9]*[0-9][^\n"'«»„“”(:]*(?:'(?:\.\.\.)?')?\Z""")

CANCEL_SECONDS: Final = 5.0  #: for a cancelled statement to end
PROBE_MILLISECONDS: Final = 1000  #: between two looks whether a client that has ended its sending is still there
_EXPECTED: Final = frozenset(
    map(int, (ExecStatus.TUPLES_OK, ExecStatus.TUPLES_CHUNK, ExecStatus.SINGLE_TUPLE, ExecStatus.COMMAND_OK))
)
_FAILED: Final = frozenset(map(int, (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)))
#: The statuses of a statement's last result; others are followed by more of its rows.
_LAST: Final = frozenset(map(int, (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK))) | _FAILED
_PIPELINE_SYNC: Final = int(ExecStatus.PIPELINE_SYNC)
_PIPELINE_OFF: Final = int(PipelineStatus.OFF)
_CONNECTION_OK: Final = int(ConnStatus.OK)
_BROKEN: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL

Accept: TypeAlias = Callable[[PGresult], bool]  #: takes a result, and says whether more is wanted


class ServerRefused(Exception):
    """A statement ended with an error of the server's."""

    def __init__(self, result: PGresult) -> None:
        def part(field: DiagnosticField) -> str | None:
            text = result.error_field(field)
            return None if text is None else text.decode(errors="replace")

        self.sqlstate = part(DiagnosticField.SQLSTATE)
        self.cause = part(DiagnosticField.MESSAGE_PRIMARY) or result.get_error_message().strip()
        self.detail = part(DiagnosticField.MESSAGE_DETAIL)
        self.hint = part(DiagnosticField.MESSAGE_HINT)
        self._context = part(DiagnosticField.CONTEXT)
        self._position = part(DiagnosticField.STATEMENT_POSITION)
        super().__init__(self.cause)

    @property
    def of_value(self) -> bool:
        """Whether a value could not be read as its parameter's type."""
        return self._context is not None and _OF_PARAMETER.search(self._context) is not None

    @property
    def of_statement(self) -> bool:
        """Whether the statement could not be understood, as it is or with its values' types."""
        return self._context is None and (self._position is not None or self.sqlstate == _DATATYPE_MISMATCH)

    @property
    def before_execution(self) -> bool:
        """Whether nothing of the function has run, as far as can be known."""
        return self._context is None or self.of_value

    @property
    def changed(self) -> bool:
        """Whether the function's name does not mean any more what it meant when the signature was read."""
        return self.sqlstate == _UNDEFINED_OBJECT and CHANGED in self.cause

    def as_query_failed(self, name: str) -> QueryFailed:
        """Return the error for the call of *name*, with PostgreSQL's own message."""
        return QueryFailed(
            f"{name} failed: {self.cause}",
            cause=self.cause,
            sqlstate=self.sqlstate,
            detail=self.detail,
            hint=self.hint,
        )


class ConnectionBroken(Exception):
    """The connection ended, or cannot be used any more.

    :ivar sent: whether the call may have reached the server
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _Sending:
    """Around the handing of messages to libpq.

    :raises ConnectionBroken: they could not be sent
    """

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, psycopg.Error):
            raise ConnectionBroken(f"the connection was lost: {error}", sent=False) from error


SENDING: Final = _Sending()


class ServerWait:
    """The server's answer, or that it takes more of what is sent to it, as something to wait for.

    :ivar deadline: on the clock of ``time.monotonic``
    :ivar sending: to wait also until more can be sent
    :ivar for_client: whether the client's going ends the wait
    """

    __slots__ = ("_poller", "deadline", "descriptor", "for_client", "sending")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.deadline = 0.0
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
        """Bytes that a client sends ahead are no news: only the end of its stream is waited for."""
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


class _Outcome:
    """What has become of the statements of one message.

    :ivar failed: the number of the first statement that did not succeed
    :ivar refused: the server's error with it, unless it was caused by cancelling
    """

    __slots__ = ("cancelled", "failed", "gone", "refused")

    def __init__(self) -> None:
        self.failed: int | None = None
        self.refused: ServerRefused | None = None
        self.gone = self.cancelled = False

    def fail(self, number: int, result: PGresult) -> None:
        """Note an error; those that follow from it do not count.

        :raises ConnectionBroken: it is no error, but something that the server was not asked for
        """
        if result.status not in _FAILED:
            raise ConnectionBroken(f"the server answered with what was not asked for: {result.status}", sent=True)
        if self.failed is None:
            self.failed = number
            if not self.cancelled:
                self.refused = ServerRefused(result)


class Exchange:
    """One connection's conversation with the server, for one thread at a time.

    libpq calls that hold Python's lock are made only when there is something to read.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = weakref.ref(connection)
        self._pgconn: PGconn = connection.pgconn
        self._wait = ServerWait(connection.pgconn.socket)

    def receive(
        self, accepts: Sequence[Accept | None], *, seconds: float, for_client: bool = False, essential: int = 1
    ) -> Steps[bool]:
        """Read the answers to the statements that were sent in one message, to their end. Return whether all succeeded.

        :param accepts: one for each statement. It takes each result, and says whether more is wanted: if not, the
            statement is cancelled. None ignores the results
        :param seconds: after which the connection is given up
        :param for_client: the statements are cancelled too when the client is gone
        :param essential: of how many statements, from the first on, errors are raised
        :raises ServerRefused: the answer to an essential statement is an error
        :raises ClientGone: the client is gone, and the statement was cancelled
        :raises ConnectionBroken: the connection ended, or *seconds* have passed
        """
        pgconn, wait, outcome = self._pgconn, self._wait, _Outcome()
        wait.deadline, wait.for_client = monotonic() + seconds, for_client
        try:
            yield from self._read_results(accepts, outcome)
        except psycopg.Error as exc:
            raise ConnectionBroken(f"the connection was lost: {exc}", sent=True) from exc
        if pgconn.status != _CONNECTION_OK:
            refused = outcome.refused
            raise ConnectionBroken(f"the connection was lost: {refused or 'no reason given'}", sent=True) from refused
        if outcome.gone and (outcome.failed is None or outcome.failed < essential):
            raise ClientGone("the client closed its connection; the call was cancelled")
        if outcome.failed is None:
            return True
        if outcome.refused is not None and outcome.failed < essential:
            raise outcome.refused
        return False

    def _read_results(self, accepts: Sequence[Accept | None], outcome: _Outcome) -> Steps[None]:
        pgconn = self._pgconn
        pipelined = pgconn.pipeline_status != _PIPELINE_OFF
        is_busy, get_result = pgconn.is_busy, pgconn.get_result
        if pgconn.flush():  # a long value does not fit into the socket at once
            yield from self._send_rest(outcome)
        number = 0
        while True:
            while is_busy():
                event = yield self._wait
                if event is Event.READY:
                    pgconn.consume_input()
                else:
                    yield from self._give_up(event, outcome)
            result = get_result()
            if result is None:
                if not pipelined:
                    return
                number += 1
                continue
            status = result.status
            if status in _EXPECTED:
                accept = accepts[number]
                if accept is not None and not (outcome.gone or outcome.cancelled or accept(result)):
                    outcome.cancelled = True
                    yield from self._cancel()
            elif status == _PIPELINE_SYNC:
                return
            else:
                outcome.fail(number, result)
            if pipelined and status in _LAST:
                get_result()  # the end of the statement's results, which libpq has no need to wait for
                number += 1

    def _give_up(self, event: Event, outcome: _Outcome) -> Steps[None]:
        """Wait no more for the statements themselves."""
        if event is Event.LATE:
            raise ConnectionBroken("the server did not answer in time", sent=True)
        outcome.gone = True
        yield from self._cancel()

    def _send_rest(self, outcome: _Outcome) -> Steps[None]:
        """Send on until the server has all."""
        self._wait.sending = True
        try:
            while self._pgconn.flush():
                event = yield self._wait
                if event is Event.LATE:
                    raise ConnectionBroken("the server did not take the call in time", sent=True)
                if event is Event.GONE:
                    outcome.gone = True
                    self._wait.for_client = False
                self._pgconn.consume_input()
        finally:
            self._wait.sending = False
        if outcome.gone:
            yield from self._cancel()

    def _cancel(self) -> Steps[None]:
        """Cancel the statement; the server must end it soon."""
        yield ELSEWHERE
        connection = self._connection()
        assert connection is not None  # it is leased to the caller of these steps
        connection.cancel_safe(timeout=CANCEL_SECONDS)
        self._wait.deadline, self._wait.for_client = monotonic() + CANCEL_SECONDS, False

"""Sending to the server and reading its answer or error by libpq alone, while watching the clock and the client."""

from __future__ import annotations

import re
import select
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from gateway.errors import ClientGone, QueryFailed

CHANGED: Final = "stonescriptdb_gateway.function_has_changed"  #: in the error of a call made with an old signature

_UNDEFINED_OBJECT: Final = "42704"
_DATATYPE_MISMATCH: Final = "42804"  #: of a polymorphic parameter; the one error of parsing without a position

# The end of the context of an error in reading a value is ``unnamed portal parameter $1 = '...'`` in the language of
# lc_messages, the dollar not in all of them. In all of them the lines about functions have quotes or parentheses.
_OF_PARAMETER: Final = re.compile(r"""(?:\A|\n)[^\n"'«»„“”(:]*[0-9][^\n"'«»„“”(:]*(?:'\.\.\.')?\Z""")

CANCEL_SECONDS: Final = 5.0  #: for a cancelled statement to end
_FATAL_ERROR: Final = int(ExecStatus.FATAL_ERROR)
_EXPECTED: Final = frozenset(
    map(int, (ExecStatus.TUPLES_OK, ExecStatus.TUPLES_CHUNK, ExecStatus.SINGLE_TUPLE, ExecStatus.COMMAND_OK))
)
_CONNECTION_OK: Final = int(ConnStatus.OK)
_HANG_UP: Final = getattr(select, "POLLRDHUP", 0)  # elsewhere only POLLHUP tells, which is always reported
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
        """The answer to who called *name*, with PostgreSQL's own words."""
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

        :raises ConnectionBroken: it could not be sent
        """
        try:
            send(*message)
        except psycopg.Error as exc:
            raise ConnectionBroken(f"the connection was lost: {exc}", sent=False) from exc

    def receive(self, accept: Accept, *, seconds: float, client: HasFileno | None = None) -> None:
        """Read the answer to what was sent, to its end, whatever happens.

        :param accept: takes each result; if it wants no more, the statement is cancelled
        :param seconds: after which the server is given up
        :param client: the statement is cancelled too when the other end of this socket is closed
        :raises ServerRefused: the answer is an error
        :raises ClientGone: the client is gone; the statement was cancelled
        :raises ConnectionBroken: the connection ended, or the time was over
        """
        try:
            refused, gone = self._read_results(accept, monotonic() + seconds, client)
        except psycopg.Error as exc:
            raise ConnectionBroken(f"the connection was lost: {exc}", sent=True) from exc
        if self._pgconn.status != _CONNECTION_OK:
            raise ConnectionBroken(f"the connection was lost: {refused or 'no reason given'}", sent=True) from refused
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
                raise ConnectionBroken(f"the server answered with what was not asked for: {result.status}", sent=True)
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
            raise ConnectionBroken("the server did not answer in time", sent=True)
        return all(descriptor != watched for descriptor, _ in ready)

    def _wait_to_send(self, deadline: float) -> None:
        writable = select.poll()
        writable.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)
        if not writable.poll(max(0, int((deadline - monotonic()) * 1000))):
            raise ConnectionBroken("the server did not take the call in time", sent=True)
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

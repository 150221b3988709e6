"""A call and the cleaning of its session in one message, over the socket of the connection, without libpq.

libpq needs a function call and a result object for each statement, which costs more than the rest of a call. The
statements after the call are always the same, and so is their answer if none fails: it is compared as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from psycopg.pq import Format
from psycopg.pq.abc import PGconn

from gateway.errors import ClientGone
from gateway.functions.cleaning import COMMANDS, UNLOCK_AND_LOOK
from gateway.functions.collected_rows import CollectedRows
from gateway.functions.protocol import Conversation
from gateway.functions.refusals import ServerRefused
from gateway.functions.statements import Query
from gateway.functions.wire import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    IDLE,
    PARSE_COMPLETE,
    READY,
    SYNC,
    AnswerReader,
    UsualAnswer,
    call,
    close,
    complete,
    execute,
    parse,
    row,
)
from gateway.steps import Event, Steps

_READY: Final = Event.READY
_RECEIVE_BYTES: Final = 64 * 1024
_WHOLE_BYTES: Final = 128 * 1024  #: of an answer that is read as a whole; a longer one is read in parts

_PREPARED: Final = {b"stonescriptdb_gateway_clean_%d" % n: command for n, command in enumerate(COMMANDS)}
_ENDING: Final = b"stonescriptdb_gateway_end"
_UNNAMED: Final = b""

# Invariants of the order:
#
# 1. The transaction of the call ends before the cleaning begins. BEGIN makes a block of the transaction that is under
#    way, and COMMIT ends it, so that deferred constraints and triggers run with the call's own settings.
# 2. Before a statement that a function can replace is executed, a query checks that none was replaced. BEGIN and COMMIT
#    are parsed each time, and SQL cannot name the unnamed statement.
_PREPARATION: Final = b"".join(
    [*(close(name) + parse(name, command) for name, command in _PREPARED.items()), parse(_UNNAMED, UNLOCK_AND_LOOK)]
)
_PREPARATION_ANSWER: Final = (CLOSE_COMPLETE + PARSE_COMPLETE) * len(_PREPARED) + PARSE_COMPLETE
_TAIL: Final = b"".join(
    [
        *(close(_ENDING) + parse(_ENDING, command) + execute(_ENDING) for command in (b"BEGIN", b"COMMIT")),
        execute(_UNNAMED),
        *map(execute, _PREPARED),
        SYNC,
    ]
)
_NOTHING_FOREIGN: Final = row(b"", b"f")  # pg_advisory_unlock_all() returns void
_TAIL_ANSWER: Final = b"".join(
    [
        *(CLOSE_COMPLETE + PARSE_COMPLETE + BIND_COMPLETE + complete(command) for command in (b"BEGIN", b"COMMIT")),
        BIND_COMPLETE + _NOTHING_FOREIGN + complete(b"SELECT 1"),
        *(BIND_COMPLETE + complete(tag) for tag in COMMANDS.values()),
        READY + IDLE,
    ]
)
_CLEANED: Final = UsualAnswer(BIND_COMPLETE, _TAIL_ANSWER)
_PREPARED_AND_CLEANED: Final = UsualAnswer(_PREPARATION_ANSWER + BIND_COMPLETE, _TAIL_ANSWER)
_EXECUTED: Final = UsualAnswer(BIND_COMPLETE, READY + IDLE)
_PARSED_AND_EXECUTED: Final = UsualAnswer(PARSE_COMPLETE + BIND_COMPLETE, READY + IDLE)
_ESSENTIAL: Final = 3  #: the call, BEGIN and COMMIT; their errors are those of the call


def is_plain(pgconn: PGconn) -> bool:
    """Whether the bytes on the connection's socket are those of the protocol: neither TLS nor GSSAPI encrypts them."""
    if pgconn.ssl_in_use:
        return False
    if pgconn.host.startswith(b"/"):  # a Unix socket, over which nothing is encrypted
        return True
    return any(option.keyword == b"gssencmode" and option.val == b"disable" for option in pgconn.info)


class Pipeline:
    """Calls on one connection, for one thread at a time.

    Between two calls libpq has the connection. It must not be waiting for an answer when a call begins, and it has
    nothing to read when a call has ended.

    :ivar is_prepared: the server has the statements of the cleaning, and the unnamed one, as a call needs them
    """

    def __init__(self, conversation: Conversation) -> None:
        self.is_prepared = False
        self._conversation = conversation
        self._wait = conversation.wait
        self._descriptor = conversation.wait.descriptor

    def call(
        self, name: bytes, values: Sequence[bytes | None], result_format: Format, rows: CollectedRows, *, seconds: float
    ) -> Steps[bool]:
        """Execute a prepared statement, commit, and clean the session. Return whether the session is clean.

        When *rows* exceed their limit, the statement is cancelled and nothing is raised.

        :param seconds: after which the connection is given up
        :raises ServerRefused: the statement or its commit ended with an error
        :raises ClientGone: the client has disconnected, and the statement was cancelled
        :raises ConnectionBroken: the connection has ended, or *seconds* have passed
        """
        message = call(name, values, result_format) + _TAIL
        if self.is_prepared:
            return self._exchange(message, _CLEANED, rows, seconds)
        return self._exchange(_PREPARATION + message, _PREPARED_AND_CLEANED, rows, seconds)

    def call_without_cleaning(
        self,
        name: bytes | None,
        statement: Query,
        values: Sequence[bytes | None],
        rows: CollectedRows,
        *,
        seconds: float,
    ) -> Steps[bool]:
        """Execute a statement and commit. Return False. Otherwise as :meth:`call`.

        :param name: under which the statement is prepared; None if it is not
        """
        message = call(name or _UNNAMED, values, statement.result_format) + SYNC
        if name is not None:
            return self._exchange(message, _EXECUTED, rows, seconds)
        message = parse(_UNNAMED, statement.sql, statement.types) + message
        return self._exchange(message, _PARSED_AND_EXECUTED, rows, seconds)

    def _exchange(self, message: bytes, usual: UsualAnswer, rows: CollectedRows, seconds: float) -> Steps[bool]:
        """Send a message and read its answer. Return whether the session is clean afterwards."""
        conversation, wait = self._conversation, self._wait
        conversation.begin(seconds=seconds, for_client=True, drained=True)
        self.is_prepared = False
        try:
            sent = self._send(message)
            if sent < len(message):
                yield from self._send_rest(message, sent)
            event = yield wait
            data = self._read() if event is _READY else None
            value = None if data is None else usual.only_row(data)
            if value is not None:
                rows.add_joined(value, 1)
                reader = None
            else:
                reader = yield from self._receive(event, data, usual, rows)
        except BaseException:
            conversation.close()  # the rest of the answer would be taken for that of the next statement
            raise
        if reader is not None and reader.rest:
            conversation.close()  # libpq would begin to read in the middle of a message
        is_clean = reader is None or self._judge(reader)
        self.is_prepared = is_clean and (usual is _CLEANED or usual is _PREPARED_AND_CLEANED)
        return self.is_prepared

    def _judge(self, reader: AnswerReader) -> bool:
        """Return whether the session is clean after an answer that is not the usual one."""
        failed, conversation = reader.failed, self._conversation
        if conversation.gone and (failed is None or failed < _ESSENTIAL):
            raise ClientGone("the client closed its connection; the call was cancelled")
        if failed is not None and failed < _ESSENTIAL and not conversation.cancelled:
            raise ServerRefused(reader.error.get)
        return failed is None and reader.tail_rows == [_NOTHING_FOREIGN]

    def _send(self, message: bytes | memoryview, *, begun: bool = False) -> int:
        """Send as much as the socket takes without waiting, and return the number of bytes."""
        try:
            return os.write(self._descriptor, message)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._conversation.lost(str(exc), sent=begun) from exc

    def _send_rest(self, message: bytes, sent: int) -> Steps[None]:
        """Send the rest of a message. The server answers only after it has the whole call."""
        rest = memoryview(message)[sent:]
        conversation, wait = self._conversation, self._wait
        wait.sending, wait.drained = True, False
        try:
            while rest:
                event = yield wait
                if event is not _READY:
                    yield from conversation.give_up(event)
                rest = rest[self._send(rest, begun=True) :]
        finally:
            wait.sending = False
        if conversation.gone:
            yield from conversation.cancel()

    def _receive(
        self, event: Event, data: bytes | None, usual: UsualAnswer, rows: CollectedRows
    ) -> Steps[AnswerReader | None]:
        """Read an answer to its end, from the first *event* and the *data* read after it on.

        Return None if it was the usual one.
        """
        conversation, answer = self._conversation, b""
        reader: AnswerReader | None = None
        while True:
            if event is not _READY:
                yield from conversation.give_up(event)
            elif data is not None:
                at_end = not data
                if reader is None:
                    answer += data
                    if (found := usual.rows(answer)) is not None:
                        rows.add_joined(*found)
                        return None
                    if at_end or answer.startswith(READY, -len(READY + IDLE)) or len(answer) >= _WHOLE_BYTES:
                        reader, data = AnswerReader(rows), answer
                if reader is not None:
                    reader.feed(data)
                    if reader.done:
                        return reader
                    if at_end:
                        refused = ServerRefused(reader.error.get) if reader.error else None
                        raise conversation.lost(str(refused or "no reason given"), sent=True) from refused
                    if rows.too_large and not conversation.cancelled:
                        yield from conversation.cancel()
            event = yield self._wait
            data = self._read() if event is _READY else None

    def _read(self) -> bytes | None:
        """Return the received data: empty if the server has closed the connection, None if there is none."""
        try:
            data = os.read(self._descriptor, _RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise self._conversation.lost(str(exc), sent=True) from exc
        self._wait.drained = len(data) < _RECEIVE_BYTES
        return data

"""The session of one connection for calls: its prepared statements, and the cleaning after each call."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Protocol

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from gateway.errors import ResponseTooLarge
from gateway.functions.cleaning import cleaning_script
from gateway.functions.collected_rows import CollectedRows
from gateway.functions.own_queries import OwnQueries
from gateway.functions.protocol import KEPT_BYTES, SENDING, Accept, ServerConnection
from gateway.functions.refusals import ConnectionBroken, ServerRefused
from gateway.functions.statements import Query
from gateway.steps import Steps, run

MAX_PREPARED: Final = 50  #: statements per connection, some 10 kB each in the server; each call checks all of them
#: For which a connection is not checked after an answer; the pools notice when the server closes it.
TRUSTED_SECONDS: Final = 0.1
CHUNK_ROWS: Final = 8  #: rows that libpq collects before they are counted against the limit
CLEANING_SECONDS: Final = 5.0  #: for the cleaning of a session

_IDLE: Final = int(TransactionStatus.IDLE)
_IN_TRANSACTION: Final = (int(TransactionStatus.INTRANS), int(TransactionStatus.INERROR))
_IN_CHUNKS: Final = psycopg.capabilities.has_stream_chunked()  # libpq 17 and newer; older ones return row by row


def session_options(*, statement_timeout_ms: int, lock_timeout_ms: int) -> dict[str, str]:
    """Return the initial settings of every session for calls, which override those of role and database."""
    return {
        "TimeZone": "UTC",
        "DateStyle": "ISO",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "array_nulls": "on",
        "standard_conforming_strings": "on",
        "extra_float_digits": "1",
        "client_encoding": "UTF8",
        "client_min_messages": "warning",
        "log_parameter_max_length_on_error": "0",
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(lock_timeout_ms),
    }


class SessionHolder(ServerConnection, Protocol):
    """A connection that keeps its session.

    :ivar session: its CallSession; None before its first use
    """

    session: Any


class CallSession(OwnQueries):
    """The state of a connection for calls. Used by one thread at a time.

    Between two calls the session may be under cleaning: the commands were sent when a call ended, and their answer is
    read when the next one begins, so that no call waits for it.

    :ivar dblink: the schema of the database's extension dblink
    :ivar checked: the database that the caller has found this connection to be open on
    :ivar dirty: a call may have left something in the session, and no cleaning was sent
    :ivar cleaning: cleaning was sent, and its answer was not read yet
    """

    def __init__(self, connection: ServerConnection) -> None:
        super().__init__(connection)
        self.dblink: str | None = None
        self.checked: object = None
        self.dirty = False
        self.cleaning = False
        # None: sent once and not prepared, because many statements are never sent again on their connection.
        self._prepared: dict[Query, bytes | None] = {}
        self._dropped: list[bytes] = []  # prepared, and not needed any more
        self._counter = 0
        self._forgets_all = False  # the server has prepared statements that are not in _prepared
        self._seen_until = 0.0  # until when the connection is not checked, because the server has just answered
        self._found_foreign = False  # the last cleaning has found statements that were prepared in SQL

    @property
    def outgrown(self) -> bool:
        """Whether the connection keeps so much memory that it should be closed."""
        return self._conversation.outgrown

    def is_ready(self) -> bool:
        """Whether a call may be made without :meth:`settle`."""
        return (
            not (self.dirty or self.cleaning)
            and monotonic() <= self._seen_until
            and self._pgconn.transaction_status == _IDLE
        )

    def settle(self) -> Steps[None]:
        """Make the session ready for a call: clean, and with a server that has not closed the connection.

        :raises ConnectionBroken: it cannot be used again
        """
        try:
            if self.dirty:
                self.begin_cleaning()
            while self.cleaning:
                yield from self._end_cleaning()
            if monotonic() > self._seen_until:
                self._pgconn.consume_input()  # reads nothing, or that the server has closed the connection
        except (psycopg.Error, ServerRefused, ResponseTooLarge) as exc:
            raise ConnectionBroken(f"the connection was lost between two calls: {exc}", sent=False) from exc
        except ConnectionBroken as exc:
            raise ConnectionBroken(str(exc), sent=False) from exc
        if self._pgconn.transaction_status != _IDLE:
            raise ConnectionBroken("the connection is in the middle of a statement or transaction", sent=False)

    def begin_cleaning(self) -> None:
        """Send the commands that clean the session, without waiting for their answer.

        :raises psycopg.Error: the connection is broken
        """
        in_transaction = self._pgconn.transaction_status in _IN_TRANSACTION
        if self._counter or in_transaction or self.dblink:
            deallocate = [b"ALL"] if self._forgets_all else self._dropped
            script = cleaning_script(in_transaction=in_transaction, dblink=self.dblink, deallocate=deallocate)
        else:
            script = b"DISCARD ALL"  # there are no prepared statements to keep, and for a new backend this is less work
        self._use_libpq()
        self._pgconn.send_query(script)
        self._pgconn.flush()
        if self._forgets_all:
            self._prepared.clear()
        self._dropped.clear()
        self.cleaning, self.dirty, self._forgets_all = True, False, False

    def _end_cleaning(self) -> Steps[None]:
        """Read the answer to the cleaning, which usually has arrived before."""
        self._found_foreign = False
        self._pgconn.consume_input()
        yield from self._exchange.receive(self._look, seconds=CLEANING_SECONDS, max_bytes=KEPT_BYTES)
        self.cleaning = False
        while self._pgconn.notifies() is not None:
            pass
        if self._found_foreign:
            self.forget_prepared()
            self.begin_cleaning()

    def _look(self, result: PGresult) -> bool:
        """Take the results of the cleaning; the last one is that of FOREIGN_STATEMENTS."""
        self._found_foreign = result.ntuples > 0
        return True

    def call(
        self, statement: Query, values: Sequence[bytes | None], rows: CollectedRows, *, seconds: float
    ) -> Steps[None]:
        """Call a function, and add the rows of its result to *rows*; if they exceed their limit, the call is cancelled.

        Where possible, the session is clean afterwards. Not for procedures, which end transactions themselves.

        :param seconds: after which the connection is given up; the server's own timeout ends a call earlier
        :raises ServerRefused: the server ended the call with an error
        :raises ClientGone: the client has disconnected, and the call was cancelled
        :raises ConnectionBroken: the connection has ended
        """
        prepared = self._prepared
        name = prepared.get(statement)
        if name is None:
            name = yield from self._name_of(statement, seconds)
        else:
            prepared[statement] = prepared.pop(statement)  # most recently used
        pipeline = self._pipeline
        if pipeline is None:
            self._send(name, statement, values)
            yield from self._exchange.receive(rows.accept, seconds=seconds, for_client=True, max_bytes=rows.max_bytes)
            return
        self.dirty = True
        if name is None or self.dblink or self._dropped or self._forgets_all:
            yield from pipeline.call_without_cleaning(name, statement, values, rows, seconds=seconds)
        elif (yield from pipeline.call(name, values, statement.result_format, rows, seconds=seconds)):
            self.dirty = False
            self._seen_until = monotonic() + TRUSTED_SECONDS
        else:
            self.forget_prepared()

    def run(
        self,
        statement: Query,
        values: Sequence[bytes | None],
        accept: Accept,
        *,
        seconds: float,
        for_client: bool = False,
        max_bytes: int = KEPT_BYTES,
    ) -> Steps[None]:
        """Run a statement that may call any function, and pass each result to *accept*.

        :param accept: returns whether to continue; if not, the statement is cancelled
        :param seconds: after which the connection is given up; the server's own timeout ends a statement earlier
        :param for_client: whether to cancel it when the client disconnects
        :param max_bytes: of a result, an error or a notice
        :raises ResponseTooLarge: one is longer
        :raises ServerRefused, ClientGone, ConnectionBroken: as :meth:`call`
        """
        name = yield from self._name_of(statement, seconds)
        self._send(name, statement, values)
        yield from self._exchange.receive(accept, seconds=seconds, for_client=for_client, max_bytes=max_bytes)

    def _send(self, name: bytes | None, statement: Query, values: Sequence[bytes | None]) -> None:
        """Send a statement with libpq, under the *name* that it was prepared with, if any."""
        self.dirty = True
        self._use_libpq()
        self._conversation.outgrown |= sum(map(len, filter(None, values))) > KEPT_BYTES
        with SENDING:
            if name is not None:
                self._pgconn.send_query_prepared(name, values, None, statement.result_format)
            else:
                self._pgconn.send_query_params(statement.sql, values, statement.types, None, statement.result_format)
            if statement.many_rows:
                self._limit_rows_in_memory()

    def forget_prepared(self) -> None:
        """Forget all prepared statements; the next cleaning drops them in the server."""
        self._prepared.clear()
        self._forgets_all = True

    def _limit_rows_in_memory(self) -> None:
        if _IN_CHUNKS:
            self._pgconn.set_chunked_rows_mode(CHUNK_ROWS)
        else:
            self._pgconn.set_single_row_mode()

    def _name_of(self, statement: Query, seconds: float) -> Steps[bytes | None]:
        """Return the name of a prepared statement. A statement is prepared at its second use; at its first, None."""
        known = statement in self._prepared
        name = self._prepared.pop(statement, None)
        if name is None and known:
            self._counter += 1
            name = b"stonescriptdb_gateway_%d" % self._counter
            with SENDING:
                self._pgconn.send_prepare(name, statement.sql, statement.types)
            yield from self._exchange.receive(None, seconds=seconds)
        self._remember(statement, name)  # most recently used
        return name

    def _remember(self, statement: Query, name: bytes | None) -> None:
        self._prepared[statement] = name
        if len(self._prepared) > MAX_PREPARED:
            oldest = self._prepared.pop(next(iter(self._prepared)))
            if oldest is not None:
                self._dropped.append(oldest)


def session_of(connection: SessionHolder) -> CallSession:
    """Return the session of a connection, which is created at the first use."""
    session: CallSession | None = connection.session
    if session is None:
        session = connection.session = CallSession(connection)
    return session


def needs_cleaning(connection: SessionHolder) -> bool:
    """Return whether a returned connection must be cleaned before its next lease.

    Not if no call was made on it, and not if its cleaning was sent already: the next call reads the answer.
    """
    session: CallSession | None = connection.session
    return session is not None and session.dirty


def clean(connection: SessionHolder) -> None:
    """Clean a session, and wait for the answer.

    :raises ConnectionBroken: it cannot be used again
    """
    run(session_of(connection).settle())

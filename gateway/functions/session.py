"""One connection as calls use it: its prepared statements, its waits, and the cleaning of its session."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from time import monotonic
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from gateway.functions.protocol import SENDING, Accept, ConnectionBroken, Exchange, ServerRefused
from gateway.functions.statements import Query
from gateway.steps import Steps, run

MAX_PREPARED: Final = 50  #: statements per connection, some 10 kB each in the server; all are looked at after a call
TRUSTED_SECONDS: Final = (
    0.1  #: for which a server that has answered is not looked for; its going is noticed by the pools
)
CHUNK_ROWS: Final = 8  #: rows that libpq collects before they are counted against the limit
CLEANING_SECONDS: Final = 5.0  #: for the cleaning of a session
ASK_SECONDS: Final = 10.0  #: for the gateway's own questions about functions

#: Everything a function can leave behind, but for the gateway's own prepared statements, as DISCARD ALL has it.
CLEANING: Final = (
    b"CLOSE ALL",
    b"RESET SESSION AUTHORIZATION",
    b"RESET ALL",
    b"UNLISTEN *",
    b"SELECT pg_catalog.pg_advisory_unlock_all()",
    b"DISCARD TEMP",
    b"DISCARD SEQUENCES",
)
#: Those of them that are prepared on a connection, under these names.
_PREPARED_CLEANING: Final = {b"stonescriptdb_gateway_clean_%d" % n: command for n, command in enumerate(CLEANING)}

#: A row for every statement that was prepared in SQL. The gateway prepares by the
#: protocol, which no function can: a replacement of one of its statements under the same name is found here.
FOREIGN_STATEMENTS: Final = b"SELECT FROM pg_catalog.pg_prepared_statement() WHERE from_sql"

#: For databases with the extension dblink, in this schema. Whether there is an unnamed connection can only be tried.
_DISCONNECTING: Final = sql.SQL(
    "DO $dblink$ BEGIN"
    " PERFORM {schema}.dblink_disconnect(name) FROM pg_catalog.unnest({schema}.dblink_get_connections()) AS name;"
    " BEGIN PERFORM {schema}.dblink_disconnect(); EXCEPTION WHEN connection_does_not_exist THEN NULL; END;"
    " END $dblink$"
)

_ENDING: Final = (b"BEGIN", b"COMMIT", FOREIGN_STATEMENTS)  #: what follows a call before its cleaning
_ESSENTIAL: Final = 3  #: the call, and what ends its transaction
_IGNORED: Final = (None,) * len(CLEANING)
_PIPELINES: Final = psycopg.capabilities.has_pipeline()  # libpq 14 and newer
_CONNECTION_OK: Final = int(ConnStatus.OK)
_ACTIVE: Final = int(TransactionStatus.ACTIVE)
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


class CallSession:
    """The state of a connection for calls. Used by one thread at a time.

    Between two calls the session is being cleaned: the commands are sent when a call ends and their answer is read when
    the next one starts, so that no call waits for it.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pgconn = connection.pgconn
        self._exchange = Exchange(connection)
        # None: sent once and not prepared, because many statements are never sent again on their connection.
        self._prepared: dict[Query, bytes | None] = {}
        self._dropped: list[bytes] = []  # prepared, and not needed any more
        self._counter = 0
        self._cleaning_prepared = False  # the statements of _PREPARED_CLEANING are
        self._forgets_all = False  # the server has prepared statements that are not in _prepared
        self.dblink: str | None = None  #: the schema of the database's extension dblink
        self._seen_until = 0.0  # the server answered just before
        self._found_foreign = False  # the last look has found statements that SQL has prepared
        self.checked: object = None  #: what the caller has found this connection to be good for
        self.dirty = False  #: a call may have left something behind, and no cleaning has begun
        self.cleaning = False  #: cleaning was sent, and its answer not yet read

    def is_ready(self) -> bool:
        """Whether a call may be made without :meth:`settle`."""
        return (
            not (self.dirty or self.cleaning)
            and monotonic() <= self._seen_until
            and self._pgconn.transaction_status == _IDLE
        )

    def settle(self) -> Steps[None]:
        """Make the session ready for a call: cleaned, and with the server still at the other end.

        :raises ConnectionBroken: it cannot be used again
        """
        try:
            if self.dirty:
                self.begin_cleaning()
            while self.cleaning:
                yield from self._end_cleaning()
            if monotonic() > self._seen_until:
                self._pgconn.consume_input()  # nothing is read, or that the server has ended the connection
        except (psycopg.Error, ServerRefused) as exc:
            raise ConnectionBroken(f"the connection was lost between two calls: {exc}", sent=False) from exc
        except ConnectionBroken as exc:
            raise ConnectionBroken(str(exc), sent=False) from exc
        if self._pgconn.transaction_status != _IDLE:
            raise ConnectionBroken("the connection is in the middle of something", sent=False)

    def begin_cleaning(self) -> None:
        """Send the commands that clean the session, without waiting for their answer.

        :raises psycopg.Error: the connection is broken
        """
        self._pgconn.send_query(self._cleaning())
        self._pgconn.flush()
        if self._forgets_all:
            self._prepared.clear()
        self._dropped.clear()
        self.cleaning, self.dirty, self._forgets_all = True, False, False

    def _end_cleaning(self) -> Steps[None]:
        """Read the answer to the cleaning, which has been there for a while, as a rule."""
        self._found_foreign = False
        self._pgconn.consume_input()
        yield from self._exchange.receive((self._look,), seconds=CLEANING_SECONDS)
        self.cleaning = False
        while self._pgconn.notifies() is not None:
            pass
        if self._found_foreign:
            self.forget_prepared()
            self.begin_cleaning()

    def _cleaning(self) -> bytes:
        """Return the commands in one message; the last result has a row for each prepared statement of a function."""
        in_transaction = self._pgconn.transaction_status in _IN_TRANSACTION
        if not (self._counter or in_transaction or self.dblink):
            return b"DISCARD ALL"  # there are no prepared statements to keep, and for a new backend this is less work
        parts = [*CLEANING]
        if in_transaction:
            parts.insert(0, b"ROLLBACK")
        if self.dblink:
            parts.append(_disconnecting(self.dblink))
        if self._forgets_all:
            parts.append(b"DEALLOCATE ALL")
        else:
            parts += [b"DEALLOCATE " + name for name in self._dropped]
        return b"; ".join([*parts, FOREIGN_STATEMENTS])

    def run(
        self,
        statement: Query,
        values: Sequence[bytes | None],
        accept: Accept,
        *,
        seconds: float,
        for_client: bool = False,
        cleaning: bool = False,
    ) -> Steps[None]:
        """Run a statement that may call anything, and pass each result to *accept*.

        :param accept: returns whether to continue; if not, the statement is cancelled
        :param seconds: after which the connection is given up; the server's own timeout ends a statement earlier
        :param for_client: cancel it also when the client disconnects
        :param cleaning: send the cleaning with the statement, if possible; then the session is clean
            afterwards. Not for statements that end transactions themselves
        :raises ServerRefused: the server ended the statement with an error
        :raises ClientGone: the client is gone; the statement was cancelled
        :raises ConnectionBroken: the connection ended
        """
        name = self._prepared.pop(statement, b"")
        if name:
            self._prepared[statement] = name  # as the one used last
        else:
            name = yield from self._prepare_if_repeated(statement, seconds, known=name is None)
        self.dirty = True
        if name and cleaning and _PIPELINES and not (self.dblink or self._dropped or self._forgets_all):
            if not self._cleaning_prepared:
                yield from self._prepare_cleaning()
            self._send_with_cleaning(name, values, statement)
            yield from self._receive_with_cleaning(accept, seconds=seconds, for_client=for_client)
            return
        with SENDING:
            if name:
                self._pgconn.send_query_prepared(name, values, None, statement.result_format)
            else:
                self._pgconn.send_query_params(statement.sql, values, statement.types, None, statement.result_format)
            if statement.many_rows:
                self._limit_rows_in_memory()
        yield from self._exchange.receive((accept,), seconds=seconds, for_client=for_client)

    def _send_with_cleaning(self, name: bytes, values: Sequence[bytes | None], statement: Query) -> None:
        """Send a prepared statement, a commit, and the cleaning, all in one message: the server wakes up once.

        Invariants: the transaction of the call ends before the cleaning begins, as it would without (BEGIN makes a
        block of the transaction that is under way, COMMIT ends it); and before a statement of the cleaning is
        executed by its name, it was asked whether the call has replaced any. All that comes before is sent as text.
        """
        pgconn = self._pgconn
        send_text, send_prepared = pgconn.send_query_params, pgconn.send_query_prepared
        with SENDING:
            pgconn.enter_pipeline_mode()
            send_prepared(name, values, None, statement.result_format)
            if statement.many_rows:
                self._limit_rows_in_memory()
            for command in _ENDING:
                send_text(command, None)
            for part in _PREPARED_CLEANING:
                send_prepared(part, None)
            pgconn.pipeline_sync()

    def _receive_with_cleaning(self, accept: Accept, *, seconds: float, for_client: bool) -> Steps[None]:
        pgconn = self._pgconn
        self._found_foreign = False
        try:
            clean = yield from self._exchange.receive(
                (accept, None, None, self._look, *_IGNORED),
                seconds=seconds,
                for_client=for_client,
                essential=_ESSENTIAL,
            )
        finally:
            if pgconn.status == _CONNECTION_OK and pgconn.transaction_status != _ACTIVE:
                pgconn.exit_pipeline_mode()
        while pgconn.notifies() is not None:
            pass
        if clean and not self._found_foreign:
            self.dirty = False
            self._seen_until = monotonic() + TRUSTED_SECONDS
        else:
            self.forget_prepared()

    def _look(self, result: PGresult) -> bool:
        """Take the result of FOREIGN_STATEMENTS, which is the last one of those that are given."""
        self._found_foreign = result.ntuples > 0
        return True

    def _prepare_cleaning(self) -> Steps[None]:
        for name, command in _PREPARED_CLEANING.items():
            with SENDING:
                self._pgconn.send_prepare(name, command)
            yield from self._exchange.receive((None,), seconds=CLEANING_SECONDS)
        self._cleaning_prepared = True

    def ask(self, query: bytes, values: Sequence[bytes | None]) -> list[bytes]:
        """Return the first column of every row of a query of the gateway's own, which needs no cleaning. Blocks.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        result = self._ask(query, values)
        return [result.get_value(number, 0) or b"" for number in range(result.ntuples)]

    def ask_row(self, query: Query, values: Sequence[bytes | None]) -> list[bytes]:
        """Return the JSON of every column of the first row of such a query.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        result = self._ask(query.sql, values, query.types, query.result_format)
        return [result.get_value(0, column) or b"null" for column in range(result.nfields)]

    def ask_rows(self, query: bytes, values: Sequence[bytes | None]) -> list[dict[str, Any]]:
        """Every row of such a query, by the names of its columns, with values as psycopg reads them.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        result = self._ask(query, values)
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        reader = Transformer()
        reader.set_pgresult(result)
        return reader.load_rows(0, result.ntuples, lambda row: dict(zip(names, row, strict=True)))

    def _ask(
        self,
        query: bytes,
        values: Sequence[bytes | None],
        types: Sequence[int] | None = None,
        result_format: Format = Format.TEXT,
    ) -> PGresult:
        results: list[PGresult] = []

        def accept(result: PGresult) -> bool:
            results.append(result)
            return True

        with SENDING:
            self._pgconn.send_query_params(query, values, types, None, result_format)
        run(self._exchange.receive((accept,), seconds=ASK_SECONDS))
        (result,) = results
        return result

    def parameter_types(self, statement: Query) -> tuple[int, ...]:
        """Return the types that the server infers for the parameters of a statement, without running it.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        types: list[int] = []

        def accept(result: PGresult) -> bool:
            types.extend(result.param_type(number) for number in range(result.nparams))
            return True

        with SENDING:
            self._pgconn.send_prepare(b"", statement.sql, statement.types)
        run(self._exchange.receive((None,), seconds=ASK_SECONDS))
        with SENDING:
            self._pgconn.send_describe_prepared(b"")
        run(self._exchange.receive((accept,), seconds=ASK_SECONDS))
        return tuple(types)

    def forget_prepared(self) -> None:
        """Prepare every statement anew, and let the cleaning drop what the server still has of them."""
        self._prepared.clear()
        self._cleaning_prepared = False
        self._forgets_all = True

    def _limit_rows_in_memory(self) -> None:
        if _IN_CHUNKS:
            self._pgconn.set_chunked_rows_mode(CHUNK_ROWS)
        else:
            self._pgconn.set_single_row_mode()

    def _prepare_if_repeated(self, statement: Query, seconds: float, *, known: bool) -> Steps[bytes | None]:
        """Prepare a statement at its second use, and return its name then.

        :param known: it was used before
        """
        name = None
        if known:
            self._counter += 1
            name = b"stonescriptdb_gateway_%d" % self._counter
            with SENDING:
                self._pgconn.send_prepare(name, statement.sql, statement.types)
            yield from self._exchange.receive((None,), seconds=seconds)
        self._remember(statement, name)
        return name

    def _remember(self, statement: Query, name: bytes | None) -> None:
        self._prepared[statement] = name
        if len(self._prepared) > MAX_PREPARED:
            oldest = self._prepared.pop(next(iter(self._prepared)))
            if oldest is not None:
                self._dropped.append(oldest)


@cache
def _disconnecting(schema: str) -> bytes:
    return _DISCONNECTING.format(schema=sql.Identifier(schema)).as_bytes(None)


def session_of(connection: psycopg.Connection[Any]) -> CallSession:
    """Return the session of a connection, which is freed with it."""
    session = _SESSIONS.get(connection)
    if session is None:
        session = _SESSIONS[connection] = CallSession(connection)
    return session


def needs_cleaning(connection: psycopg.Connection[Any]) -> bool:
    """Return whether a returned connection must be cleaned before its next lease.

    Not if no call was made on it, and not if its cleaning was sent already: the next call reads the answer.
    """
    session = _SESSIONS.get(connection)
    return session is not None and session.dirty


def clean(connection: psycopg.Connection[Any]) -> None:
    """Clean a session, and wait for the answer.

    :raises ConnectionBroken: it cannot be used again
    """
    run(session_of(connection).settle())


_SESSIONS: Final[WeakKeyDictionary[psycopg.Connection[Any], CallSession]] = WeakKeyDictionary()

"""One connection as calls use it: its prepared statements, its waiting, and bringing it back to its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from gateway.functions.protocol import Accept, ConnectionBroken, Exchange, HasFileno, ServerRefused, ignore
from gateway.functions.statements import Query

MAX_PREPARED: Final = 200  #: statements per connection; the server keeps some 10 kB for each
CHUNK_ROWS: Final = 8  #: rows that libpq collects before they are counted against the limit
CLEANING_SECONDS: Final = 5.0  #: for a session to come back to its beginning
ASK_SECONDS: Final = 10.0  #: for the gateway's own questions about functions

#: Everything a function can leave behind, but for the prepared statements. As DISCARD ALL has it, and in one message.
CLEANING: Final = (
    b"CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *;"
    b" SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
)

_IDLE: Final = int(TransactionStatus.IDLE)
_IN_TRANSACTION: Final = (int(TransactionStatus.INTRANS), int(TransactionStatus.INERROR))
_IN_CHUNKS: Final = psycopg.capabilities.has_stream_chunked()  # libpq 17 and newer; older ones give row by row


def session_options(*, statement_timeout_ms: int, lock_timeout_ms: int) -> dict[str, str]:
    """The settings that every session for calls begins with, and comes back to, whatever role or database say."""
    return {
        "TimeZone": "UTC",
        "DateStyle": "ISO",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "client_encoding": "UTF8",
        "client_min_messages": "warning",
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(lock_timeout_ms),
    }


class CallSession:
    """What the gateway knows of a connection it makes calls on. Used by one thread at a time.

    Between two calls the cleaning of the session is under way: it is sent when a call ends and its answer is read when
    the next one begins, so that nobody waits for it.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pgconn = connection.pgconn
        self._exchange = Exchange(connection)
        # None: sent once and not prepared, because many statements are never sent again on their connection.
        self._prepared: dict[Query, bytes | None] = {}
        self._dropped: list[bytes] = []  # prepared, and not needed any more
        self._counter = 0
        self.dirty = False  #: a call may have left something behind, and no cleaning has begun
        self.prepares = False  #: the server may have prepared statements that are not in _prepared
        self.cleaning = False  #: cleaning was sent, and its answer not yet read

    def settle(self) -> None:
        """Make the session ready for a call: cleaned, and with the server still at the other end.

        :raises ConnectionBroken: it cannot be used any more
        """
        try:
            if self.dirty:
                self.begin_cleaning()
            if self.cleaning:
                self._pgconn.consume_input()  # the answer has been there for a while, as a rule
                self._exchange.receive(ignore, seconds=CLEANING_SECONDS)
                self.cleaning = False
                while self._pgconn.notifies() is not None:
                    pass
            self._pgconn.consume_input()  # nothing is read, or that the server has ended the connection
        except (psycopg.Error, ServerRefused) as exc:
            raise ConnectionBroken(f"the connection was lost between two calls: {exc}", sent=False) from exc
        except ConnectionBroken as exc:
            raise ConnectionBroken(str(exc), sent=False) from exc
        if self._pgconn.transaction_status != _IDLE:
            raise ConnectionBroken("the connection is in the middle of something", sent=False)

    def begin_cleaning(self) -> None:
        """Send what brings the session back to its beginning, and do not wait for it.

        :raises psycopg.Error: the connection is broken
        """
        self._pgconn.send_query(self._cleaning())
        self._pgconn.flush()
        if self.prepares:
            self._prepared.clear()
        self._dropped.clear()
        self.cleaning, self.dirty, self.prepares = True, False, False

    def _cleaning(self) -> bytes:
        in_transaction = self._pgconn.transaction_status in _IN_TRANSACTION
        if not (self._counter or in_transaction):
            return b"DISCARD ALL"  # there are no prepared statements to keep, and for a new backend this is less work
        command = b"ROLLBACK; " + CLEANING if in_transaction else CLEANING
        if self.prepares:
            return command + b"; DEALLOCATE ALL"
        return command + b"".join(b"; DEALLOCATE " + name for name in self._dropped)

    def run(
        self,
        statement: Query,
        values: Sequence[bytes | None],
        accept: Accept,
        *,
        seconds: float,
        client: HasFileno | None = None,
    ) -> None:
        """Run a statement that may call anything, and give each result to *accept*.

        :param accept: says whether it wants more; if not, the statement is cancelled
        :param seconds: after which the server is given up; its own time-out ends a statement before that
        :param client: cancelled too when this socket's other end is closed
        :raises ServerRefused: the server ended the statement with an error
        :raises ClientGone: the client is gone; the statement was cancelled
        :raises ConnectionBroken: the connection ended
        """
        name = self._prepare_if_repeated(statement, seconds)
        self.dirty = True
        if name is None:
            self._exchange.send(self._pgconn.send_query_params, statement.sql, values, statement.types)
        else:
            self._exchange.send(self._pgconn.send_query_prepared, name, values)
        if statement.many_rows:
            self._limit_rows_in_memory()
        self._exchange.receive(accept, seconds=seconds, client=client)

    def ask(self, sql: bytes, values: Sequence[bytes | None], types: Sequence[int] | None = None) -> list[bytes]:
        """The first column of every row of a query of the gateway's own, which leaves nothing behind.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        (result,) = self._ask(sql, values, types)
        return [result.get_value(number, 0) or b"" for number in range(result.ntuples)]

    def ask_rows(self, sql: bytes, values: Sequence[bytes | None]) -> list[dict[str, Any]]:
        """Every row of such a query, by the names of its columns, with values as psycopg reads them.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        (result,) = self._ask(sql, values, None)
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        reader = Transformer()
        reader.set_pgresult(result)
        return reader.load_rows(0, result.ntuples, lambda row: dict(zip(names, row, strict=True)))

    def _ask(self, sql: bytes, values: Sequence[bytes | None], types: Sequence[int] | None) -> list[PGresult]:
        results: list[PGresult] = []

        def accept(result: PGresult) -> bool:
            results.append(result)
            return True

        self._exchange.send(self._pgconn.send_query_params, sql, values, types)
        self._exchange.receive(accept, seconds=ASK_SECONDS)
        return results

    def parameter_types(self, statement: Query) -> tuple[int, ...]:
        """The types the server gives the parameters of a statement that is not run.

        :raises ServerRefused, ConnectionBroken: as ``run``
        """
        types: list[int] = []

        def accept(result: PGresult) -> bool:
            types.extend(result.param_type(number) for number in range(result.nparams))
            return True

        self._exchange.send(self._pgconn.send_prepare, b"", statement.sql, statement.types)
        self._exchange.receive(ignore, seconds=ASK_SECONDS)
        self._exchange.send(self._pgconn.send_describe_prepared, b"")
        self._exchange.receive(accept, seconds=ASK_SECONDS)
        return tuple(types)

    def forget_prepared(self) -> None:
        """Prepare every statement anew, and let the cleaning drop what the server still has of them."""
        self._prepared.clear()
        self.prepares = True

    def _limit_rows_in_memory(self) -> None:
        if _IN_CHUNKS:
            self._pgconn.set_chunked_rows_mode(CHUNK_ROWS)
        else:
            self._pgconn.set_single_row_mode()

    def _prepare_if_repeated(self, statement: Query, seconds: float) -> bytes | None:
        """The name under which a statement is prepared, from its second use on."""
        name = self._prepared.get(statement, b"")
        if name:
            return name
        if name is not None:
            self._remember(statement, None)
            return None
        self._counter += 1
        name = b"stonescriptdb_gateway_%d" % self._counter
        self._exchange.send(self._pgconn.send_prepare, name, statement.sql, statement.types)
        self._exchange.receive(ignore, seconds=seconds)
        self._remember(statement, name)
        return name

    def _remember(self, statement: Query, name: bytes | None) -> None:
        self._prepared[statement] = name
        if len(self._prepared) > MAX_PREPARED:
            oldest = self._prepared.pop(next(iter(self._prepared)))
            if oldest is not None:
                self._dropped.append(oldest)


def session_of(connection: psycopg.Connection[Any]) -> CallSession:
    """The session of a connection, which lives as long as the connection does."""
    session = _SESSIONS.get(connection)
    if session is None:
        session = _SESSIONS[connection] = CallSession(connection)
    return session


def needs_cleaning(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection given back must be cleaned before anybody else has it.

    Not if no call was made on it, and not if its cleaning is under way: the next call reads how that ended.
    """
    session = _SESSIONS.get(connection)
    return session is not None and session.dirty


def clean(connection: psycopg.Connection[Any]) -> None:
    """Bring a session back to its beginning, and wait for that.

    :raises ConnectionBroken: it cannot be used any more
    """
    session_of(connection).settle()


_SESSIONS: Final[WeakKeyDictionary[psycopg.Connection[Any], CallSession]] = WeakKeyDictionary()

"""The gateway's own queries on a connection, about functions and types. They block, and need no cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from gateway.functions.pipeline import Pipeline, is_plain
from gateway.functions.protocol import SENDING, Conversation, Exchange, ServerConnection
from gateway.functions.statements import Query
from gateway.steps import run

ASK_SECONDS: Final = 10.0  #: for one of these queries


class OwnQueries:
    """A connection that libpq and a pipeline use in turn."""

    def __init__(self, connection: ServerConnection) -> None:
        """Use *connection*, which has no statement under way."""
        self._pgconn = connection.pgconn
        conversation = self._conversation = Conversation(connection)
        self._exchange = Exchange(connection, conversation)
        self._pipeline = Pipeline(conversation) if is_plain(connection.pgconn) else None

    def ask(self, query: bytes, values: Sequence[bytes | None]) -> list[bytes]:
        """Return the first column of every row of a query.

        :raises ServerRefused, ConnectionBroken: as :meth:`Exchange.receive`
        """
        result = self._ask(query, values)
        return [result.get_value(number, 0) or b"" for number in range(result.ntuples)]

    def ask_row(self, query: Query, values: Sequence[bytes | None]) -> list[bytes]:
        """Return the JSON of every column of the first row of a query.

        :raises ServerRefused, ConnectionBroken: as :meth:`Exchange.receive`
        """
        result = self._ask(query.sql, values, query.types, query.result_format)
        return [result.get_value(0, column) or b"null" for column in range(result.nfields)]

    def ask_rows(self, query: bytes, values: Sequence[bytes | None]) -> list[dict[str, Any]]:
        """Return every row of a query by the names of its columns, with values as psycopg loads them.

        :raises ServerRefused, ConnectionBroken: as :meth:`Exchange.receive`
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

        self._use_libpq()
        with SENDING:
            self._pgconn.send_query_params(query, values, types, None, result_format)
        run(self._exchange.receive(accept, seconds=ASK_SECONDS))
        (result,) = results
        return result

    def parameter_types(self, statement: Query) -> tuple[int, ...]:
        """Return the types that the server infers for the parameters of a statement, without running it.

        :raises ServerRefused, ConnectionBroken: as :meth:`Exchange.receive`
        """
        types: list[int] = []

        def accept(result: PGresult) -> bool:
            types.extend(result.param_type(number) for number in range(result.nparams))
            return True

        self._use_libpq()
        with SENDING:
            self._pgconn.send_prepare(b"", statement.sql, statement.types)
        run(self._exchange.receive(None, seconds=ASK_SECONDS))
        with SENDING:
            self._pgconn.send_describe_prepared(b"")
        run(self._exchange.receive(accept, seconds=ASK_SECONDS))
        return tuple(types)

    def _use_libpq(self) -> None:
        """Note that a statement is sent with libpq, which may replace the unnamed statement."""
        if self._pipeline is not None:
            self._pipeline.is_prepared = False

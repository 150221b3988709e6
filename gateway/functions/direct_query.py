"""A statement of the client's own: one statement, its values bound, its rows as PostgreSQL renders them to JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from gateway.errors import GatewayError, InvalidRequest, QueryFailed, QueryTimeout, ResponseTooLarge
from gateway.functions.call_session import CallSession
from gateway.functions.collected_rows import CollectedRows
from gateway.functions.execution import GRACE_SECONDS
from gateway.functions.json_values import JsonValue
from gateway.functions.refusals import ServerRefused
from gateway.functions.statements import Query
from gateway.functions.value_types import oid_array, parse_rows, read_types
from gateway.functions.values import encoder_of
from gateway.steps import Peer, run
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_NO_PRIVILEGE: Final = "42501"
_NO_ROWS: Final = "0A000"  #: what a part of WITH is refused with that has no RETURNING
_TRANSACTION_STATE: Final = "25"  #: the class of what a transaction that only reads refuses
_QUERY_CANCELED: Final = "57014"
#: SQLSTATE classes of errors in the statement itself.
_BAD_STATEMENT: Final = ("0A", "22", "25", "26", "2F", "34", "3D", "3F", "42")

_ONLY_READ: Final = Query(sql=b"SET default_transaction_read_only = on", types=())  # until the session is cleaned
_BEGIN: Final = Query(sql=b"BEGIN", types=())
_COMMIT: Final = Query(sql=b"COMMIT", types=())

# The client's text stands here only when the server has understood it alone, as one whole statement: then nothing in it
# can end the parentheses around it. A whole row is ``r.*``, which no column's name can be taken for. Of a row over the
# limit, one byte more than the limit is sent.
_RENDERED: Final = (
    b"WITH r AS (\n%b\n)"
    b" SELECT pg_catalog.substr("
    b"pg_catalog.convert_to(pg_catalog.row_to_json(r.*)::pg_catalog.text, 'UTF8'), 1, %d) FROM r"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectQuery:
    """A statement and how it may be run.

    :ivar text: one statement without a semicolon at its end
    """

    text: str
    params: Sequence[JsonValue]
    may_write: bool
    statement_timeout_ms: int
    max_bytes: int
    peer: Peer | None = None  #: when it is gone, the statement is cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRows:
    """The rows, as a JSON array of objects; and of a statement that returns none, how many it has changed."""

    rows: bytes = b"[]"
    count: int = 0
    affected: int | None = None


def run_direct(session: CallSession, query: DirectQuery) -> DirectRows:
    """Run a statement in this thread, in a transaction that can only read unless the query may write.

    :raises InvalidRequest: the server does not understand the text, or the values do not fit its parameters
    :raises QueryFailed: the statement ended with an error, or would have written
    :raises QueryTimeout, ResponseTooLarge, ClientGone: it was stopped, and what it did rolled back
    :raises ConnectionBroken: the connection ended
    """
    text = query.text.encode()
    for schema in session.ask(_QUERIES["schema_of_dblink"], []):
        session.dblink = schema.decode()  # whose connections the cleaning ends
    if not query.may_write:
        run(session.run(_ONLY_READ, (), _ignore, seconds=GRACE_SECONDS))
    types = _infer_types(session, Query(sql=text, types=()), query)
    values = _encode(session, types, query.params)
    rendered = Query(
        sql=_RENDERED % (text, query.max_bytes + 1), types=types, many_rows=True, result_format=Format.BINARY
    )
    try:
        session.parameter_types(rendered)
    except ServerRefused as exc:
        if exc.sqlstate == _NO_ROWS and query.may_write:
            return _run_without_rows(session, Query(sql=text, types=types), values, query)
        raise _text_error(exc, query) from exc
    rows = CollectedRows(query.max_bytes)
    try:
        _run(session, rendered, values, rows.accept, query)
    except ServerRefused as exc:
        raise _failed(exc, query) from exc
    if rows.too_large:
        raise ResponseTooLarge(
            f"the answer is larger than {query.max_bytes} bytes, and is not sent: ask for less at a time"
        )
    return DirectRows(rows=rows.json, count=rows.count)


def _run_without_rows(
    session: CallSession, statement: Query, values: Sequence[bytes | None], query: DirectQuery
) -> DirectRows:
    """Run a statement without rows. If it returns rows after all, which are not rendered, roll it back."""
    results: list[tuple[int, int]] = []

    def accept(result: PGresult) -> bool:
        results.append((result.nfields, result.command_tuples or 0))
        return True

    try:
        run(session.run(_BEGIN, (), _ignore, seconds=GRACE_SECONDS))
        _run(session, statement, values, accept, query)
        if any(columns for columns, _ in results):
            raise InvalidRequest(
                "a statement that writes and returns rows must be INSERT, UPDATE, DELETE or MERGE itself"
            )
        seconds = query.statement_timeout_ms / 1000 + GRACE_SECONDS
        run(session.run(_COMMIT, (), _ignore, seconds=seconds, max_bytes=query.max_bytes))
    except ServerRefused as exc:
        raise _failed(exc, query) from exc
    return DirectRows(affected=sum(affected for _, affected in results))


def _run(
    session: CallSession,
    statement: Query,
    values: Sequence[bytes | None],
    accept: Callable[[PGresult], bool],
    query: DirectQuery,
) -> None:
    began = monotonic()
    seconds = query.statement_timeout_ms / 1000 + GRACE_SECONDS
    try:
        steps = session.run(statement, values, accept, seconds=seconds, for_client=True, max_bytes=query.max_bytes)
        run(steps, query.peer)
    except ServerRefused as exc:
        if exc.sqlstate == _QUERY_CANCELED and monotonic() - began >= query.statement_timeout_ms / 1000:
            raise QueryTimeout(
                f"the query was stopped after {query.statement_timeout_ms} ms, the statement timeout",
                cause=exc.cause,
                sqlstate=exc.sqlstate,
            ) from exc
        raise


def _encode(session: CallSession, types: Sequence[int], params: Sequence[JsonValue]) -> list[bytes | None]:
    if len(types) != len(params):
        raise InvalidRequest.of_field(
            "params", f"the query has {len(types)} parameters, and params has {len(params)} values"
        )

    def read_graph(oids: list[int]) -> Iterable[Mapping[str, Any]]:
        return parse_rows(session.ask(_QUERIES["type_graph"], [oid_array(oids)]))

    known = read_types(types, read_graph)
    return [encoder_of(known[oid])(value) for oid, value in zip(types, params, strict=True)]


def _text_error(refused: ServerRefused, query: DirectQuery) -> GatewayError:
    state = refused.sqlstate or ""
    if state == _NO_PRIVILEGE or not state.startswith(_BAD_STATEMENT):
        return _failed(refused, query)
    return InvalidRequest(
        f"the query cannot be run: {refused.cause}", cause=refused.cause, sqlstate=state, hint=refused.hint
    )


def _failed(refused: ServerRefused, query: DirectQuery) -> QueryFailed:
    if not query.may_write and (refused.sqlstate or "").startswith(_TRANSACTION_STATE):
        return only_reads(refused.cause)
    return refused.as_query_failed("the query")


def only_reads(cause: str | None = None) -> QueryFailed:
    """Return the error for a statement that would write, sent with a key that may not."""
    message = "this API key may only read; QUERY_WRITE_KEYS has the platforms whose keys may write"
    return QueryFailed(message, cause=cause, sqlstate=_NO_PRIVILEGE)


def _infer_types(session: CallSession, statement: Query, query: DirectQuery) -> tuple[int, ...]:
    """Return the types of the parameters of a text that is one whole valid statement."""
    try:
        return session.parameter_types(statement)
    except ServerRefused as exc:
        raise _text_error(exc, query) from exc


def _ignore(_: PGresult) -> bool:
    return True

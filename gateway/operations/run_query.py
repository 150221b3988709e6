"""Run one statement of a client on an application's database, with a line in the audit log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from gateway.errors import GatewayError, InvalidRequest
from gateway.functions.call_session import CallSession
from gateway.functions.direct_query import DirectQuery, DirectRows, only_reads, run_direct
from gateway.functions.json_values import JsonValue
from gateway.naming import DatabaseOwner, owner_facts
from gateway.operations.call_function import on_database
from gateway.services import Services
from gateway.steps import ELSEWHERE, Peer, Steps, run
from migrations_engine import SchemaExtractionFailed, split_statements

MAX_QUERY_CHARACTERS: Final = 100_000  #: longer texts have data, which belongs in params
_LOGGED_CHARACTERS: Final = 2000
_READING: Final = frozenset({"SELECT", "VALUES", "TABLE", "WITH"})
_WRITING: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})

_audit: Final = logging.getLogger("gateway.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRequest:
    """A statement, the owner of its database, and its sender.

    :ivar sent_by: facts about the sender, for the audit log
    """

    owner: DatabaseOwner
    query: str
    params: list[JsonValue]
    may_write: bool
    sent_by: dict[str, str | None]
    peer: Peer | None = None  #: the statement is cancelled when it disconnects


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAnswer:
    """The result of a query. ``rows`` is a JSON array, ready to be sent; ``rows_affected`` if it returns no rows."""

    rows: bytes
    row_count: int
    rows_affected: int | None
    execution_time_ms: float


def run_query(services: Services, wanted: QueryRequest) -> QueryAnswer:
    """Run one statement and return its rows as PostgreSQL renders them.

    :raises InvalidRequest: it is not one statement of the kinds that are allowed, or PostgreSQL does not understand it
    :raises GatewayError: as :func:`~gateway.operations.call_function.call_steps`
    """
    began = perf_counter()
    outcome = "internal_error"
    try:
        result = _run(services, wanted, _only_statement(wanted))
        outcome = "ok"
    except GatewayError as exc:
        outcome = exc.code
        raise
    finally:
        seconds = perf_counter() - began
        known = {**owner_facts(wanted.owner), **wanted.sent_by}
        facts = {name: fact for name, fact in known.items() if fact is not None}
        took = {"outcome": outcome, "milliseconds": round(seconds * 1000, 1)}
        _audit.info("query: %s", wanted.query[:_LOGGED_CHARACTERS], extra={**facts, **took})
    return QueryAnswer(
        rows=result.rows,
        row_count=result.count,
        rows_affected=result.affected,
        execution_time_ms=round(seconds * 1000, 3),
    )


def _only_statement(wanted: QueryRequest) -> str:
    """Return the query's one statement, without comments and white space around it."""
    problem = None
    if len(wanted.query) > MAX_QUERY_CHARACTERS:
        problem = f"query is longer than {MAX_QUERY_CHARACTERS} characters; send long values in params"
    elif "\0" in wanted.query or (not wanted.query.isascii() and _is_no_unicode(wanted.query)):
        problem = "query has a character that SQL text cannot contain"
    else:
        try:
            statements = split_statements(wanted.query)
        except SchemaExtractionFailed as exc:
            raise InvalidRequest.of_field("query", f"query is refused: {exc.message}") from None
        if len(statements) != 1:
            problem = f"query must be one statement, and has {len(statements)}"
    if problem is not None:
        raise InvalidRequest.of_field("query", problem)
    (statement,) = statements
    verb = statement.words[0] if statement.words else "SELECT" if statement.text.startswith("(") else ""
    if verb in _WRITING and not wanted.may_write:
        raise only_reads()
    if verb not in _READING | _WRITING:
        kinds = ", ".join(sorted(_READING)) + "; with a key that may write also " + ", ".join(sorted(_WRITING))
        raise InvalidRequest.of_field("query", f"query must begin with one of {kinds}")
    return statement.text


def _is_no_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _run(services: Services, wanted: QueryRequest, text: str) -> DirectRows:
    settings = services.settings
    query = DirectQuery(
        text=text,
        params=wanted.params,
        may_write=wanted.may_write,
        statement_timeout_ms=settings.statement_timeout_ms,
        max_bytes=settings.max_response_bytes,
        peer=wanted.peer,
    )

    def work(session: CallSession) -> Steps[DirectRows]:
        yield ELSEWHERE
        return run_direct(session, query)

    return run(on_database(services, wanted.owner, "the query", work), wanted.peer)

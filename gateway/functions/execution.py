"""Making the call: values in, JSON rows out, within limits of size and time."""

from __future__ import annotations

from time import monotonic
from typing import Final

from psycopg.pq.abc import PGresult

from gateway.errors import QueryTimeout, ResponseTooLarge
from gateway.functions.call_plans import CallPlan
from gateway.functions.call_session import CallSession
from gateway.functions.collected_rows import CollectedRows
from gateway.functions.json_values import dump_json
from gateway.functions.refusals import ServerRefused
from gateway.functions.statements import Query, render_statement
from gateway.steps import ELSEWHERE, Steps

GRACE_SECONDS: Final = 10.0  #: after its timeout, for the server to report it; then the connection is closed
_QUERY_CANCELED: Final = "57014"

#: Zero means none, which is not for a function to decide.
_SET_TIMEOUT: Final = Query(
    sql=b"SELECT (1000 OPERATOR(pg_catalog.*) pg_catalog.date_part('epoch',"
    b" pg_catalog.set_config('statement_timeout', $1, false)::pg_catalog.interval))::pg_catalog.int8",
    types=(25,),
)


def execute(
    session: CallSession,
    plan: CallPlan,
    values: list[bytes | None],
    *,
    statement_timeout_ms: int,
    max_bytes: int,
) -> Steps[CollectedRows]:
    """Return the rows of the answer, each a JSON object as PostgreSQL renders it.

    :param statement_timeout_ms: the session's, for functions that do not set their own
    :param max_bytes: of all rows together

    :raises ServerRefused: the server refused the statement, or the function raised an error
    :raises QueryTimeout: the call was cancelled, and rolled back
    :raises ResponseTooLarge, ClientGone: as QueryTimeout, unless the server had finished before the cancel
    :raises ConnectionBroken: the connection ended
    """
    timeout_ms, own_timeout = statement_timeout_ms, plan.signature.statement_timeout
    if own_timeout is not None:
        timeout_ms = yield from _apply_timeout(session, own_timeout, statement_timeout_ms)
    rows = CollectedRows(max_bytes)
    began = monotonic()
    seconds = timeout_ms / 1000 + GRACE_SECONDS
    try:
        if plan.signature.is_procedure:
            yield from _call_procedure(session, plan, values, rows, seconds=seconds)
        else:
            yield from session.call(plan.statement, values, rows, seconds=seconds)
    except ServerRefused as exc:
        if exc.sqlstate == _QUERY_CANCELED and monotonic() - began >= timeout_ms / 1000:
            message = f"{plan.signature.name} was stopped after {timeout_ms} ms, its statement timeout"
            raise QueryTimeout(message, cause=exc.cause, sqlstate=exc.sqlstate) from exc
        raise
    if rows.too_large:
        raise ResponseTooLarge(
            f"the answer of {plan.signature.name} is larger than {max_bytes} bytes, and is not sent: "
            "let the function return less at a time"
        )
    return rows


def _call_procedure(
    session: CallSession, plan: CallPlan, values: list[bytes | None], rows: CollectedRows, *, seconds: float
) -> Steps[None]:
    """Call a procedure, and add its outputs to *rows*."""
    output: list[PGresult] = []

    def accept(result: PGresult) -> bool:
        output.append(result)
        return True

    yield from session.run(plan.statement, values, accept, seconds=seconds, for_client=True, max_bytes=rows.max_bytes)
    if output and output[0].ntuples:
        yield ELSEWHERE
        rows.add([_render(session, output[0])])


def _apply_timeout(session: CallSession, wanted: str, default_ms: int) -> Steps[int]:
    """Set the function's own time-out, or the session's if it is 0, and return the milliseconds.

    PostgreSQL starts the timer before it applies the settings of the function, so they are set before the call.
    """
    own = yield from _set_timeout(session, wanted)
    return own or (yield from _set_timeout(session, str(default_ms)))


def _set_timeout(session: CallSession, wanted: str) -> Steps[int]:
    found: list[int] = []

    def accept(result: PGresult) -> bool:
        found.append(int(result.get_value(0, 0) or 0))
        return True

    yield from session.run(_SET_TIMEOUT, [wanted.encode()], accept, seconds=GRACE_SECONDS)
    return found[0]


def _render(session: CallSession, output: PGresult) -> bytes:
    """Return the outputs of a procedure as a JSON row, since CALL cannot be part of a query that renders them."""
    columns = range(output.nfields)
    statement = render_statement([output.ftype(column) for column in columns])
    rendered = session.ask_row(statement, [output.get_value(0, column) for column in columns])
    names = [dump_json((output.fname(column) or b"").decode()) for column in columns]
    return b"{%b}" % b",".join(b"%b:%b" % pair for pair in zip(names, rendered, strict=True))

"""Call a function of an application's database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeVar

import psycopg

from gateway.databases import ManagedDatabase, missing_database
from gateway.errors import ConnectionFailed, ConnectionRefused, DatabaseNotFound, GatewayError, InvalidRequest
from gateway.events import CallFinished
from gateway.functions.call_plans import known_plan, plan_call
from gateway.functions.call_session import CallSession, session_of
from gateway.functions.collected_rows import CollectedRows
from gateway.functions.execution import execute
from gateway.functions.refusals import ConnectionBroken, ServerRefused
from gateway.functions.resolution import Misfit, Params
from gateway.functions.signatures import Routine, describe
from gateway.naming import DatabaseOwner
from gateway.pools import CountedConnection
from gateway.services import Services
from gateway.steps import ELSEWHERE, Steps

_BAD_VALUE: Final = ("22", "23502", "23514")  #: SQLSTATEs that are the client's fault wherever they come from
_NO_PRIVILEGE: Final = "42501"
_NOT_SUPPORTED: Final = "0A000"
_INTERNAL_ERROR: Final = "XX000"
T = TypeVar("T")
TRIES: Final = 4  #: with signatures that have changed meanwhile; few calls see more than one change
_TRIES_LEFT: Final = tuple(reversed(range(TRIES)))
_TWICE: Final = (1, 2)

#: The prepared statement was dropped or replaced, or its result has other columns now.
_PREPARED_ANEW: Final = frozenset({"26000", "42P05", _NOT_SUPPORTED})


@dataclass(slots=True, kw_only=True)  # not frozen: each call creates one, which would take three times as long
class FunctionCall:
    """A function, the owner of its database, and its arguments as ``parse_json`` returns them."""

    owner: DatabaseOwner
    function: str
    params: Params


@dataclass(slots=True, kw_only=True)  # as FunctionCall
class CallAnswer:
    """The result of a call. ``rows`` is a JSON array, ready to be sent."""

    rows: bytes
    row_count: int
    execution_time_ms: float


def call_steps(services: Services, call: FunctionCall) -> Steps[CallAnswer]:
    """Call a function and return its rows as JSON rendered by PostgreSQL.

    :raises FunctionNotFound: there is none that may be called
    :raises InvalidRequest: the values do not fit any function of the name, or more than one
    :raises GatewayError: anything else that ended the call
    """
    began = perf_counter()

    def work(session: CallSession) -> Steps[CollectedRows]:
        return _call_as_known(session, services, call)

    rows = yield from on_database(services, call.owner, call.function, work)
    return CallAnswer(
        rows=rows.json,
        row_count=rows.count,
        execution_time_ms=round((perf_counter() - began) * 1000, 3),
    )


def on_database(
    services: Services, owner: DatabaseOwner, name: str, work: Callable[[CallSession], Steps[T]]
) -> Steps[T]:
    """Do *work* on a session of *owner*'s database, clean before and after, and return what it returns.

    :param name: what is called, for errors
    :raises DatabaseNotFound, DatabaseNameConflict: as :func:`_lease`
    :raises ConnectionFailed: the connection was lost, and the work may have reached the server
    :raises GatewayError: the work ended in an error
    """
    began = perf_counter()
    lost = 0
    reached = False
    try:
        while True:
            connection, session = yield from _lease(services, owner)
            reached = True
            try:
                if not session.is_ready():
                    yield from session.settle()
                return (yield from work(session))
            except ServerRefused as exc:  # of one of the gateway's own queries
                raise exc.as_query_failed(name) from exc
            except ConnectionBroken as exc:
                connection.close()
                lost += 1
                if exc.sent or lost > services.settings.max_connections_per_pool:  # all may have been lost at once
                    raise ConnectionFailed("the connection to PostgreSQL was lost during the call") from exc
            finally:
                if session.outgrown:
                    connection.close()
                elif session.dirty:
                    _begin_cleaning(connection, session)
                services.registry.give_back(connection)
    finally:
        if reached:
            services.events.emit(CallFinished(owner.platform, perf_counter() - began))


def _lease(services: Services, owner: DatabaseOwner) -> Steps[tuple[CountedConnection, CallSession]]:
    """Lease a connection to the database for calls of *owner*, after a check of the cached owner.

    :raises DatabaseNotFound: there is none
    :raises DatabaseNameConflict: the database of this name is another owner's
    :raises GatewayError: there is no connection
    """
    directory, registry = services.directory, services.registry
    refused: tuple[int, ConnectionRefused] | None = None  # with the oid of the database
    for _ in _TWICE:
        database = directory.remembered(owner)
        if database is None:
            yield ELSEWHERE
            database = directory.find_for_call(owner)
        if refused is not None and database.oid == refused[0]:
            raise refused[1]
        try:
            connection = registry.take_idle(database.name) or (yield from registry.lease_steps(database.name))
        except DatabaseNotFound:
            connection = None
        except ConnectionRefused as exc:  # perhaps by a database that an undo is replacing
            if refused is not None:
                raise
            refused = database.oid, exc
            yield ELSEWHERE
            directory.forget(owner)
            continue
        if connection is not None:
            session = session_of(connection)
            if session.checked is database:
                return connection, session
            if (yield from _is_open_on(services, connection, database)):
                session.checked = database
                return connection, session
            registry.give_back(connection)
        # The cached owner is outdated: the database was dropped, or another one has its name.
        yield ELSEWHERE
        directory.forget(owner)
        registry.forget(database.name)
    raise missing_database(owner)


def _is_open_on(services: Services, connection: CountedConnection, database: ManagedDatabase) -> Steps[bool]:
    """Return whether *connection* is to *database* itself. If that cannot be found out, give it back, and raise."""
    try:
        if not services.directory.was_asked(connection):
            yield ELSEWHERE
        return services.directory.is_open_on(connection, database)
    except BaseException:
        services.registry.give_back(connection)
        raise


def _begin_cleaning(connection: CountedConnection, session: CallSession) -> None:
    if not connection.closed:
        try:
            session.begin_cleaning()
        except psycopg.Error:
            connection.close()


def _call_as_known(session: CallSession, services: Services, call: FunctionCall) -> Steps[CollectedRows]:
    """Call with the cached signature; if that is refused and the signature has changed, with the new one.

    A call is repeated only if it had no effect.
    """
    signatures, database = services.signatures, call.owner.database_name
    routine = signatures.find(database, call.function)
    if routine is None:
        yield ELSEWHERE
        routine = signatures.read(session, database, call.function)
    for left in _TRIES_LEFT:
        try:
            return (yield from _attempt(session, services, call, routine))
        except (InvalidRequest, Misfit, ServerRefused) as exc:
            if isinstance(exc, ServerRefused) and not _undone(exc, routine) and not _needs_describing(exc):
                raise _explained(exc, session, call, routine) from exc
            yield ELSEWHERE
            if left == 0 or (isinstance(exc, ServerRefused) and not _undone(exc, routine)):
                raise _explained(exc, session, call, routine) from exc
            known, routine = routine, signatures.read(session, database, call.function)
            if isinstance(exc, ServerRefused) and exc.sqlstate in _PREPARED_ANEW:
                session.forget_prepared()
            elif routine is known:
                if isinstance(exc, ServerRefused) and exc.changed:
                    raise ConnectionBroken("the backend does not see what its database has", sent=False) from exc
                raise _explained(exc, session, call, routine) from exc
    raise AssertionError("the last attempt returns or raises")


def _undone(refused: ServerRefused, routine: Routine) -> bool:
    """Return whether the call has had no effect, so that it can be repeated.

    A function that is dropped between the planning of its call and its first line fails with an internal error.
    """
    in_one_transaction = not any(one.is_procedure for one in routine.candidates)
    return refused.before_execution or (in_one_transaction and refused.sqlstate == _INTERNAL_ERROR)


def _attempt(session: CallSession, services: Services, call: FunctionCall, routine: Routine) -> Steps[CollectedRows]:
    settings = services.settings
    session.dblink = routine.dblink
    try:
        plan = known_plan(routine, call.params)
        if plan is None:
            yield ELSEWHERE
            plan = plan_call(routine, call.params, session, max_row_bytes=settings.max_response_bytes)
            services.signatures.weigh(call.owner.database_name, call.function)
        values = plan.encode(call.params)
    except RecursionError:
        raise InvalidRequest.of_field("params", "params are nested too deeply") from None
    return (
        yield from execute(
            session,
            plan,
            values,
            statement_timeout_ms=settings.statement_timeout_ms,
            max_bytes=settings.max_response_bytes,
        )
    )


def _needs_describing(refused: ServerRefused) -> bool:
    """Return whether the arguments are the cause, so that the answer describes the signatures."""
    state = refused.sqlstate or ""
    return (refused.of_value and not state.startswith(_BAD_VALUE)) or (refused.of_statement and state != _NO_PRIVILEGE)


def _explained(
    refused: InvalidRequest | Misfit | ServerRefused, session: CallSession, call: FunctionCall, routine: Routine
) -> GatewayError:
    """Return the error for the client of a call that PostgreSQL refused."""
    if isinstance(refused, InvalidRequest):
        return refused
    if isinstance(refused, Misfit):
        return refused.as_invalid_request(describe(session, refused.candidates))
    name, state = call.function, refused.sqlstate or ""
    if _needs_describing(refused):
        signatures = " or ".join(describe(session, routine.candidates))
        return InvalidRequest(f"params do not fit {signatures}: {refused.cause}", cause=refused.cause, sqlstate=state)
    if state == _NOT_SUPPORTED and any(one.returns_unknown_record for one in routine.candidates):
        return InvalidRequest(
            f"{name} returns records whose columns it does not declare; declare it as RETURNS TABLE (…)",
            cause=refused.cause,
            sqlstate=state,
        )
    return refused.as_query_failed(name)

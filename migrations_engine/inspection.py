"""The deployed version of a database, and its drift since then. Nothing is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from migrations_engine.catalog import READ_MARK, complete_mark, read_catalog
from migrations_engine.deploy_record import last_desired_schema
from migrations_engine.diff import diff_catalogs
from migrations_engine.errors import DeployInterrupted, MigrationFailed, ServerMessage
from migrations_engine.queries import query_all
from migrations_engine.report import Change
from migrations_engine.tracking import (
    LAST_DEPLOY_RESULTS,
    READ_LAST_DEPLOY,
    LastDeploy,
    Records,
    is_tracked,
    read_last_deploy,
    read_state,
)

_BEGIN: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ"
_AT_ONE_TIME: Final = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"  #: because a deploy may commit in between


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The deployed version and the state of a database.

    :ivar schema_checksum: of the schema deployed last; None if this gateway has deployed none
    :ivar fingerprint: equal for databases in which a deploy has to make the same changes
    :ivar is_intact: it is as its last deploy left it
    :ivar differences: to a new database of the schema, which that deploy left, a sentence each
    """

    schema_checksum: str | None
    deployed_at: datetime | None
    request_id: str | None
    fingerprint: str
    is_intact: bool
    differences: tuple[str, ...] = ()


def inspect_database(connection: psycopg.Connection[Any]) -> Inspection:
    """Read the deployed version and the state of the database of *connection*.

    The mark is read first, in one message with all else that is needed if nothing has changed since the last deploy.

    :raises EngineError: PostgreSQL refuses, or the connection is lost
    """
    with _reading(connection):
        return _inspect_by_mark(connection) or _inspect_by_catalog(connection)


def _inspect_by_mark(connection: psycopg.Connection[Any]) -> Inspection | None:
    """Return the state of a database whose mark is that of its last deploy, else None."""
    try:
        _, *results, _ = query_all(connection, [_BEGIN, READ_LAST_DEPLOY, READ_MARK, b"COMMIT"])
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.UndefinedColumn,
    ):  # by an earlier gateway, or never deployed
        connection.execute("ROLLBACK")
        return None
    last = LastDeploy.of_results(results[:LAST_DEPLOY_RESULTS])
    mark = complete_mark(connection, results[LAST_DEPLOY_RESULTS:])
    return _inspection(last) if last.mark == mark else None


def _inspect_by_catalog(connection: psycopg.Connection[Any]) -> Inspection:
    """Compare everything, because by the mark alone the database may only have been touched."""
    with connection.transaction():
        connection.execute(_AT_ONE_TIME)
        there = read_catalog(connection).fingerprint()
        if not is_tracked(connection):
            return Inspection(
                schema_checksum=None, deployed_at=None, request_id=None, fingerprint=there, is_intact=False
            )
        last, functions = read_last_deploy(connection), read_state(connection).functions
    if last.fingerprint == there and all(one.intact for one in functions):
        return _inspection(last)
    return _inspection(last, there, *sorted(f"{one.identity} {one.checksum} {one.intact}" for one in functions))


def _inspection(last: LastDeploy, *differing: str) -> Inspection:
    """Return the state of a database.

    :param differing: what identifies its state where that is not as the last deploy left it
    """
    parts = (last.checksum, last.migrations, last.fingerprint, *differing)
    return Inspection(
        schema_checksum=last.checksum,
        deployed_at=last.deployed_at,
        request_id=last.request_id,
        fingerprint=hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest(),
        is_intact=not differing,
        differences=last.differences,
    )


def describe_drift(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Return a line for each difference of the database of *connection* from the schema that was deployed last.

    :raises EngineError: as for :func:`inspect_database`
    """
    with _reading(connection), connection.transaction():
        connection.execute(_AT_ONE_TIME)
        if not is_tracked(connection):
            return ()
        state, there = read_state(connection), read_catalog(connection)
        deployed = last_desired_schema(Records(connection), state)
    if deployed is None:
        return ()
    # With the present state as the earlier declaration, objects added by hand count as differences too.
    diff = diff_catalogs(actual=there, wanted=deployed.complete, former=there)
    functions = [
        f"{one.file}: {one.identity} has been {'changed' if one.exists else 'dropped'}"
        for one in state.functions
        if not one.intact
    ]
    return (*(_line(difference.as_change()) for difference in diff.changes), *functions)


@contextmanager
def _reading(connection: psycopg.Connection[Any]) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        server = ServerMessage.of(exc)
        failure = DeployInterrupted if connection.closed else MigrationFailed
        raise failure(f"the database could not be inspected: {server.message}", server=server) from exc


def _line(change: Change) -> str:
    """Return a line about a deployed object; *change* would revert the drift."""
    subject = f"{change.table}.{change.column}" if change.column else change.table
    if change.change_type == "alter_comment":  # its object has a kind in place of a column
        subject = f"{change.column} {change.table}"
    verb, _, kind = change.change_type.partition("_")
    kind = kind.replace("_", " ")
    if verb == "drop":
        return f"{subject}: {kind} that was not deployed"
    if verb == "add":
        return f"{subject}: {kind} is missing"
    if change.from_type is None and change.to_type is None:
        return f"{subject}: {kind} has changed"
    here = f"is {change.from_type}" if change.from_type is not None else "is not there"
    there = f"was deployed as {change.to_type}" if change.to_type is not None else "none was deployed"
    return f"{subject}: {kind} {here}, {there}"

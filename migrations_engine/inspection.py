"""The deployed version of a database, and its drift since then. Nothing is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from migrations_engine.catalog import read_catalog, read_mark
from migrations_engine.deploy_record import last_desired_schema
from migrations_engine.diff import diff_catalogs
from migrations_engine.errors import DeployInterrupted, MigrationFailed, ServerMessage
from migrations_engine.report import Change
from migrations_engine.tracking import Records, is_tracked, read_last_deploy, read_note, read_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The deployed version and the state of a database.

    :ivar schema_checksum: of the schema deployed last; None if this gateway has deployed none
    :ivar fingerprint: equal for databases in which a deploy has to make the same changes
    :ivar is_intact: it is as its last deploy left it
    """

    schema_checksum: str | None
    deployed_at: datetime | None
    request_id: str | None
    fingerprint: str
    is_intact: bool


def inspect_database(connection: psycopg.Connection[Any]) -> Inspection:
    """Read the deployed version and the state of the database of *connection*.

    :raises EngineError: PostgreSQL refuses, or the connection is lost
    """
    with _reading(connection):
        if not is_tracked(connection):
            fingerprint = read_catalog(connection).fingerprint()
            return Inspection(
                schema_checksum=None, deployed_at=None, request_id=None, fingerprint=fingerprint, is_intact=False
            )
        last = read_last_deploy(connection)
        checksum, note = read_note(connection)
        parts = [checksum, last.migrations, note.get("fingerprint")]
        is_intact = note.get("mark") == read_mark(connection)
        if not is_intact:  # then objects may have been touched, and everything is compared
            there, functions = read_catalog(connection).fingerprint(), read_state(connection).functions
            is_intact = note.get("fingerprint") == there and all(one.intact for one in functions)
            if not is_intact:
                parts += [there, *sorted(f"{one.identity} {one.checksum} {one.intact}" for one in functions)]
    return Inspection(
        schema_checksum=checksum,
        deployed_at=last.deployed_at,
        request_id=last.request_id,
        fingerprint=hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest(),
        is_intact=is_intact,
    )


def describe_drift(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Return a line for each difference of the database of *connection* from the schema that was deployed last.

    :raises EngineError: as for :func:`inspect_database`
    """
    with _reading(connection):
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
        with connection.transaction():
            yield
    except psycopg.Error as exc:
        server = ServerMessage.of(exc)
        failure = DeployInterrupted if connection.closed else MigrationFailed
        raise failure(f"the database could not be inspected: {server.message}", server=server) from exc


def _line(change: Change) -> str:
    """Return a line about a deployed object; *change* would revert the drift."""
    subject = f"{change.table}.{change.column}" if change.column else change.table
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

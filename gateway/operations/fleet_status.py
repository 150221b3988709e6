"""The status of many databases: the version of each, groups of identical ones, and differences of drifted ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import psycopg

from gateway.databases import ManagedDatabase
from gateway.errors import GatewayError, PlatformNotFound
from gateway.naming import owner_facts
from gateway.operations.deploy import DeployTerms, dedicated_to, deploy_turn, engine_errors
from gateway.operations.roll_out import in_parallel
from gateway.platforms import StoredSchema
from gateway.services import Services
from migrations_engine import Inspection, describe_drift, inspect_database

State = Literal["current", "behind", "drifted", "not_deployed", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """The status of one database.

    :ivar state: ``drifted`` means changed since its last deploy, or left different from a new database by that
    :ivar version: of the stored schema, counted from 1; None for contents that were never stored
    :ivar error: the reason why it could not be inspected
    """

    database: ManagedDatabase
    state: State
    version: int | None = None
    inspection: Inspection | None = None
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeDatabases:
    """Databases with the same fingerprint and state.

    :ivar differences: from what was deployed and, as the last deploy left them, from a new database; a line each
    """

    names: tuple[str, ...]
    state: State
    version: int | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStatus:
    """All databases of one stored schema, or with ``schema_name`` None those of version 1.

    :ivar checksum: of the current version; None for a schema that is not stored, and for none deployed yet
    """

    schema_name: str | None
    checksum: str | None
    version: int | None
    databases: tuple[DatabaseStatus, ...]
    groups: tuple[AlikeDatabases, ...]


def fleet_status(services: Services, platform: str, schema_name: str | None = None) -> tuple[SchemaStatus, ...]:
    """Return the state of every database of *platform*, or only of those of one schema.

    Each database is queried once; the drift of databases that are alike is described once. Databases of a schema that
    is not stored, because its record was lost, are listed, too.

    :raises PlatformNotFound, SchemaNotFound: it is not registered and has no database
    """
    databases = services.directory.of_platform(platform)
    try:
        stored = services.platforms.get(platform).schemas
    except PlatformNotFound:
        if not databases:
            raise
        stored = {}
    names = sorted({*stored, *(one.owner.schema_name for one in databases if one.owner.schema_name is not None)})
    if schema_name is not None:
        names = [schema_name] if schema_name in names else [services.platforms.schema(platform, schema_name).name]
    found = [
        _schema_status(services, name, stored.get(name), [one for one in databases if one.owner.schema_name == name])
        for name in names
    ]
    of_version_1 = [one for one in databases if one.owner.kind != "schema"]
    if schema_name is None and of_version_1:
        found.append(_status_of_version_1(services, of_version_1))
    return tuple(found)


def inspect_all(
    services: Services, databases: Sequence[ManagedDatabase]
) -> list[tuple[ManagedDatabase, Inspection | GatewayError]]:
    """Inspect each database, some at a time; the result of one that cannot be inspected is the error."""

    def inspect(database: ManagedDatabase) -> tuple[ManagedDatabase, Inspection | GatewayError]:
        try:
            with deploy_turn(services), _inspecting(services, database) as connection:
                return database, inspect_database(connection)
        except GatewayError as exc:
            return database, exc

    return in_parallel(services, inspect, databases)


@contextmanager
def _inspecting(services: Services, database: ManagedDatabase) -> Iterator[psycopg.Connection[Any]]:
    terms = DeployTerms(request_id="", dry_run=True)
    with engine_errors(terms, **owner_facts(database.owner)), dedicated_to(services, database) as connection:
        yield connection


def _schema_status(
    services: Services, name: str, stored: StoredSchema | None, members: Sequence[ManagedDatabase]
) -> SchemaStatus:
    versions = [version.checksum for version in stored.versions] if stored is not None else []
    current = versions[-1] if versions else None
    statuses = []
    for database, found in inspect_all(services, members):
        if isinstance(found, GatewayError):
            statuses.append(DatabaseStatus(database=database, state="unreachable", error=found))
            continue
        checksum = found.schema_checksum
        version = len(versions) - versions[::-1].index(checksum) if checksum in versions else None
        state = _state(found, current)
        statuses.append(DatabaseStatus(database=database, state=state, version=version, inspection=found))
    return SchemaStatus(
        schema_name=name,
        checksum=current,
        version=len(versions) or None,
        databases=tuple(statuses),
        groups=_with_differences(services, _alike(statuses)),
    )


def _status_of_version_1(services: Services, members: Sequence[ManagedDatabase]) -> SchemaStatus:
    """Compare the databases of version 1 with the schema that was deployed last to any of them."""
    inspected = inspect_all(services, members)
    deployed = [one for _, one in inspected if isinstance(one, Inspection) and one.deployed_at is not None]
    newest = max(deployed, key=lambda one: str(one.deployed_at), default=None)
    target = newest.schema_checksum if newest else None
    statuses = [
        DatabaseStatus(database=database, state="unreachable", error=found)
        if isinstance(found, GatewayError)
        else DatabaseStatus(database=database, state=_state(found, target), inspection=found)
        for database, found in inspected
    ]
    return SchemaStatus(
        schema_name=None,
        checksum=target,
        version=None,
        databases=tuple(statuses),
        groups=_with_differences(services, _alike(statuses)),
    )


def _state(found: Inspection, target: str | None) -> State:
    if found.schema_checksum is None:
        return "not_deployed"
    if not found.is_intact:
        return "drifted"
    if found.schema_checksum != target:
        return "behind"
    return "drifted" if found.differences else "current"


def _alike(statuses: Sequence[DatabaseStatus]) -> list[tuple[AlikeDatabases, DatabaseStatus]]:
    """Return the databases in groups, each with one of its members."""
    groups: dict[tuple[str, str], list[DatabaseStatus]] = {}
    for status in statuses:
        fingerprint = status.inspection.fingerprint if status.inspection else ""
        groups.setdefault((status.state, fingerprint), []).append(status)
    return [
        (
            AlikeDatabases(
                names=tuple(member.database.name for member in members),
                state=members[0].state,
                version=members[0].version,
            ),
            members[0],
        )
        for members in groups.values()
    ]


def _with_differences(
    services: Services, groups: Sequence[tuple[AlikeDatabases, DatabaseStatus]]
) -> tuple[AlikeDatabases, ...]:
    """Return the groups with the differences of drifted ones from what was deployed, found in one of their members."""

    def describe(group: tuple[AlikeDatabases, DatabaseStatus]) -> AlikeDatabases:
        alike, member = group
        if alike.state != "drifted" or member.inspection is None:
            return alike
        left = member.inspection.differences
        if member.inspection.is_intact:
            return replace(alike, differences=left)
        try:
            with deploy_turn(services), _inspecting(services, member.database) as connection:
                return replace(alike, differences=(*describe_drift(connection), *left))
        except GatewayError as exc:
            return replace(alike, differences=(exc.message,))

    return tuple(in_parallel(services, describe, groups))

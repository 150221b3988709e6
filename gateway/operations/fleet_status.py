"""See many databases as one: what each is at, which are alike, and how those that were changed by hand differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import psycopg

from gateway.databases import ManagedDatabase
from gateway.errors import GatewayError
from gateway.naming import owner_facts
from gateway.operations.deploy import DeployTerms, dedicated_to, deploy_turn, engine_errors
from gateway.operations.roll_out import in_parallel
from gateway.platforms import Platform
from gateway.services import Services
from migrations_engine import Inspection, describe_drift, inspect_database

State = Literal["current", "behind", "drifted", "not_deployed", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """The status of one database.

    :ivar state: ``drifted`` means changed since its last deploy
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

    :ivar differences: from what was deployed, a line each; only of drifted ones
    """

    names: tuple[str, ...]
    state: State
    version: int | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStatus:
    """All databases of one stored schema, or with ``schema_name`` None those of version 1."""

    schema_name: str | None
    checksum: str | None
    version: int | None
    databases: tuple[DatabaseStatus, ...]
    groups: tuple[AlikeDatabases, ...]


def fleet_status(services: Services, platform: str, schema_name: str | None = None) -> tuple[SchemaStatus, ...]:
    """Return the state of every database of *platform*, or only of those of one schema.

    Each database is asked once; what drifted ones differ in is found out once for those that are alike.

    :raises PlatformNotFound, SchemaNotFound: they are not registered; version 1 needs no registration
    """
    databases = services.directory.of_platform(platform)
    of_version_1 = [one for one in databases if one.owner.kind != "schema"]
    found = []
    if schema_name is not None:
        services.platforms.schema(platform, schema_name)
    if schema_name is not None or not of_version_1 or len(of_version_1) < len(databases):
        record = services.platforms.get(platform)
        for name in [schema_name] if schema_name is not None else sorted(record.schemas):
            members = [one for one in databases if one.owner.schema_name == name]
            found.append(_schema_status(services, record, name, members))
    if schema_name is None and of_version_1:
        found.append(_status_of_version_1(services, of_version_1))
    return tuple(found)


def inspect_all(
    services: Services, databases: Sequence[ManagedDatabase]
) -> list[tuple[ManagedDatabase, Inspection | GatewayError]]:
    """Ask each database what it is at, some at a time; one that cannot be asked has its error."""

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
    services: Services, platform: Platform, name: str, members: Sequence[ManagedDatabase]
) -> SchemaStatus:
    versions = [version.checksum for version in platform.schemas[name].versions]
    statuses = []
    for database, found in inspect_all(services, members):
        if isinstance(found, GatewayError):
            statuses.append(DatabaseStatus(database=database, state="unreachable", error=found))
            continue
        checksum = found.schema_checksum
        version = len(versions) - versions[::-1].index(checksum) if checksum in versions else None
        state = _state(found, versions[-1])
        statuses.append(DatabaseStatus(database=database, state=state, version=version, inspection=found))
    return SchemaStatus(
        schema_name=name,
        checksum=versions[-1],
        version=len(versions),
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
    return "current" if found.schema_checksum == target else "behind"


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
    """Say how those that have drifted differ from what was deployed to them, by one database of each group."""

    def describe(group: tuple[AlikeDatabases, DatabaseStatus]) -> AlikeDatabases:
        alike, member = group
        if alike.state != "drifted":
            return alike
        try:
            with deploy_turn(services), _inspecting(services, member.database) as connection:
                return replace(alike, differences=describe_drift(connection))
        except GatewayError as exc:
            return replace(alike, differences=(exc.message,))

    return tuple(in_parallel(services, describe, groups))

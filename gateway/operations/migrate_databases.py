"""Migrate databases of version 1 to the schema of the request, and those of version 2 to a stored one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gateway.databases import ManagedDatabase
from gateway.errors import DatabaseNotFound, GatewayError
from gateway.naming import schema_database
from gateway.operations.deploy import DeployRequest, DeployTerms, read_schema
from gateway.operations.fleet_status import inspect_all
from gateway.operations.migration_result import MigratedDatabase, PlatformMigration
from gateway.operations.roll_out import RolloutRules, roll_out
from gateway.operations.stored_schemas import read_stored_schema
from gateway.services import Services
from migrations_engine import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchemaRequest(DeployTerms):
    """A request to bring databases to the current version of a stored schema.

    :ivar only: the ids of some of them; None for all
    :ivar first: the maximum of databases to migrate, of those that are not current; the others are skipped
    :ivar continue_on_error: begin further databases after one has failed
    """

    platform: str
    schema_name: str
    only: tuple[str, ...] | None = None
    first: int | None = None
    continue_on_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMigration:
    """A migration that can begin: the schema, the databases to migrate, and those to skip."""

    wanted: StoredSchemaRequest
    schema: Schema
    databases: tuple[ManagedDatabase, ...]
    left: tuple[ManagedDatabase, ...]


def migrate_databases(services: Services, wanted: DeployRequest, *, only_owner: bool) -> PlatformMigration:
    """Deploy the archive to the owner's database, or to all v1 databases of its platform.

    The first one is migrated alone. If it fails, the others are skipped. Otherwise they follow, several at a time, even
    if one of them fails. Failures of databases are in the result and not raised.

    :raises SchemaDeployError: the archive cannot be read; no database has been touched
    :raises DatabaseNotFound, DatabaseNameConflict: there is no database to migrate, or it is not the owner's
    """
    owner = wanted.owner
    schema = read_schema(services, wanted.archive, wanted, platform=owner.platform, tenant_id=owner.tenant_id)
    databases = _databases(services, wanted, only_owner=only_owner)
    return roll_out(
        services, databases, schema, wanted, RolloutRules(stop_after="first", may_be_dropped=not only_owner)
    )


def prepare_stored(services: Services, wanted: StoredSchemaRequest) -> StoredMigration:
    """Find the schema and the databases that *wanted* names.

    :raises PlatformNotFound, SchemaNotFound: it is not stored
    :raises DatabaseNotFound, DatabaseNameConflict: there is no database to migrate, or it is another owner's
    """
    schema = read_stored_schema(services, wanted.platform, wanted.schema_name)
    databases = _databases_of_schema(services, wanted)
    if wanted.first is None:
        return StoredMigration(wanted=wanted, schema=schema, databases=tuple(databases), left=())
    behind = tuple(
        database
        for database, found in inspect_all(services, databases)
        if isinstance(found, GatewayError) or not (found.is_intact and found.schema_checksum == schema.checksum)
    )
    return StoredMigration(wanted=wanted, schema=schema, databases=behind[: wanted.first], left=behind[wanted.first :])


def migrate_stored(services: Services, migration: StoredMigration, rules: RolloutRules) -> PlatformMigration:
    """Deploy the stored schema to the databases that were found; the others are skipped."""
    wanted = migration.wanted
    stop_after: Literal["any", "none"] = "none" if wanted.continue_on_error else "any"
    rules = replace(rules, stop_after=stop_after, may_be_dropped=wanted.only is None)
    done = roll_out(services, migration.databases, migration.schema, wanted, rules)
    skipped = tuple(MigratedDatabase(database=one.name, status="skipped") for one in migration.left)
    for one in skipped:
        rules.finished(one)
    return replace(done, databases=done.databases + skipped)


def _databases(services: Services, wanted: DeployRequest, *, only_owner: bool) -> Sequence[ManagedDatabase]:
    """Return the databases to migrate, the main database first and the others by name; never empty."""
    if only_owner:
        return [services.directory.find(wanted.owner)]
    platform = wanted.owner.platform
    found = [database for database in services.directory.of_platform(platform) if database.owner.kind != "schema"]
    if not found:
        raise DatabaseNotFound(
            f"platform {platform!r} has no databases; POST /register creates or adopts one",
            platform=platform,
        )
    return sorted(found, key=lambda database: (database.owner.kind != "main", database.name))


def _databases_of_schema(services: Services, wanted: StoredSchemaRequest) -> Sequence[ManagedDatabase]:
    """Return the databases to migrate, by name; never empty."""
    platform, schema_name = wanted.platform, wanted.schema_name
    if wanted.only is not None:
        owners = [schema_database(platform, schema_name, one) for one in dict.fromkeys(wanted.only)]
        return [services.directory.find(owner) for owner in owners]
    of_platform = services.directory.of_platform(platform, sizes=wanted.dry_run)  # a plan tries the largest
    found = [one for one in of_platform if one.owner.schema_name == schema_name]
    if not found:
        raise DatabaseNotFound(
            f"platform {platform!r} has no database of schema {schema_name!r}; POST /database/create creates one",
            platform=platform,
            schema_name=schema_name,
        )
    return found

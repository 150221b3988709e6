"""Migrate: one database of a platform, or all that version 1 made, to the schema that comes with the request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Literal

from gateway.databases import ManagedDatabase
from gateway.errors import DatabaseNotFound, GatewayError
from gateway.naming import owner_facts
from gateway.operations.deploy import DeployRequest, dedicated_to, deploy, deploy_turn, read_schema
from gateway.services import Services
from migrations_engine import Change, DeployReport, Schema, SchemaValidation, SeederValidation, Verification

_log = logging.getLogger(__name__)

MAX_PARALLEL: Final = 4  #: databases migrated at once by one request, if they get their turn


@dataclass(frozen=True, slots=True, kw_only=True)
class MigratedDatabase:
    """What became of one database.

    :ivar report: only of one that succeeded
    :ivar error: only of one that failed
    """

    database: str
    status: Literal["completed", "completed_with_warnings", "failed", "skipped"]
    report: DeployReport | None = None
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformMigration:
    """What became of all of them, in the order in which they were taken."""

    databases: tuple[MigratedDatabase, ...]
    dry_run: bool
    execution_time_ms: int

    @property
    def status(self) -> Literal["completed", "completed_with_warnings"]:
        """Whether somebody should look at it although it succeeded."""
        warned = any(result.status == "completed_with_warnings" for result in self.databases)
        return "completed_with_warnings" if warned else "completed"

    @property
    def databases_updated(self) -> tuple[str, ...]:
        """Those that are now at the schema: none after a dry run."""
        return () if self.dry_run else tuple(result.database for result in self.databases if result.report)

    @property
    def databases_failed(self) -> tuple[str, ...]:
        """Those whose deploy did not succeed; they are as they were."""
        return tuple(result.database for result in self.databases if result.status == "failed")

    @property
    def databases_skipped(self) -> tuple[str, ...]:
        """Those that were not tried, because the first one failed."""
        return tuple(result.database for result in self.databases if result.status == "skipped")

    @property
    def failure(self) -> GatewayError | None:
        """The first failure, in the order of the databases."""
        return next((result.error for result in self.databases if result.error), None)

    @property
    def reports(self) -> tuple[DeployReport, ...]:
        """The reports of those that succeeded."""
        return tuple(result.report for result in self.databases if result.report)

    @property
    def migrations_applied(self) -> int:
        """Migrations that ran, over all databases."""
        return sum(report.migrations_applied for report in self.reports)

    @property
    def functions_updated(self) -> int:
        """Functions that were made or made again, over all databases."""
        return sum(report.functions_updated for report in self.reports)

    @property
    def tables_created(self) -> int:
        """Tables that were made, over all databases."""
        return sum(report.tables_created for report in self.reports)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every warning once."""
        return tuple(dict.fromkeys(warning for report in self.reports for warning in report.warnings))

    @property
    def seeder_validations(self) -> tuple[SeederValidation, ...]:
        """For each table the rows expected and found, over all databases."""
        sums: dict[str, SeederValidation] = {}
        for one in (validation for report in self.reports for validation in report.seeder_validations):
            so_far = sums.get(one.table, SeederValidation(table=one.table, expected=0, found=0))
            sums[one.table] = replace(so_far, expected=so_far.expected + one.expected, found=so_far.found + one.found)
        return tuple(sums.values())

    @property
    def schema_validation(self) -> SchemaValidation:
        """Every difference once, with the rows at risk of all databases; also those that made a database fail."""
        found = [report.schema_validation for report in self.reports]
        found += [fact for error in self._errors if (fact := error.facts.get("schema_validation")) is not None]
        return SchemaValidation(
            safe_changes=_merged(change for one in found for change in one.safe_changes),
            dataloss_changes=_merged(change for one in found for change in one.dataloss_changes),
            incompatible_changes=_merged(change for one in found for change in one.incompatible_changes),
        )

    @property
    def verification(self) -> Verification:
        """What is verified in all databases that came to be verified; the log says in which one it is not."""
        found = [(result.database, result.report.verification) for result in self.databases if result.report]
        for result in self.databases:
            if result.error and (fact := result.error.facts.get("verification")) is not None:
                found.append((result.database, fact))
        return Verification(
            extensions_verified=all(one.extensions_verified for _, one in found),
            types_verified=all(one.types_verified for _, one in found),
            tables_verified=all(one.tables_verified for _, one in found),
            functions_verified=all(one.functions_verified for _, one in found),
            seeders_verified=all(one.seeders_verified for _, one in found),
            error_log=tuple(f"{database}: {line}" for database, one in found for line in one.error_log),
        )

    @property
    def _errors(self) -> tuple[GatewayError, ...]:
        return tuple(result.error for result in self.databases if result.error)


def migrate_databases(services: Services, wanted: DeployRequest, *, only_owner: bool) -> PlatformMigration:
    """Deploy the archive to the owner's database, or to all v1 databases of its platform.

    The first one goes alone. If it fails the others are not tried; otherwise they follow, some at a time, and a failure
    of one does not keep the others from being migrated. Failures of databases are in the result and not raised.

    :raises SchemaDeployError: the archive cannot be read; no database has been touched
    :raises DatabaseNotFound, DatabaseNameConflict: there is no database to migrate, or it is not the owner's
    """
    started = time.monotonic()
    schema = read_schema(services, wanted)
    first, *others = _databases(services, wanted, only_owner=only_owner)

    def migrate(database: ManagedDatabase) -> MigratedDatabase:
        return _migrate_one(services, database, schema, wanted)

    results = [migrate(first)]
    if results[0].error:
        results += [MigratedDatabase(database=database.name, status="skipped") for database in others]
    else:
        results += _in_parallel(migrate, others)
    return PlatformMigration(
        databases=tuple(results),
        dry_run=wanted.dry_run,
        execution_time_ms=round((time.monotonic() - started) * 1000),
    )


def _databases(services: Services, wanted: DeployRequest, *, only_owner: bool) -> Sequence[ManagedDatabase]:
    """What is to be migrated, the main database first and the others by name; never empty."""
    if only_owner:
        return [services.directory.find(wanted.owner)]
    platform = wanted.owner.platform
    found = [database for database in services.directory.of_platform(platform) if database.owner.kind != "schema"]
    if not found:
        raise DatabaseNotFound(
            f"platform {platform!r} has no database; /register makes one, or adopts one that was made elsewhere",
            platform=platform,
        )
    return sorted(found, key=lambda database: (database.owner.kind != "main", database.name))


def _migrate_one(
    services: Services, database: ManagedDatabase, schema: Schema, wanted: DeployRequest
) -> MigratedDatabase:
    """Deploy to one database. A fault of ours in one must not hide what became of the others, so it is a result too."""
    facts = owner_facts(database.owner)
    try:
        with deploy_turn(services), dedicated_to(services, database) as connection:
            report = deploy(services, connection, schema, owner=database.owner, wanted=wanted, purpose="migrate")
    except GatewayError as exc:
        return MigratedDatabase(database=database.name, status="failed", error=exc)
    except Exception as exc:  # noqa: BLE001 - see the docstring
        _log.exception("migration failed", extra={"database": database.name, "request_id": wanted.request_id})
        error = GatewayError("the gateway failed; its log has more under this request_id", **facts)
        error.__cause__ = exc
        return MigratedDatabase(database=database.name, status="failed", error=error)
    validation = report.schema_validation
    warned = report.warnings or validation.dataloss_changes or validation.incompatible_changes
    status: Final = "completed_with_warnings" if warned else "completed"
    return MigratedDatabase(database=database.name, status=status, report=report)


def _in_parallel(
    migrate: Callable[[ManagedDatabase], MigratedDatabase], databases: Sequence[ManagedDatabase]
) -> list[MigratedDatabase]:
    """Migrate some at a time, so that calls keep most of the connection budget and of the processor."""
    with ThreadPoolExecutor(MAX_PARALLEL) as threads:
        return list(threads.map(migrate, databases))


def _merged(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Equal changes of several databases as one; its rows at risk are the sum, None if nobody could count anywhere."""
    merged: dict[Change, int | None] = {}
    for change in changes:
        kind = replace(change, rows_at_risk=None)
        known = [rows for rows in (merged.get(kind), change.rows_at_risk) if rows is not None]
        merged[kind] = sum(known) if known else None
    return tuple(replace(kind, rows_at_risk=rows) for kind, rows in merged.items())

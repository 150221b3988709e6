"""Plan a migration of many databases: a dry run in one database of each group of identical ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.databases import ManagedDatabase
from gateway.errors import GatewayError
from gateway.operations.deploy import DeployTerms
from gateway.operations.fleet_status import inspect_all
from gateway.operations.migration_result import MigratedDatabase, PlatformMigration, report_for_log
from gateway.operations.roll_out import in_parallel, logged_deploy, migrate_one
from gateway.services import Services
from migrations_engine import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGroup:
    """Databases with the same plan.

    :ivar example: the result in the largest one, where the migration was tried
    :ivar tried_ms: the duration of that, as an upper bound for each of them
    """

    databases: tuple[str, ...]
    example: MigratedDatabase
    tried_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """A dry run over many databases."""

    migration: PlatformMigration
    groups: tuple[PlannedGroup, ...]
    estimated_ms: int


def plan_migration(
    services: Services, databases: Sequence[ManagedDatabase], schema: Schema, terms: DeployTerms
) -> MigrationPlan:
    """Make a dry run of *schema* in one database of each group, or in all of a group with rows at risk.

    :param terms: of a dry run
    """
    started = time.monotonic()
    alike: dict[str, list[ManagedDatabase]] = {}
    for database, found in inspect_all(services, databases):
        key = database.name if isinstance(found, GatewayError) else found.fingerprint
        alike.setdefault(key, []).append(database)
    results: dict[str, MigratedDatabase] = {}
    groups = []
    for members in alike.values():
        members.sort(key=lambda one: one.size_bytes or 0)
        began = time.monotonic()
        example = migrate_one(services, members[-1], schema, terms)
        tried_ms = round((time.monotonic() - began) * 1000)
        names = tuple(sorted(one.name for one in members))
        groups.append(PlannedGroup(databases=names, example=example, tried_ms=tried_ms))
        if _differs_by_rows(example):
            others = in_parallel(services, lambda one: migrate_one(services, one, schema, terms), members[:-1])
        else:
            others = [replace(example, database=one.name) for one in members[:-1]]
        results |= {one.database: one for one in (example, *others)}
    if databases:
        services.deploy_log.add(
            logged_deploy(services, databases, terms), {one.database: report_for_log(one) for one in results.values()}
        )
    at_once = min(services.settings.parallel_deploys, max(1, len(databases) - 1))
    return MigrationPlan(
        migration=PlatformMigration(
            databases=tuple(results[database.name] for database in databases),
            dry_run=True,
            execution_time_ms=round((time.monotonic() - started) * 1000),
        ),
        groups=tuple(groups),
        estimated_ms=round(sum(group.tried_ms * len(group.databases) for group in groups) / at_once),
    )


def _differs_by_rows(example: MigratedDatabase) -> bool:
    """Return whether the result of a database depends on its rows."""
    if example.report is None:
        return True
    validation = example.report.schema_validation
    return bool(validation.dataloss_changes or validation.incompatible_changes)

"""Register a database: create it if it is missing, and deploy the schema of the request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from gateway.errors import DatabaseAlreadyExists, DatabaseNotFound, DatabaseNotRecorded, SchemaDeployError
from gateway.naming import owner_facts
from gateway.operations.deploy import DeployRequest, dedicated_to, deploy_turn, read_schema, register
from gateway.operations.migration_result import MigratedDatabase, report_for_log
from gateway.operations.schema_template import schema_template
from gateway.platforms.deploy_log import LoggedDeploy, now_text
from gateway.services import Services
from migrations_engine import DeployReport, Schema

_ATTEMPTS: Final = 3  #: how often a concurrent create or drop between check and act is tolerated


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDatabase:
    """The result of a registration.

    :ivar created: whether it created the database; false for a dry run
    """

    database: str
    created: bool
    report: DeployReport
    execution_time_ms: int


def register_database(services: Services, wanted: DeployRequest) -> RegisteredDatabase:
    """Create the database if it is missing, adopt it if it has no stamp, and deploy the archive to it.

    A missing or unstamped database gets the owner's stamp only if the deploy succeeds, and never in a dry run.

    :raises SchemaDeployError: the archive or the deploy failed; nothing was created or changed
    :raises DatabaseNameConflict: the name is another owner's
    """
    started, started_at = time.monotonic(), now_text()
    schema = read_schema(
        services, wanted.archive, wanted, platform=wanted.owner.platform, tenant_id=wanted.owner.tenant_id
    )
    database = wanted.owner.database_name
    try:
        created, report = _register(services, wanted, schema)
    except SchemaDeployError as exc:
        _record(services, wanted, started_at, MigratedDatabase(database=database, status="failed", error=exc))
        raise
    if created or report.has_changed:
        _record(services, wanted, started_at, MigratedDatabase(database=database, status="completed", report=report))
    return RegisteredDatabase(
        database=database,
        created=created,
        report=report,
        execution_time_ms=round((time.monotonic() - started) * 1000),
    )


def _record(services: Services, wanted: DeployRequest, started_at: str, result: MigratedDatabase) -> None:
    """Log a registration that changed something or failed."""
    deploy = LoggedDeploy(
        id=services.deploy_log.new_id(wanted.request_id),
        platform=wanted.owner.platform,
        schema_name=None,
        request_id=wanted.request_id,
        dry_run=wanted.dry_run,
        total=1,
        started_at=started_at,
    )
    services.deploy_log.add(deploy, {result.database: report_for_log(result)})


def _register(services: Services, wanted: DeployRequest, schema: Schema) -> tuple[bool, DeployReport]:
    """Return whether the database was created, and the report of its deploy.

    :raises SchemaDeployError, DatabaseNameConflict: as for :func:`register_database`
    """
    for _ in range(_ATTEMPTS):
        try:
            with deploy_turn(services):
                return _register_once(services, wanted, schema)
        except (DatabaseAlreadyExists, DatabaseNotFound):
            continue  # another request has created or dropped it meanwhile; check again
    raise SchemaDeployError(
        "migration_failed",
        "other requests created and dropped the database several times during the registration; try again",
        **owner_facts(wanted.owner),
    )


def _register_once(services: Services, wanted: DeployRequest, schema: Schema) -> tuple[bool, DeployReport]:
    """Check and act once, and return whether the database was created.

    :raises DatabaseAlreadyExists, DatabaseNotFound: check-then-act race: it was created or dropped concurrently
    """
    owner = wanted.owner

    def bring_up(connection: psycopg.Connection[Any], stamp: str | None = None) -> DeployReport:
        return register(services, connection, schema, wanted, owner=owner, stamp=stamp)

    try:
        database = services.directory.find(owner)
    except DatabaseNotFound:
        template = None
        # A platform has one main database, for which a template would be used once.
        if owner.kind == "tenant" and not wanted.dry_run:
            template = schema_template(
                owner=owner, checksum=schema.checksum, schema=lambda: schema, terms=wanted, family=None
            )
        made, report = services.lifecycle.create(owner, bring_up, publish=not wanted.dry_run, template=template)
        return made is not None, report
    except DatabaseNotRecorded:
        return False, services.lifecycle.adopt(owner, bring_up, publish=not wanted.dry_run)
    with dedicated_to(services, database) as connection:
        return False, bring_up(connection, database.stamp)

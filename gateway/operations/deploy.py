"""One deploy to one database: runs the engine for a request, and converts its errors to the gateway's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final, Literal

import psycopg

from gateway.databases import ManagedDatabase, missing_database
from gateway.errors import PoolExhausted, SchemaDeployError
from gateway.events import DeployEnded
from gateway.naming import DatabaseOwner, owner_facts
from gateway.operations.migration_result import unverified
from gateway.services import Services
from migrations_engine import (
    ArchiveLimits,
    DeployOptions,
    DeployReport,
    EngineError,
    ProvenDeploys,
    Schema,
    SchemaValidation,
    deploy_schema,
    read_archive,
)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployTerms:
    """The options of a deploy request.

    :ivar force: apply changes that lose data
    :ivar dry_run: do everything, then roll it back
    :ivar undo: keep a copy of each database that is migrated
    :ivar add_seeds: add the seeded rows that are missing
    """

    force: bool = False
    dry_run: bool = False
    undo: bool = False
    add_seeds: bool = False
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest(DeployTerms):
    """A request to bring databases to the schema in *archive*.

    :ivar owner: the owner of the database; for a whole platform, of its main database
    """

    owner: DatabaseOwner
    archive: BinaryIO


def read_schema(services: Services, archive: BinaryIO, terms: DeployTerms, **facts: str | None) -> Schema:
    """Read the schema in a request's archive, once for all its databases.

    :param facts: about the request, for the error

    :raises SchemaDeployError: the archive cannot be read as a schema
    """
    settings = services.settings
    limits = ArchiveLimits(
        max_compressed_bytes=settings.max_upload_bytes,
        max_unpacked_bytes=settings.max_unpacked_bytes,
        max_entries=settings.max_archive_entries,
    )
    with engine_errors(terms, **facts):
        return read_archive(archive, limits, services.checked_schemas)


def register(
    services: Services,
    connection: psycopg.Connection[Any],
    schema: Schema,
    terms: DeployTerms,
    *,
    owner: DatabaseOwner,
    stamp: str | None = None,
) -> DeployReport:
    """Deploy *schema* to the database of *connection*, which belongs or will belong to *owner*, and fill empty tables.

    :param stamp: what the database's comment must be before and after; None for one that has no stamp yet
    :raises SchemaDeployError: it failed, and the database is unchanged
    """
    options = replace(_options(services, terms, owner), purpose="register", database_comment=stamp)
    with _observed(services, terms, owner, "register"):
        return deploy_schema(connection, schema, options)


def migrate(
    services: Services,
    database: ManagedDatabase,
    schema: Schema,
    terms: DeployTerms,
    *,
    proven: ProvenDeploys | None = None,
    before_commit: Callable[[psycopg.Connection[Any]], None] | None = None,
) -> DeployReport:
    """Deploy *schema* to a database that exists, and check its seeded rows.

    :param proven: deploys of the same request to other databases, to be repeated in this one where it is like those
    :param before_commit: called when the transaction is about to commit; not if there are several
    :raises SchemaDeployError: it failed, and the database is unchanged
    :raises DatabaseNotFound: as for :func:`dedicated_to`
    """
    options = replace(
        _options(services, terms, database.owner),
        purpose="migrate",
        database_comment=database.stamp,
        proven=proven,
        before_commit=before_commit,
    )
    with dedicated_to(services, database) as connection, _observed(services, terms, database.owner, "migrate"):
        return deploy_schema(connection, schema, options)


def _options(services: Services, terms: DeployTerms, owner: DatabaseOwner) -> DeployOptions:
    """Return what the request and the settings determine of the options of the engine."""
    settings = services.settings
    return DeployOptions(
        force=terms.force,
        dry_run=terms.dry_run,
        add_seeds=terms.add_seeds,
        platform=owner.platform,
        request_id=terms.request_id,
        lock_timeout_ms=settings.lock_timeout_ms,
        wait_seconds=settings.deploy_wait_timeout_seconds,
        scratch=services.scratch_of(owner.platform),
        desired_schemas=services.desired_schemas,
    )


@contextmanager
def _observed(
    services: Services, terms: DeployTerms, owner: DatabaseOwner, purpose: Literal["register", "migrate"]
) -> Iterator[None]:
    """Log the deploy in the block, emit its end with its result and duration, and convert its errors."""
    began = time.monotonic()
    result = "internal_error"
    facts = owner_facts(owner)
    try:
        with engine_errors(terms, **facts):
            yield
        result = "dry_run" if terms.dry_run else "done"
        _log.info("%s done", purpose, extra=_log_facts(terms, facts))
    except SchemaDeployError as exc:
        result = exc.engine_code
        raise
    finally:
        services.events.emit(DeployEnded(purpose, result, time.monotonic() - began))


@contextmanager
def engine_errors(terms: DeployTerms, **facts: str | None) -> Iterator[None]:
    """Convert the engine's errors to the gateway's, with their facts and *facts*, and log them."""
    try:
        yield
    except EngineError as exc:
        _log.warning("deploy failed: %s", exc.message, extra=_log_facts(terms, {**facts, "file": exc.file}))
        raise _as_gateway_error(exc, facts) from exc


def _log_facts(terms: DeployTerms, facts: dict[str, str | None]) -> dict[str, object]:
    """Return the facts for a log line about a deploy."""
    known = {name: value for name, value in facts.items() if value is not None}
    return {**known, "request_id": terms.request_id, "dry_run": terms.dry_run}


def _as_gateway_error(error: EngineError, facts: dict[str, str | None]) -> SchemaDeployError:
    server = error.server
    converted = SchemaDeployError(
        error.code,
        error.message,
        **facts,
        file=error.file,
        line=error.line,
        cause=server.message if server else None,
        sqlstate=server.sqlstate if server else None,
        detail=server.detail if server else None,
        hint=server.hint if server else None,
    )
    if error.code == "migration_failed":
        # Always complete; nothing is verified if the deploy failed earlier.
        converted.facts["schema_validation"] = getattr(error, "validation", None) or SchemaValidation()
        converted.facts["verification"] = getattr(error, "verification", None) or unverified(error.message)
    return converted


@contextmanager
def deploy_turn(services: Services) -> Iterator[None]:
    """Wait until this process may start another deploy, or create another database.

    Each needs several connections, the later ones while it holds the earlier. If more were started than the budget can
    finish, all of them would wait for connections that the others hold.

    :raises PoolExhausted: no other deploy ended within the wait limit of deploys
    """
    if not services.deploy_turns.acquire(timeout=services.settings.deploy_wait_timeout_seconds):
        raise PoolExhausted("other deploys are still running; try again later")
    try:
        yield
    finally:
        services.deploy_turns.release()


@contextmanager
def dedicated_to(services: Services, database: ManagedDatabase) -> Iterator[psycopg.Connection[Any]]:
    """Open a separate connection to exactly this database, for a deploy.

    :raises DatabaseNotFound: it has been dropped since it was looked up, also if another one has its name now
    """
    with services.registry.dedicated(database.name) as connection:
        if not services.directory.is_open_on(connection, database):
            raise missing_database(database.owner)
        try:
            yield connection
        finally:
            services.registry.changed(database.name)

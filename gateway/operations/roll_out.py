"""Roll a schema out to many databases: the first one alone, then the others, several at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Final, Literal, TypeVar

from gateway.databases import ManagedDatabase
from gateway.errors import INTERNAL_ERROR, DatabaseNotFound, GatewayError, drop_tracebacks
from gateway.events import DatabaseMigrated
from gateway.naming import owner_facts
from gateway.operations.deploy import DeployTerms, deploy_turn, migrate
from gateway.operations.keep_copy import CopyRules
from gateway.operations.migration_result import MigratedDatabase, PlatformMigration, report_for_log
from gateway.platforms.deploy_log import LoggedDeploy, Progress, now_text
from gateway.services import Services
from migrations_engine import ProvenDeploys, Schema

T = TypeVar("T")
R = TypeVar("R")

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRules:
    """Rules for stopping a roll-out. Running deploys are always finished.

    :ivar stop_after: after which failures no further deploys start
    :ivar may_be_dropped: a database that is dropped during the roll-out is skipped; else it counts as a failure
    :ivar is_wanted: called before each database; False counts as a failure
    :ivar finished: called with the result of each database, also of skipped ones; by several threads
    """

    stop_after: Literal["first", "any", "none"] = "any"
    may_be_dropped: bool = True
    is_wanted: Callable[[], bool] = lambda: True
    finished: Callable[[MigratedDatabase], None] = lambda _: None


def roll_out(
    services: Services, databases: Sequence[ManagedDatabase], schema: Schema, terms: DeployTerms, rules: RolloutRules
) -> PlatformMigration:
    """Deploy *schema* to *databases*, all of one platform, each in its own transaction.

    Failures of databases are in the result and not raised.
    """
    started = time.monotonic()
    results: list[MigratedDatabase] = []
    if databases:
        with services.deploy_log.running(logged_deploy(services, databases, terms)) as progress:
            results = _RollOut(services, schema, terms, rules, progress).run(databases)
    return PlatformMigration(
        databases=tuple(results),
        dry_run=terms.dry_run,
        execution_time_ms=round((time.monotonic() - started) * 1000),
    )


class _RollOut:
    """A running roll-out."""

    def __init__(
        self, services: Services, schema: Schema, terms: DeployTerms, rules: RolloutRules, progress: Progress
    ) -> None:
        self._services = services
        self._schema = schema
        self._terms = terms
        self._rules = rules
        self._progress = progress
        self._stopped = Event()
        self._proven = ProvenDeploys()
        self._copies = CopyRules(services, schema, terms)

    def run(self, databases: Sequence[ManagedDatabase]) -> list[MigratedDatabase]:
        """Deploy to the first of *databases* that still exists, then to the others, and return all results."""
        results, others = [], list(databases)
        while others:
            results.append(first := self._migrate(others.pop(0)))
            if first.reason is None:
                break
        if first.error and self._rules.stop_after == "first":
            self._stopped.set()
        return results + in_parallel(self._services, self._migrate, others)

    def _migrate(self, database: ManagedDatabase) -> MigratedDatabase:
        """Deploy to *database*, unless the roll-out was stopped, and report the result."""
        services, rules = self._services, self._rules
        result = MigratedDatabase(database=database.name, status="skipped")
        if not self._stopped.is_set() and rules.is_wanted():
            result = migrate_one(
                services, database, self._schema, self._terms, proven=self._proven, copies=self._copies
            )
            if result.error and rules.may_be_dropped and _is_dropped(services, database):
                reason = "the database was dropped after the migration had begun"
                result = MigratedDatabase(database=database.name, status="skipped", reason=reason)
        if result.error and rules.stop_after == "any":
            self._stopped.set()
        self._progress.done(result.database, result.status, report_for_log(result))
        services.events.emit(DatabaseMigrated(result.status))
        rules.finished(result)
        return result


def migrate_one(
    services: Services,
    database: ManagedDatabase,
    schema: Schema,
    terms: DeployTerms,
    *,
    proven: ProvenDeploys | None = None,
    copies: CopyRules | None = None,
) -> MigratedDatabase:
    """Deploy to one database. An internal error is a result too, so that it does not hide those of other databases.

    :param proven: deploys of the same request to other databases
    :param copies: of the same request; None for a request about this database alone
    """
    try:
        rules = copies or CopyRules(services, schema, terms)
        with deploy_turn(services), rules.kept_copy(database) as before_commit:
            report = migrate(services, database, schema, terms, proven=proven, before_commit=before_commit)
    except Exception as exc:  # noqa: BLE001 - see the docstring
        return _failed(database, exc, terms)
    validation = report.schema_validation
    warned = report.warnings or validation.dataloss_changes or validation.incompatible_changes
    status: Final = "completed_with_warnings" if warned else "completed"
    return MigratedDatabase(database=database.name, status=status, report=report)


def _failed(database: ManagedDatabase, exc: Exception, terms: DeployTerms) -> MigratedDatabase:
    """Return the result for a database whose deploy ended with *exc*. An internal error is logged."""
    error = exc
    if not isinstance(error, GatewayError):
        facts = {"database": database.name, "request_id": terms.request_id}
        _log.error("migration failed", exc_info=exc, extra=facts)
        error = GatewayError(INTERNAL_ERROR, **owner_facts(database.owner))
        error.__cause__ = exc
    drop_tracebacks(error)
    return MigratedDatabase(database=database.name, status="failed", error=error)


def _is_dropped(services: Services, database: ManagedDatabase) -> bool:
    try:
        services.directory.find(database.owner)
    except DatabaseNotFound:
        return True
    except GatewayError:  # unknown
        return False
    return False


def in_parallel(services: Services, act: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Return the results of *act* for each thing.

    Only a few run at a time, so that most of the connections are left for calls.
    """
    with ThreadPoolExecutor(services.settings.parallel_deploys) as threads:
        return list(threads.map(act, things))


def logged_deploy(services: Services, databases: Sequence[ManagedDatabase], terms: DeployTerms) -> LoggedDeploy:
    """Return the record of a deploy to *databases*, all of one platform, that begins now."""
    owner = databases[0].owner
    return LoggedDeploy(
        id=services.deploy_log.new_id(terms.request_id),
        platform=owner.platform,
        schema_name=owner.schema_name,
        request_id=terms.request_id,
        dry_run=terms.dry_run,
        total=len(databases),
        started_at=now_text(),
    )

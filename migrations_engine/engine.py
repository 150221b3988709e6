"""Bringing one database to a schema: extensions → types → tables → migrations → functions → seeders → verification."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import psycopg

from migrations_engine.bookkeeping import accepted_changes, last_understanding, record_deploy
from migrations_engine.catalog import count_rows_at_risk, read_catalog
from migrations_engine.deploy.alterations import alterations
from migrations_engine.deploy.declared import run_files, run_missing
from migrations_engine.deploy.extensions import deploy_extensions, wanted_extension
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations import (
    MigrationRunner,
    Stretch,
    pending_migrations,
    runs_outside_transaction,
    stretches,
)
from migrations_engine.deploy.plan import Plan
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import LOCK_NOT_AVAILABLE, DeploySession
from migrations_engine.diff import CatalogDiff, diff_catalogs
from migrations_engine.errors import ConnectionLost, EngineError, MigrationFailed, ServerMessage
from migrations_engine.model import Catalog, Relation, Type
from migrations_engine.report import (
    Change,
    DeployReport,
    SchemaValidation,
    SeederResult,
    SeederValidation,
    Verification,
)
from migrations_engine.schema import Schema
from migrations_engine.scratch import ScratchDatabases, scratch_databases_beside
from migrations_engine.source.dependency_order import order_migrations, order_tables, order_types
from migrations_engine.tracking import DeployState, Records, hold_session_lock, read_state, take_deploy_lock
from migrations_engine.understanding import Understanding, Understandings, understand
from migrations_engine.verification import Finding, verify

_LOCK_ATTEMPTS: Final = 4  #: tries of the whole deploy when the application's locks are in its way
_LOCK_PAUSE_SECONDS: Final = 0.25  #: before the second try; doubled before each further one
_UNSAFE_NEW_ENUM_VALUE: Final = "55P04"
_ROW_COUNT_TIMEOUT_MS: Final = 5_000  #: for each question how many rows are at risk


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """How to deploy, and for whom."""

    purpose: Literal["register", "migrate"] = "register"  #: register fills empty tables, migrate looks for seeded rows
    force: bool = False  #: go on in spite of dangerous differences and changed migrations
    dry_run: bool = False  #: do the work, roll it back, and give the plan
    platform: str = ""  #: for the changelog
    request_id: str = ""  #: for the changelog
    lock_timeout_ms: int = 5000  #: how long one statement may wait for a lock of the application's
    wait_seconds: float = 120.0  #: how long to wait for another deploy of the same database
    search_path: str = '"$user", public'
    scratch: ScratchDatabases | None = None  #: default: on the same server, with the connection's own parameters
    understandings: Understandings = field(default_factory=Understandings)  #: shared by the deploys of a process


def deploy_schema(connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions) -> DeployReport:
    """Bring the database behind *connection* to *schema*, all or nothing.

    :param connection: of this deploy alone; it is switched to autocommit, and its session is not restored
    :raises EngineError: nothing was changed (migrations that run outside a transaction excepted, which are recorded),
        and the same call can be repeated
    """
    connection.autocommit = True
    connection.prepare_threshold = None
    warnings: list[str] = []
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            return _Deploy(connection, schema, options, warnings).run()
        except EngineError as exc:
            sqlstate = exc.server.sqlstate if exc.server is not None else None
            if sqlstate == _UNSAFE_NEW_ENUM_VALUE and not warnings and not options.dry_run:
                warnings += _Deploy(connection, schema, options, []).commit_enum_values(exc)
            elif sqlstate == LOCK_NOT_AVAILABLE and attempt < _LOCK_ATTEMPTS - 1:
                time.sleep(_LOCK_PAUSE_SECONDS * 2**attempt)
            else:
                raise
        except psycopg.Error as exc:
            server = ServerMessage.of(exc)
            if connection.closed:
                raise ConnectionLost(f"the connection to PostgreSQL was lost: {server.message}", server=server) from exc
            raise MigrationFailed(
                f"PostgreSQL refused a statement of the deploy: {server.message}", server=server
            ) from exc
    raise AssertionError


class _Deploy:
    """One try of one deploy: the steps in order, and what each learned for those after it."""

    def __init__(
        self, connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, warnings: list[str]
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._options = options
        self._session = DeploySession(connection, search_path=options.search_path)
        self._session.warnings += warnings
        self._records = Records(connection)
        self._validation = SchemaValidation()
        self._accepted: tuple[Change, ...] = ()
        self._caught_up = False
        self._last: Understanding | None = None
        self._types_altered = 0

    def run(self) -> DeployReport:
        with self._lock_between_transactions():
            with self._transaction():
                self._begin()
                if self._nothing_to_do():
                    return self._unchanged_report()
                self._prepare()
                first, *rest = self._pending
                self._run_migrations(first)
                if not rest:
                    return self._finish()
            for stretch in rest:
                report = self._run_stretch(stretch, last=stretch is rest[-1])
            assert report is not None
            return report

    def commit_enum_values(self, reason: EngineError) -> list[str]:
        """Add the new enum values in a transaction of their own, and give a warning that says so.

        PostgreSQL lets nobody use a value before the transaction that added it has committed.

        :raises EngineError: *reason*, when there is no declared value to add
        """
        with self._transaction():
            self._begin()
            diff = self._compare()
            if not self._alter(diff, only={"add_enum_value"}):
                raise reason
            self._record_changes()
        return ["new enum values were committed before the rest of the deploy, which already uses them"]

    def _begin(self) -> None:
        """Take the lock and read what is there and what is remembered."""
        probe = take_deploy_lock(
            self._connection,
            search_path=self._session.search_path,
            lock_timeout_ms=self._options.lock_timeout_ms,
            wait_seconds=self._options.wait_seconds,
        )
        self._server_version = probe.server_version
        self._state = read_state(self._connection) if probe.tracked else DeployState()
        self._actual = Catalog() if probe.empty else read_catalog(self._connection)
        self._is_new = not (self._state.schema_checksum or self._state.migrations or _has_objects(self._actual))
        self._functions = FunctionDeployer(self._session, self._schema.functions, self._state)
        self._runner = MigrationRunner(self._session, self._records, self._functions, self._catch_up_early)
        if self._options.dry_run:
            self._session.plan = Plan(self._connection)
        if not probe.tracked:
            self._records.create_tables()

    def _nothing_to_do(self) -> bool:
        """The same schema was deployed last, and the database is as that deploy left it."""
        extensions = {wanted_extension(file).name for file in self._schema.extensions}
        return (
            self._state.schema_checksum == self._schema.checksum
            and all(function.intact for function in self._state.functions)
            and extensions <= self._state.extensions.keys()
            and self._state.last.get("fingerprint") == self._actual.fingerprint()
        )

    def _unchanged_report(self) -> DeployReport:
        functions = int(self._state.last["functions_deployed"])
        seeded: dict[str, int] = self._state.last["seeded"]
        validations: tuple[SeederValidation, ...] = ()
        results: tuple[SeederResult, ...] = ()
        if self._options.purpose == "migrate":
            validations = Seeders(self._session, self._schema.seeders).validate()
        else:
            results = tuple(SeederResult(table=t, inserted=0, skipped=n) for t, n in sorted(seeded.items()))
        verification = self._verified(CatalogDiff(), validations)
        return DeployReport(
            functions_deployed=functions,
            functions_skipped=functions,
            seeders=results,
            seeder_validations=validations,
            verification=verification,
            warnings=self._schema.warnings,
            dry_run=self._options.dry_run,
        )

    def _prepare(self) -> None:
        """Extensions, types and tables; in an old database, only what is new and safe, after the comparison."""
        ordered = order_migrations(self._schema.migrations, self._schema.tables)
        pending = pending_migrations(ordered, self._state, force=self._options.force, warnings=self._session.warnings)
        if self._options.dry_run:
            outside = [file for file in pending if runs_outside_transaction(file)]
            pending = [file for file in pending if file not in outside]
            self._session.warnings += [
                f"{file.label} runs outside a transaction, so a dry run leaves it out" for file in outside
            ]
        self._pending = stretches(pending)
        self._extensions_installed = deploy_extensions(self._session, self._schema.extensions)
        if self._is_new:
            run_files(self._session, order_types(self._schema.types), self._functions)
            run_files(self._session, order_tables(self._schema.tables), self._functions)
            declared = read_catalog(self._connection)
            self._understanding = Understanding(declared=declared, complete=declared)
        else:
            self._make_types(self._compare())

    def _compare(self) -> CatalogDiff:
        """Find what differs, refuse what is dangerous, and give the rest."""
        self._last = last_understanding(self._records, self._state)
        self._understanding = self._understand()
        self._session.warnings += self._understanding.warnings
        diff = count_rows_at_risk(self._connection, self._difference(), _ROW_COUNT_TIMEOUT_MS)
        self._refuse_dangers(diff)
        return diff

    def _understand(self) -> Understanding:
        """Learn what the schema means: from the last deploy if that had the same tables, else in a scratch database."""
        last = self._state.last
        if self._last is not None and (last["structure_checksum"], last["server_version"]) == (
            self._schema.structure_checksum,
            self._server_version,
        ):
            return self._last
        scratch = self._options.scratch or scratch_databases_beside(self._connection)

        def learn() -> Understanding:
            with scratch.database() as connection:
                return understand(connection, self._schema, search_path=self._options.search_path)

        return self._options.understandings.get(self._schema, self._server_version, learn)

    def _difference(self, formerly: Catalog | None = None) -> CatalogDiff:
        actual = read_catalog(self._connection)
        if actual == self._understanding.complete == self._understanding.declared:
            return CatalogDiff(actual=actual, wanted=actual)
        return diff_catalogs(
            actual=actual,
            declared=self._understanding.declared,
            complete=self._understanding.complete,
            formerly=formerly or (self._last.declared if self._last is not None else None),
        )

    def _refuse_dangers(self, diff: CatalogDiff) -> None:
        earlier = {change.key for change in accepted_changes(self._state)}
        found = diff.validation()
        dangers = (*found.dataloss_changes, *found.incompatible_changes)
        self._accepted = tuple(change for change in dangers if self._options.force or change.key in earlier)
        accepted = {change.key for change in self._accepted} if not self._options.force else set()
        self._validation = SchemaValidation(
            safe_changes=found.safe_changes,
            dataloss_changes=tuple(c for c in found.dataloss_changes if c.key not in accepted),
            incompatible_changes=tuple(c for c in found.incompatible_changes if c.key not in accepted),
        )
        self._session.warnings += diff.warnings
        self._session.warnings += [f"left as it is since it was forced: {_summary(c)}" for c in self._accepted]
        blocking = [change for change in dangers if change.key not in {c.key for c in self._accepted}]
        if blocking:
            raise MigrationFailed(
                f"the schema differs dangerously from the database: {'; '.join(_summary(c) for c in blocking)}. "
                "Nothing was changed. Make the change in a migration, or repeat the request with force",
                validation=self._validation,
            )

    def _make_types(self, diff: CatalogDiff) -> None:
        there = {(type_.schema, type_.name) for type_ in self._actual.types}
        missing = {(t.schema, t.name) for t in self._understanding.declared.types} - there
        if missing:
            run_missing(self._session, self._schema.types, self._functions, missing)
        self._types_altered = self._alter(diff, only={"add_enum_value"})

    def _catch_up_early(self) -> bool:
        """For a migration that needs what ``tables/`` newly declares: make it before its turn, once."""
        if self._is_new or self._caught_up:
            return False
        self._caught_up = True
        return self._catch_up()

    def _catch_up(self) -> bool:
        """Make what is declared, safe and still missing in an old database, and tell whether there was anything."""
        diff = self._difference()
        there = {(relation.schema, relation.name) for relation in diff.actual.relations}
        missing = {(r.schema, r.name) for r in self._understanding.declared.relations if r.is_table} - there
        if missing:
            run_missing(self._session, order_tables(self._schema.tables), self._functions, missing)
            diff = self._difference()
        self._alter(count_rows_at_risk(self._connection, diff, _ROW_COUNT_TIMEOUT_MS))
        return bool(missing or diff)

    def _alter(self, diff: CatalogDiff, only: set[str] | None = None) -> int:
        wanted = [a for a in alterations(diff) if only is None or a.change.change_type in only]
        for alteration in wanted:
            with self._session.failures_as(what=f"{alteration.change.change_type} on {alteration.change.table}"):
                self._session.run(alteration.sql, step="tables", effect=alteration.effect)
            self._session.log(alteration.change.change_type, alteration.change.table, column=alteration.change.column)
        return len(wanted)

    def _run_migrations(self, stretch: Stretch) -> None:
        for file in stretch.inside:
            self._runner.run(file)

    def _run_stretch(self, stretch: Stretch, *, last: bool) -> DeployReport | None:
        """A migration outside a transaction, and those after it in a transaction of their own."""
        if stretch.outside is not None:
            self._runner.run_outside(stretch.outside, self._state)
        with self._transaction():
            self._session.restore_settings(True)
            self._run_migrations(stretch)
            return self._finish() if last else None

    def _finish(self) -> DeployReport:
        """Functions, seeders and verification, and the books."""
        declared = self._understanding.declared
        if not self._is_new:
            self._catch_up()
        elif self._schema.migrations:
            self._understanding = Understanding(declared=declared, complete=read_catalog(self._connection))
        functions = self._functions.deploy(self._records)
        seeded, validations = self._seed()
        remaining = self._difference(formerly=declared)
        verification = self._verified(remaining, validations)
        if self._is_new:
            self._options.understandings.put(self._schema, self._server_version, self._understanding)
        self._write_books(remaining.actual, functions.deployed, seeded, validations)
        return DeployReport(
            extensions_installed=self._extensions_installed,
            types_deployed=len(_labels(remaining.actual.types) - _labels(self._actual.types)) + self._types_altered,
            tables_created=len(_tables(remaining.actual) - _tables(self._actual)),
            migrations_applied=len(self._runner.applied),
            functions_deployed=functions.deployed,
            functions_skipped=functions.skipped,
            functions_updated=functions.updated,
            functions_dropped=functions.dropped,
            seeders=seeded,
            seeder_validations=validations,
            schema_validation=self._validation,
            verification=verification,
            satisfied_statements=tuple(self._session.satisfied),
            warnings=(*self._schema.warnings, *self._session.warnings),
            plan=tuple(self._session.plan.statements) if self._session.plan is not None else (),
            dry_run=self._options.dry_run,
        )

    def _seed(self) -> tuple[tuple[SeederResult, ...], tuple[SeederValidation, ...]]:
        """Fill empty tables on register; on migrate fill those this deploy has made, and look for every row."""
        seeders = Seeders(self._session, self._schema.seeders)
        if self._options.purpose == "register":
            return seeders.seed(first_deploy=self._state.schema_checksum is None), ()
        new = _tables(self._understanding.declared) - _tables(self._actual)
        return seeders.seed(first_deploy=self._is_new, only=None if self._is_new else new), seeders.validate()

    def _verified(self, remaining: CatalogDiff, validations: tuple[SeederValidation, ...]) -> Verification:
        finding = Finding(
            remaining=remaining, accepted={change.key for change in self._accepted}, seeder_validations=validations
        )
        verification = verify(self._session, self._schema, self._records, finding)
        if not verification.passed:
            raise MigrationFailed(
                f"the finished database is not what the schema says: {'; '.join(verification.error_log)}",
                validation=self._validation,
                verification=verification,
            )
        return verification

    def _write_books(
        self,
        final: Catalog,
        functions_deployed: int,
        seeded: tuple[SeederResult, ...],
        validations: tuple[SeederValidation, ...],
    ) -> None:
        rows = {result.table: result.inserted + result.skipped for result in seeded}
        rows |= {validation.table: validation.expected for validation in validations}
        for label in sorted(_tables(final) - _tables(self._actual)):
            self._session.log("create_table", label)
        for label in sorted(_labels(final.types) - _labels(self._actual.types)):
            self._session.log("create_type", label)
        earlier = {change.key for change in accepted_changes(self._state)}
        for change in self._accepted:
            if change.key not in earlier:
                self._session.log("accept_difference", change.table, change=change.change_type, column=change.column)
        note = {
            "fingerprint": final.fingerprint(),
            "server_version": self._server_version,
            "accepted": [asdict(change) for change in self._accepted],
            "functions_deployed": functions_deployed,
            "seeded": rows,
        }
        record_deploy(self._records, self._schema, self._understanding, note)
        self._record_changes()

    def _record_changes(self) -> None:
        self._records.changes(
            self._session.changes,
            forced=self._options.force,
            platform=self._options.platform,
            request_id=self._options.request_id,
        )

    def _transaction(self) -> AbstractContextManager[object]:
        return self._connection.transaction(force_rollback=self._options.dry_run)

    def _lock_between_transactions(self) -> AbstractContextManager[object]:
        """A deploy with migrations outside a transaction must keep others out between its transactions as well."""
        if self._options.dry_run or not any(runs_outside_transaction(file) for file in self._schema.migrations):
            return nullcontext()
        return hold_session_lock(self._connection, wait_seconds=self._options.wait_seconds)


def _has_objects(catalog: Catalog) -> bool:
    return bool(catalog.relations or catalog.types or catalog.sequences)


def _labels(objects: Iterable[Relation | Type]) -> set[str]:
    return {each.label for each in objects}


def _tables(catalog: Catalog) -> set[str]:
    return _labels(relation for relation in catalog.relations if relation.is_table)


def _summary(change: Change) -> str:
    subject = f"{change.table}.{change.column}" if change.column else change.table
    risk = "" if change.rows_at_risk is None else f", {change.rows_at_risk} rows at risk"
    return f"{subject}: {change.change_type.replace('_', ' ')}, {change.compatibility} ({change.reason}{risk})"

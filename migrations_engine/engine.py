"""Bringing one database to a schema: extensions → types → tables → migrations → functions → seeders → verification."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.comparison import Comparison
from migrations_engine.deploy.declared import run_files
from migrations_engine.deploy.dry_run_plan import DryRunPlan
from migrations_engine.deploy.extensions import deploy_extensions, wanted_extension
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations import (
    MigrationRunner,
    TransactionGroup,
    group_by_transaction,
    pending_migrations,
    runs_outside_transaction,
)
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import LOCK_NOT_AVAILABLE, DeploySession
from migrations_engine.deploy_record import Outcome, record_deploy, record_enum_values, table_labels
from migrations_engine.diff import CatalogDiff
from migrations_engine.errors import DeployInterrupted, EngineError, MigrationFailed, ServerMessage
from migrations_engine.model import Catalog
from migrations_engine.options import DeployOptions
from migrations_engine.report import DeployReport, SeederResult, SeederValidation, Verification
from migrations_engine.schema import Schema
from migrations_engine.source.dependency_order import order_migrations, order_tables, order_types
from migrations_engine.tracking import DatabaseComment, DeployState, Records, lock_kept, read_state, take_deploy_lock
from migrations_engine.verification import Finding, verify

_LOCK_ATTEMPTS: Final = 4  #: tries of the whole deploy when the application's locks are in its way
_LOCK_PAUSE_SECONDS: Final = 0.25  #: before the second try; doubled before each further one
_UNSAFE_NEW_ENUM_VALUE: Final = "55P04"


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
            elif sqlstate == _UNSAFE_NEW_ENUM_VALUE and options.dry_run:
                message = f"{exc.message}; a deploy would commit the value before, which a dry run cannot"
                raise MigrationFailed(message, file=exc.file, server=exc.server) from exc
            elif sqlstate == LOCK_NOT_AVAILABLE and attempt < _LOCK_ATTEMPTS - 1:
                time.sleep(_LOCK_PAUSE_SECONDS * 2**attempt)
            else:
                raise
        except psycopg.Error as exc:
            server = ServerMessage.of(exc)
            if connection.closed:
                raise DeployInterrupted(
                    f"the connection to PostgreSQL was lost: {server.message}", server=server
                ) from exc
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

    def run(self) -> DeployReport:
        with ExitStack() as lock:  # held between transactions too, where migrations run outside of one
            with self._transaction():
                self._begin()
                if self._nothing_to_do():
                    return self._unchanged_report()
                first, *rest = self._pending_migrations()
                self._extensions_installed = deploy_extensions(self._session, self._schema.extensions)
                self._deploy_types_and_tables()
                self._run_migrations(first)
                if not rest:
                    return self._finish()
                lock.enter_context(lock_kept(self._connection))
            for group in rest:
                report = self._run_group(group, last=group is rest[-1])
            assert report is not None
            return report

    def commit_enum_values(self, reason: EngineError) -> list[str]:
        """Add the new enum values in a transaction of their own, and give a warning that says so.

        PostgreSQL lets nobody use a value before the transaction that added it has committed.

        :raises EngineError: *reason*, when there is no declared value to add
        """
        with self._transaction():
            self._begin()
            if not self._comparison.add_enum_values(self._comparison.compare(self._records)):
                raise reason
            record_enum_values(self._records, self._session, self._options)
        return ["new enum values were committed before the rest of the deploy, which already uses them"]

    def _begin(self) -> None:
        """Take the lock and read what is there and what is remembered."""
        probe = take_deploy_lock(
            self._connection,
            search_path=self._session.search_path,
            lock_timeout_ms=self._options.lock_timeout_ms,
            wait_seconds=self._options.wait_seconds,
        )
        self._comment = DatabaseComment(self._connection, probe.database_comment, self._options.database_comment)
        self._there = Catalog() if probe.empty else read_catalog(self._connection)
        if not probe.tracked:
            self._records.create_tables()
        self._state = DeployState() if probe.empty else read_state(self._connection)
        self._is_new = not (self._state.schema_checksum or self._state.migrations or _has_objects(self._there))
        self._functions = FunctionDeployer(self._session, self._schema, self._state, is_new=self._is_new)
        self._comparison = Comparison(
            self._session,
            self._schema,
            self._options,
            self._functions,
            self._state,
            server_version=probe.server_version,
        )
        self._runner = MigrationRunner(self._session, self._records, self._functions, self._comparison.catch_up_early)
        if self._options.dry_run:
            self._session.plan = DryRunPlan(self._connection)

    def _nothing_to_do(self) -> bool:
        """The same schema was deployed last, and the database is as that deploy left it."""
        extensions = {wanted_extension(file).name for file in self._schema.extensions}
        return (
            self._state.schema_checksum == self._schema.checksum
            and all(function.intact for function in self._state.functions)
            and extensions <= self._state.extensions.keys()
            and self._state.last.get("fingerprint") == self._there.fingerprint()
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
        return DeployReport(
            functions_deployed=functions,
            functions_skipped=functions,
            seeders=results,
            seeder_validations=validations,
            verification=self._verified(CatalogDiff(), validations),
            warnings=self._schema.warnings,
            dry_run=self._options.dry_run,
        )

    def _pending_migrations(self) -> tuple[TransactionGroup, ...]:
        warnings = self._session.warnings
        ordered = order_migrations(self._schema.migrations, self._schema.tables)
        pending = pending_migrations(ordered, self._state, force=self._options.force, warnings=warnings)
        if self._options.dry_run:
            outside = [file for file in pending if runs_outside_transaction(file)]
            pending = [file for file in pending if file not in outside]
            warnings += [f"{file.label} runs outside a transaction, so a dry run leaves it out" for file in outside]
        return group_by_transaction(pending)

    def _deploy_types_and_tables(self) -> None:
        """All of them in a new database; in an old one the new types, once the comparison has found no danger.

        New tables and the other safe differences of an old database come after its migrations, or when one needs them.
        """
        if self._is_new:
            run_files(self._session, order_types(self._schema.types), self._functions)
            run_files(self._session, order_tables(self._schema.tables), self._functions)
            self._comparison.learn_from_new()
        else:
            self._comparison.make_types(self._comparison.compare(self._records))

    def _run_migrations(self, group: TransactionGroup) -> None:
        for file in group.inside:
            self._runner.run(file)

    def _run_group(self, group: TransactionGroup, *, last: bool) -> DeployReport | None:
        """A migration outside a transaction, and those after it in a transaction of their own."""
        if group.outside is not None:
            try:
                self._runner.run_outside(group.outside, self._state)
            finally:
                if not self._connection.closed:
                    self._comment.restore()
        with self._transaction():
            self._session.restore_settings(True)
            self._run_migrations(group)
            return self._finish() if last else None

    def _finish(self) -> DeployReport:
        """What the migrations left open of the tables, then functions, seeders and verification, and the books."""
        if self._is_new:
            self._comparison.learn_migrations_from_new()
        else:
            self._comparison.catch_up()
        functions = self._functions.deploy(self._records)
        seeded, validations = self._seed()
        remaining = self._comparison.remaining()
        verification = self._verified(remaining, validations)
        self._comment.check()
        self._comparison.share()
        outcome = Outcome(
            schema=self._schema,
            desired=self._comparison.desired,
            before=self._there,
            after=remaining.actual,
            functions_deployed=functions.deployed,
            seeded=seeded,
            validations=validations,
            accepted=(*self._comparison.accepted, *self._comparison.undone),
        )
        record_deploy(self._records, self._session, outcome, self._options)
        return DeployReport(
            extensions_installed=self._extensions_installed,
            types_deployed=len(outcome.new_types) + self._comparison.types_altered,
            tables_created=len(outcome.new_tables),
            migrations_applied=len(self._runner.applied),
            functions_deployed=functions.deployed,
            functions_skipped=functions.skipped,
            functions_updated=functions.updated,
            functions_dropped=functions.dropped,
            seeders=seeded,
            seeder_validations=validations,
            schema_validation=self._comparison.validation,
            verification=verification,
            satisfied_statements=tuple(self._session.satisfied),
            warnings=(*self._schema.warnings, *self._session.warnings),
            plan=tuple(self._session.plan.statements) if self._session.plan is not None else (),
            dry_run=self._options.dry_run,
        )

    def _seed(self) -> tuple[tuple[SeederResult, ...], tuple[SeederValidation, ...]]:
        """Fill empty tables on register; on migrate fill those this deploy has made, and look for every row."""
        seeders = Seeders(self._session, self._schema.seeders)
        new = table_labels(self._comparison.desired.declared) - table_labels(self._there)
        made = None if self._is_new else new
        if self._options.purpose == "register":
            return seeders.seed(first_deploy=self._state.schema_checksum is None, made=made), ()
        return seeders.seed(first_deploy=self._is_new, made=made, only_made=True), seeders.validate()

    def _verified(self, remaining: CatalogDiff, validations: tuple[SeederValidation, ...]) -> Verification:
        accepted = {change.key for change in (*self._comparison.accepted, *self._comparison.undone)}
        finding = Finding(remaining=remaining, accepted=accepted, seeder_validations=validations)
        verification = verify(self._schema, self._records, finding)
        if not verification.passed:
            raise MigrationFailed(
                f"the finished database is not what the schema says: {'; '.join(verification.error_log)}",
                validation=self._comparison.validation,
                verification=verification,
            )
        return verification

    def _transaction(self) -> AbstractContextManager[object]:
        return self._connection.transaction(force_rollback=self._options.dry_run)


def _has_objects(catalog: Catalog) -> bool:
    return bool(catalog.relations or catalog.types or catalog.sequences)

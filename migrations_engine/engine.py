"""Bringing one database to a schema: extensions → types → tables → migrations → functions → seeders → verification."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import psycopg

from migrations_engine.catalog import read_catalog, read_mark, read_names, read_shape
from migrations_engine.comparison import Comparison, Situation
from migrations_engine.deploy.blockers import LockWait
from migrations_engine.deploy.declared import catalog_with_attachments, run_attachments, run_files
from migrations_engine.deploy.dry_run_plan import DryRunPlan
from migrations_engine.deploy.extensions import deploy_extensions
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations import (
    MigrationRunner,
    TransactionGroup,
    group_by_transaction,
    pending_migrations,
    runs_outside_transaction,
)
from migrations_engine.deploy.ownership import with_owners
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import LOCK_NOT_AVAILABLE, DeploySession
from migrations_engine.deploy_record import (
    Outcome,
    accepted_changes,
    last_desired_schema,
    record_changes,
    record_deploy,
    table_labels,
)
from migrations_engine.desired import DesiredSchema, load_desired_schema, scratch_databases_beside
from migrations_engine.diff import with_new_names
from migrations_engine.errors import DeployInterrupted, EngineError, MigrationFailed, ServerMessage
from migrations_engine.model import CATALOG_VERSION, Catalog, Names
from migrations_engine.opening import Opening, is_untouched, passed, take_lock, unchanged_report
from migrations_engine.options import DeployOptions
from migrations_engine.proven_deploys import ProvenDeploy
from migrations_engine.replay import repeat, starting_point
from migrations_engine.report import DeployReport, SeederResult, SeederValidation
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.attachments import structure_checksum
from migrations_engine.source.dependency_order import order_migrations, order_tables, order_types
from migrations_engine.stale_names import stale_names
from migrations_engine.tracking import Recording, Records, lock_kept, read_note
from migrations_engine.verification import Finding, verify

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
    beside = options.scratch or scratch_databases_beside(connection)
    lock_wait = LockWait(
        connection, options.lock_timeout_ms, connect=lambda: beside.connect(beside.maintenance_database)
    )
    while True:
        try:
            with lock_wait.attempt() as timeout_ms:
                return _attempt(connection, schema, replace(options, lock_timeout_ms=timeout_ms), warnings)
        except EngineError as exc:
            sqlstate = exc.server.sqlstate if exc.server is not None else None
            if sqlstate == _UNSAFE_NEW_ENUM_VALUE and not warnings and not options.dry_run:
                warnings += _commit_enum_values(connection, schema, options, exc)
            elif sqlstate == _UNSAFE_NEW_ENUM_VALUE and options.dry_run:
                message = f"{exc.message}; a deploy would commit the value before, which a dry run cannot"
                raise MigrationFailed(message, file=exc.file, server=exc.server) from exc
            elif sqlstate != LOCK_NOT_AVAILABLE:
                raise _with_notes(with_owners(exc, connection), warnings) from None
            elif not lock_wait.goes_on():
                raise _with_notes(lock_wait.explained(exc), warnings) from exc
        except psycopg.Error as exc:
            server = ServerMessage.of(exc)
            if connection.closed:
                raise DeployInterrupted(
                    f"the connection to PostgreSQL was lost: {server.message}", server=server
                ) from exc
            refused = MigrationFailed(f"PostgreSQL refused a statement of the deploy: {server.message}", server=server)
            raise with_owners(refused, connection) from exc


def _attempt(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, warnings: list[str]
) -> DeployReport:
    with ExitStack() as lock:  # held between transactions too, where migrations run outside of one
        with connection.transaction(force_rollback=options.dry_run):
            deploy = _begin(connection, schema, options, warnings)
            if isinstance(deploy, DeployReport):
                _before_commit(connection, options)
                return deploy
            deploy.declare()
            first, *rest = deploy.groups
            deploy.run_migrations(first)
            if rest:
                lock.enter_context(lock_kept(connection))
            else:
                report = deploy.finish()
                _before_commit(connection, options)
        if not rest:
            deploy.let_repeat()
            return report
        for group in rest:
            deploy.run_outside(group)
            with connection.transaction(force_rollback=options.dry_run):
                deploy.run_migrations(group)
                if group is rest[-1]:
                    return deploy.finish()
    raise AssertionError


def _before_commit(connection: psycopg.Connection[Any], options: DeployOptions) -> None:
    if options.before_commit is not None:
        options.before_commit(connection)


def _begin(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, warnings: list[str]
) -> _Deploy | DeployReport:
    """Take the lock, and return a deploy to go on with; or the report when nothing is to do, or it was done before."""
    probe = take_lock(connection, options)
    checksum, note = read_note(connection) if probe.tracked else (None, {})
    start = None
    if checksum == schema.checksum:
        if not options.add_seeds and is_untouched(connection, note):
            return unchanged_report(connection, schema, options, note)
    elif checksum is not None and options.proven is not None:
        start = starting_point(connection, schema, options, note)
        proven = options.proven.get(start) if start is not None else None
        report = repeat(connection, schema, options, probe, proven) if proven is not None else None
        if report is not None:
            return report
    opening = Opening.of(connection, schema, options, probe)
    if opening.is_unchanged:
        Records(connection).mark(read_mark(connection))  # so that the next deploy need not compare
        return unchanged_report(connection, schema, options, opening.state.last)
    return _Deploy(opening, warnings, start)


def _commit_enum_values(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, reason: EngineError
) -> list[str]:
    """Add the new enum values in a transaction of their own, and return a warning that says so.

    PostgreSQL refuses the use of a value before the transaction that added it has committed.

    :raises EngineError: *reason*, when there is no declared value to add
    """
    with connection.transaction():
        opening = Opening.of(connection, schema, options, take_lock(connection, options))
        if not (added := _Deploy(opening, [], None).add_enum_values()):
            raise reason
    values = ", ".join(f"{label}.{value}" for label, value in added)
    return [f"new enum values were committed before the rest of the deploy, which already uses them: {values}"]


def _with_notes(error: EngineError, notes: Sequence[str]) -> EngineError:
    """Return *error*, which also says what stays of the deploy."""
    if notes:
        error.message = f"{error.message} ({'; '.join(notes)}; they stay, and a later deploy goes on from there)"
        error.args = (error.message,)
    return error


class _Deploy:
    """One try of one deploy that has something to do: the steps in order, and what each learned for those after it.

    :param start: the starting point under which the deploy may be repeated elsewhere; None if it may not
    """

    def __init__(self, opening: Opening, warnings: list[str], start: str | None) -> None:
        schema, options, state = opening.schema, opening.options, opening.state
        self._opening = opening
        self._schema = schema
        self._options = options
        self._start = start
        self._recording = Recording() if start is not None and not warnings else None
        self._proven: ProvenDeploy | None = None
        self._records = Records(opening.connection, self._recording)
        plan = DryRunPlan(opening.connection) if options.dry_run else None
        self._session = DeploySession(
            opening.connection, search_path=options.search_path, plan=plan, recording=self._recording
        )
        self._session.warnings += warnings
        self._functions = FunctionDeployer(self._session, schema, state, is_new=opening.is_new)
        self._left_out: tuple[str, ...] = ()
        self._pending = self._pending_migrations()
        self.groups = group_by_transaction(self._pending)
        self._declared = Catalog()  #: in a new database with migrations: what is declared, before they have run
        self._comparison = None if opening.is_new else self._compare_existing()
        self._before = opening.there  #: the earlier state, with the new names after migrations
        self._names: Names = {}
        if self._comparison is not None:
            self._runner = MigrationRunner(self._session, self._records, self._functions, self._comparison.add_early)
        else:
            self._runner = MigrationRunner(self._session, self._records, self._functions)
        self._extensions_installed = 0

    def add_enum_values(self) -> tuple[tuple[str, str], ...]:
        """Add the declared values that enums lack, to be committed before the rest; return each with its type."""
        if self._comparison is None:
            return ()
        added = self._comparison.add_enum_values()
        record_changes(self._records, self._session, self._options)
        return added

    def declare(self) -> None:
        """Install extensions; make all types and tables in a new database, in an old one the new types.

        New tables and the other safe differences of an old database come after its migrations, or when one needs them.
        """
        self._extensions_installed = deploy_extensions(self._session, self._schema.extensions)
        if self._comparison is None:
            run_files(self._session, order_types(self._schema.types), self._functions)
            run_files(self._session, order_tables(self._schema.tables), self._functions)
            if self._pending:
                self._declared = catalog_with_attachments(self._session, self._schema)
                self._runner.begin(self._pending, self._declared)
            return
        self._comparison.prepare()
        if len(self.groups) > 1:
            self._comparison.judge_ahead()
        if self._pending:
            self._names = read_names(self._session.connection)
            self._runner.begin(self._pending, self._comparison.desired.declared, self._opening.there)

    def run_migrations(self, group: TransactionGroup) -> None:
        """Run the migrations of *group* that share the transaction."""
        self._session.restore_settings(group.outside is not None)
        for file in group.inside:
            self._runner.run(file)

    def run_outside(self, group: TransactionGroup) -> None:
        """Run the migration that runs outside a transaction, before the others of *group*."""
        if group.outside is not None:
            try:
                self._runner.run_outside(group.outside)
            finally:
                if not self._opening.connection.closed:
                    self._opening.comment.restore()

    def finish(self) -> DeployReport:
        """Deploy the remaining differences of tables, functions and seeders, then verify and record."""
        comparison = self._comparison or self._compare_new()
        if self._comparison is not None and self._pending:
            self._list_migrations(comparison)
        self._functions.take_back()
        comparison.catch_up()
        functions = self._functions.deploy(self._records, comparison.make_room, comparison.restore)
        seeded, validations = self._seed(comparison)
        remaining = comparison.remaining()
        finding = Finding(
            remaining=remaining,
            accepted={change.key for change in comparison.left},
            seeder_validations=validations,
        )
        verification = passed(verify(self._schema, self._records, finding), comparison.validation)
        self._opening.comment.check()
        if self._opening.is_new:
            self._options.desired_schemas.put(self._schema, self._opening.server_version, comparison.desired)
        differences = comparison.differences_from_new(remaining.actual)
        if self._session.satisfied and not self._opening.is_new:
            self._session.warnings += [
                f"not as the migrations make it in a new database: {text}" for text in differences
            ]
        self._session.warnings += stale_names(self._schema, self._opening.there, remaining.actual)
        warnings = comparison.desired.warnings
        outcome = Outcome(
            schema=self._schema,
            desired=comparison.desired,
            before=self._before,
            after=remaining.actual,
            mark=read_mark(self._session.connection),
            functions_deployed=functions.deployed,
            seeded=seeded,
            validations=validations,
            accepted=comparison.left,
            differences=differences,
        )
        record_deploy(self._records, self._session, outcome, self._options)
        report = DeployReport(
            extensions_installed=self._extensions_installed,
            types_deployed=len(outcome.new_types) + comparison.types_altered,
            tables_created=len(outcome.new_tables),
            migrations_applied=len(self._runner.applied),
            functions_deployed=functions.deployed,
            functions_skipped=functions.skipped,
            functions_updated=functions.updated,
            functions_dropped=functions.dropped,
            seeders=seeded,
            seeder_validations=validations,
            schema_validation=comparison.validation,
            verification=verification,
            satisfied_statements=tuple(self._session.satisfied),
            warnings=(*self._schema.warnings, *warnings, *self._session.warnings),
            differences=differences,
            plan=tuple(self._session.plan.statements) if self._session.plan is not None else (),
            left_out=self._left_out,
            dry_run=self._options.dry_run,
        )
        if self._recording is not None and self._recording.is_repeatable and not comparison.depends_on_rows(report):
            shape = read_shape(self._session.connection)
            self._proven = ProvenDeploy(script=self._recording.script(), shape=shape, report=report)
        return report

    def let_repeat(self) -> None:
        """Let other databases of the same starting point repeat the deploy, now that it has been committed."""
        if self._options.proven is not None and self._start is not None and self._proven is not None:
            self._options.proven.put(self._start, self._proven)

    def _pending_migrations(self) -> tuple[SchemaFile, ...]:
        warnings = self._session.warnings
        ordered = order_migrations(self._schema.migrations, self._schema.tables)
        state, force = self._opening.state, self._options.force
        pending = pending_migrations(ordered, state, self._records, force=force, warnings=warnings)
        if self._options.dry_run:
            outside = [file for file in pending if runs_outside_transaction(file)]
            pending = [file for file in pending if file not in outside]
            self._left_out = tuple(file.label for file in outside)
            warnings += [f"{file.label} runs outside a transaction, so a dry run leaves it out" for file in outside]
        return tuple(pending)

    def _compare_existing(self) -> Comparison:
        state = self._opening.state
        last = last_desired_schema(self._records, state)
        situation = Situation(
            schema=self._schema,
            desired=self._desired(last),
            pending=self._pending,
            before=self._opening.there,
            former=last.declared if last is not None else None,
            installed=frozenset(state.extensions),
            accepted=accepted_changes(state),
            force=self._options.force,
        )
        return Comparison(self._session, self._functions, situation)

    def _compare_new(self) -> Comparison:
        """Take what the files have made for what they mean."""
        run_attachments(self._session, self._schema, self._functions)
        complete = read_catalog(self._session.connection)
        declared = self._declared if self._pending else complete
        desired = DesiredSchema.of(self._schema, declared=declared, complete=complete)
        situation = Situation(schema=self._schema, desired=desired, force=self._options.force)
        return Comparison(self._session, self._functions, situation)

    def _desired(self, last: DesiredSchema | None) -> DesiredSchema:
        """Return what the schema means, from the last deploy if that had the same tables."""
        note, version = self._opening.state.last, self._opening.server_version
        known = tuple(note.get(name) for name in ("structure_checksum", "server_version", "catalog_version"))
        if last is not None and known == (structure_checksum(self._schema), version, CATALOG_VERSION):
            return last
        scratch = self._options.scratch or scratch_databases_beside(self._session.connection)

        def load() -> DesiredSchema:
            outside = any(runs_outside_transaction(file) for file in self._schema.migrations)
            with scratch.database() if outside else scratch.transaction() as connection:
                return load_desired_schema(connection, self._schema, search_path=self._options.search_path)

        return self._options.desired_schemas.get(self._schema, version, load)

    def _list_migrations(self, comparison: Comparison) -> None:
        connection = self._session.connection
        after = read_catalog(connection)
        self._before = with_new_names(self._before, self._names, read_names(connection), after)
        comparison.list_migrations(self._before, after)

    def _seed(self, comparison: Comparison) -> tuple[tuple[SeederResult, ...], tuple[SeederValidation, ...]]:
        """Fill empty tables on register; on migrate fill those this deploy has made, and look for every row."""
        seeders = Seeders(self._session, self._schema.seeders)
        new = table_labels(comparison.desired.declared) - table_labels(self._before)
        is_new = self._opening.is_new
        made = None if is_new else new
        add, first = self._options.add_seeds, self._opening.state.schema_checksum is None
        if self._options.purpose == "register":
            return seeders.seed(first_deploy=first, made=made, add_missing=add), ()
        seeded = seeders.seed(first_deploy=is_new, made=made, only_made=True, add_missing=add)
        return seeded, seeders.validate()

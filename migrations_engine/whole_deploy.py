"""The steps of a deploy: extensions → types → tables → migrations → functions → seeders → verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from migrations_engine.catalog import (
    changed_catalogs,
    digest_of_routines,
    read_catalog,
    read_mark,
    read_names,
    read_routines,
)
from migrations_engine.comparison import Comparison
from migrations_engine.deploy.declared import run_files
from migrations_engine.deploy.dry_run_plan import DryRunPlan
from migrations_engine.deploy.extensions import deploy_extensions
from migrations_engine.deploy.functions import FunctionCounts, FunctionDeployer, OtherObjects
from migrations_engine.deploy.migrations import (
    MigrationRunner,
    TransactionGroup,
    group_by_transaction,
    pending_migrations,
    runs_outside_transaction,
    unseeded_changes,
)
from migrations_engine.deploy.numbers import move_sequences_of_files
from migrations_engine.deploy.seeders import Seeders, reserve_numbers, with_earlier
from migrations_engine.deploy.session import DeploySession
from migrations_engine.deploy.stored_results import refresh_new_views
from migrations_engine.deploy_context import DeployContext
from migrations_engine.deploy_record import (
    Outcome,
    record_changes,
    record_deploy,
    table_labels,
)
from migrations_engine.deploy_reports import passed, unfinished_report
from migrations_engine.desired import DesiredSchema
from migrations_engine.diff import Renames
from migrations_engine.errors import EngineError
from migrations_engine.model import Catalog, Names
from migrations_engine.proven_deploys import ProvenDeploy
from migrations_engine.replay import StartingPoint
from migrations_engine.report import (
    BY_HAND,
    DeployReport,
    SchemaValidation,
    SeederResult,
    SeederValidation,
    Verification,
)
from migrations_engine.routine_differences import routine_differences
from migrations_engine.schema import SchemaFile
from migrations_engine.situation import existing_situation, new_situation
from migrations_engine.source.dependency_order import order_migrations
from migrations_engine.source.seeded_rows import changes_that_need_seeds
from migrations_engine.stale_names import stale_names
from migrations_engine.tracking import Recording, Records
from migrations_engine.verification import Finding, verify


class WholeDeploy:
    """One attempt of a deploy: its steps in order, and the results that later steps need.

    :param warnings: of earlier attempts
    :param start: the starting point from which other databases may repeat the deploy; None if they may not
    """

    def __init__(self, context: DeployContext, warnings: list[str], start: StartingPoint | None) -> None:
        schema, options, state = context.schema, context.options, context.state
        self._context = context
        self._schema = schema
        self._options = options
        self._start = start
        self._recording = Recording() if start is not None and not warnings else None
        self._proven: ProvenDeploy | None = None
        self._records = Records(context.connection, self._recording)
        plan = DryRunPlan(context.connection) if options.dry_run else None
        self._session = DeploySession(
            context.connection, search_path=options.search_path, plan=plan, recording=self._recording
        )
        self._session.warnings += warnings
        self._functions = FunctionDeployer(self._session, schema, state, is_new=context.is_new)
        self._seeded: tuple[SeederResult, ...] | None = None  #: in a new database, if its seeders have run early
        self._left_out: tuple[str, ...] = ()
        self._pending = self._pending_migrations()
        self.groups = group_by_transaction(self._pending)
        self._declared = Catalog()  #: of a new database with migrations: its catalog before they run
        self._comparison = None if context.is_new else self._compare_existing()
        self._before = context.before  #: the earlier state, after migrations with new names
        self._names: Names = {}
        self._other_objects = OtherObjects(self._session, schema, self._functions)
        add = self._comparison.early.make_for if self._comparison is not None else self._other_objects.create_for
        self._runner = MigrationRunner(self._session, self._records, self._functions, add)
        self._extensions_installed = 0

    def add_enum_values(self) -> tuple[tuple[str, str], ...]:
        """Add the missing values of enums, to be committed before the rest. Return them, each with its type."""
        if self._comparison is None:
            return ()
        added = self._comparison.add_enum_values()
        record_changes(self._records, self._session, self._options)
        return added

    def declare(self) -> None:
        """Install extensions, and create all types and tables of a new database, or the new types of an existing one.

        New tables and other safe differences follow after the migrations, or before one that needs them.
        """
        self._extensions_installed = deploy_extensions(self._session, self._schema.extensions)
        if self._comparison is None:
            run_files(self._session, self._schema, self._other_objects.create_independent)
            if self._pending:
                self._declared = self._other_objects.catalog()
                move_sequences_of_files(self._session, self._schema.tables)
                reserve_numbers(self._session, self._schema.seeders, self._pending)
                self._runner.begin(self._pending, self._declared)
            return
        self._comparison.prepare()
        if len(self.groups) > 1:
            self._comparison.judge_ahead()
        if self._pending:
            self._names = read_names(self._session.connection)
            pending = {file.label for file in self._pending}
            applied = [file for file in self._schema.migrations if file.label not in pending]
            self._runner.begin(self._pending, self._comparison.desired.declared, self._context.before, applied)

    def run_migrations(self, group: TransactionGroup) -> None:
        """Run the migrations of *group* that run in the transaction."""
        self._session.restore_settings(group.outside is not None)
        for file in group.inside:
            self._runner.run(file)

    def run_outside(self, group: TransactionGroup) -> None:
        """Run the migration that runs outside a transaction, before the others of *group*."""
        if group.outside is not None:
            self._session.is_partly_committed = True
            try:
                self._runner.run_outside(group.outside)
            finally:
                if not self._context.connection.closed:
                    self._context.comment.restore()

    def finish(self) -> DeployReport:
        """Deploy the remaining differences of tables, functions and seeders, then verify and record.

        :raises MigrationFailed: the finished database differs from the schema
        """
        comparison = self._end_migrations()
        self._functions.revert_removed()
        comparison.catch_up()
        functions = self._functions.deploy(
            self._records,
            comparison.desired.routines,
            comparison.drop_dependants,
            comparison.restore,
            may_leave=comparison.has_forced,
        )
        move_sequences_of_files(self._session, (*self._schema.tables, *self._pending))
        seeded, validations = self._seed(comparison)
        if self._context.is_new or any(result.inserted for result in seeded):
            refresh_new_views(self._session, self._before)
        remaining = comparison.remaining()
        left = {change.key for change in comparison.left}
        finding = Finding(remaining=remaining, accepted=left, seeder_validations=validations)
        verification = passed(verify(self._schema, self._records, finding), comparison.validation)
        self._context.comment.check()
        outcome = self._outcome(comparison, remaining.actual, functions, seeded, validations)
        self._warn(outcome.differences, outcome.after)
        comparison.warn_of_lagging()
        if self._context.is_new:
            self._options.desired_schemas.put(self._schema, self._context.server_version, outcome.desired)
        note = record_deploy(self._records, self._session, outcome, self._options)
        report = self._report(outcome, comparison, functions, verification)
        self._prove(outcome, comparison, note, report)
        return report

    def report_up_to(self, failure: EngineError) -> DeployReport:
        """Return what a dry run has tried before *failure*, which a deploy would not have."""
        validation = self._comparison.validation if self._comparison else SchemaValidation()
        return unfinished_report(self._session, self._schema, validation, failure)

    def let_repeat(self) -> None:
        """Allow other databases with the same starting point to repeat the committed deploy."""
        if self._options.proven is not None and self._start is not None and self._proven is not None:
            self._options.proven.put(self._start.key, self._proven)

    def _end_migrations(self) -> Comparison:
        """Return the comparison of the database after its migrations, with their effects."""
        self._runner.end()
        if self._pending:
            self._functions.invalidate_changed()
        if self._comparison is None:
            self._other_objects.create_all()
        self._runner.end(self._seed_early)
        comparison = self._comparison or self._compare_new()
        if self._comparison is not None and self._pending:
            self._list_migrations(comparison)
        return comparison

    def _complete(self, desired: DesiredSchema) -> DesiredSchema:
        """Return *desired* with what only a new database with seeded rows shows."""
        if not self._context.is_new:
            return desired
        warnings = unseeded_changes(self._session, changes_that_need_seeds(self._schema))
        return replace(desired, warnings=(*desired.warnings, *warnings)) if warnings else desired

    def _outcome(
        self,
        comparison: Comparison,
        after: Catalog,
        functions: FunctionCounts,
        seeded: Sequence[SeederResult],
        validations: Sequence[SeederValidation],
    ) -> Outcome:
        forced, differences = comparison.compare_with_new(after)
        routines, new = read_routines(self._session.connection), comparison.desired.routines
        states, created, left = self._functions.states, self._functions.current, self._functions.left
        differences += tuple(routine_differences(routines, new, states, created=created, left=left))
        return Outcome(
            schema=self._schema,
            desired=self._complete(comparison.desired),
            lagging=comparison.lagging,
            before=self._before,
            after=after,
            mark=read_mark(self._session.connection),
            routines=digest_of_routines(routines),
            routine_states=self._functions.states,
            functions_deployed=functions.deployed,
            seeded=seeded,
            validations=validations,
            accepted=forced,
            differences=differences,
        )

    def _warn(self, differences: Sequence[str], actual: Catalog) -> None:
        """Warn of *differences* from a new database that migrations should have prevented, and of stale names.

        What was made by hand is none of them.
        """
        if self._session.satisfied and not self._context.is_new:
            self._session.warnings += [
                f"not as the migrations make it in a new database: {text}"
                for text in differences
                if not text.endswith(f"it was made {BY_HAND}")
            ]
        self._session.warnings += stale_names(self._schema, self._context.before, actual)

    def _report(
        self, outcome: Outcome, comparison: Comparison, functions: FunctionCounts, verification: Verification
    ) -> DeployReport:
        return DeployReport(
            extensions_installed=self._extensions_installed,
            types_deployed=len(outcome.new_types) + comparison.types_altered,
            tables_created=len(outcome.new_tables),
            migrations_applied=len(self._runner.applied),
            functions_deployed=functions.deployed,
            functions_skipped=functions.skipped,
            functions_updated=functions.updated,
            functions_dropped=functions.dropped,
            seeders=tuple(outcome.seeded),
            seeder_validations=tuple(outcome.validations),
            schema_validation=comparison.validation,
            verification=verification,
            satisfied_statements=tuple(self._session.satisfied),
            warnings=(*self._schema.warnings, *outcome.desired.warnings, *self._session.warnings),
            differences=tuple(outcome.differences),
            plan=tuple(self._session.plan.statements) if self._session.plan is not None else (),
            left_out=self._left_out,
            dry_run=self._options.dry_run,
        )

    def _prove(self, outcome: Outcome, comparison: Comparison, note: Mapping[str, Any], report: DeployReport) -> None:
        """Keep the deploy for other databases to repeat, unless rows or oids have influenced it."""
        recording, start = self._recording, self._start
        if recording is None or start is None or not recording.is_repeatable or comparison.depends_on_rows(report):
            return
        changed, reports = changed_catalogs(start.mark, outcome.mark), comparison.counted_report(report).with_counts
        self._proven = ProvenDeploy.of(self._session.connection, recording, changed, note, reports)

    def _pending_migrations(self) -> tuple[SchemaFile, ...]:
        warnings = self._session.warnings
        ordered = order_migrations(self._schema.migrations, self._schema.tables)
        state, force = self._context.state, self._options.force
        pending = pending_migrations(ordered, state, self._records, force=force, warnings=warnings)
        if self._options.dry_run:
            outside = [file for file in pending if runs_outside_transaction(file)]
            pending = [file for file in pending if file not in outside]
            self._left_out = tuple(file.label for file in outside)
            warnings += [f"{file.label} runs outside a transaction, so a dry run leaves it out" for file in outside]
        return tuple(pending)

    def _compare_existing(self) -> Comparison:
        situation = existing_situation(self._context, self._records, self._pending)
        return Comparison(self._session, self._functions, situation)

    def _compare_new(self) -> Comparison:
        """Compare a new database with the catalog that its files have made."""
        situation = new_situation(self._context, self._declared if self._pending else None)
        return Comparison(self._session, self._functions, situation)

    def _list_migrations(self, comparison: Comparison) -> None:
        connection = self._session.connection
        after = read_catalog(connection)
        renames = Renames(self._names, read_names(connection), after)
        self._before = renames.applied_to(self._before)
        comparison.list_migrations(self._before, after)
        comparison.rename(renames)

    def _seed_early(self) -> None:
        """Run the seeders of new tables for rows of the migrations that refer to theirs."""
        self._functions.deploy_early()
        if self._comparison is None:
            self._seeded = Seeders(self._session, self._schema.seeders).seed(first_deploy=True, made=None)
        else:
            self._comparison.early.seed_after_migrations()

    def _seed(self, comparison: Comparison) -> tuple[tuple[SeederResult, ...], tuple[SeederValidation, ...]]:
        """Fill empty tables on register; on migrate, fill new tables and check that all rows exist."""
        seeders = Seeders(self._session, self._schema.seeders)
        earlier = comparison.early.seeded
        filled = {result.table for result in earlier}
        new = table_labels(comparison.desired.declared) - table_labels(self._before) - filled
        is_new = self._context.is_new
        made = None if is_new else new
        add, first = self._options.add_seeds, self._context.state.schema_checksum is None
        if self._seeded is not None:
            return self._seeded, seeders.validate() if self._options.purpose == "migrate" else ()
        if self._options.purpose == "register":
            return with_earlier(earlier, seeders.seed(first_deploy=first, made=made, add_missing=add)), ()
        seeded = seeders.seed(first_deploy=is_new, made=made, only_made=True, add_missing=add)
        return with_earlier(earlier, seeded), seeders.validate()

"""Compares a schema with one database: safe differences are applied, dangerous ones refused, or left if forced."""

from __future__ import annotations

from dataclasses import replace

from migrations_engine.catalog import read_catalog
from migrations_engine.counted_rows import CountedReport, count_rows
from migrations_engine.deploy.change_runner import ChangeRunner, without
from migrations_engine.deploy.declared import fill_new_tables, install_extensions, new_names, run_new_files
from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.functions import FunctionDeployer, create_objects_of_migrated_tables
from migrations_engine.deploy.partitions import advice_on_default_partitions
from migrations_engine.deploy.session import DeploySession
from migrations_engine.desired import DesiredSchema, declaring_files, disagreeing, disagreements
from migrations_engine.diff import (
    CatalogDiff,
    Difference,
    Renames,
    Sources,
    as_printed,
    before_new_tables,
    diff_catalogs,
    target_catalog,
    with_lagging,
    with_new_tables,
    without_renamed_away,
)
from migrations_engine.early_additions import BASICS, EarlyAdditions, create_new_tables
from migrations_engine.effects import (
    Effect,
    changes_to_new,
    differences_from_new,
    effects,
    expected_effects,
    subject_of,
)
from migrations_engine.judgement import Judgement, summary
from migrations_engine.model import Catalog, Constraint, Relation
from migrations_engine.report import Change, DeployReport, RowNumbers, SchemaValidation
from migrations_engine.situation import Situation
from migrations_engine.source.attribution import FileIndex, bare_name
from migrations_engine.source.dependency_order import order_types


class Comparison:
    """The comparison of a schema with one database, during one deploy."""

    def __init__(self, session: DeploySession, functions: FunctionDeployer, situation: Situation) -> None:
        self._session = session
        self._functions = functions
        self._situation = situation
        self._dependants = Dependants(
            session,
            (situation.desired.declared, situation.desired.complete),
            owned_routines=functions.owned,
            invalidate=functions.invalidate,
        )
        declaring = declaring_files(situation.schema)
        self._changes = ChangeRunner(session, self._dependants, functions.deploy_early, declaring, situation.accepted)
        labels = {file.label for file in situation.pending}
        self._pending = FileIndex(situation.pending)
        self._applied = FileIndex([file for file in situation.schema.migrations if file.label not in labels])
        self._target: Catalog | None = None  #: decided when the migrations have run
        self.lagging: Catalog | None = None  #: the declarations as migrations leave them, if some lag behind
        self.early = EarlyAdditions(session, functions, self._changes, situation)
        self._expected: RowNumbers = {}  #: the rows at risk of the effects that the migrations seem to have
        self._effects: tuple[Effect, ...] = ()
        self._judgement = Judgement(session, situation.schema, situation.accepted, force=situation.force)
        self.types_altered = 0

    @property
    def desired(self) -> DesiredSchema:
        """The catalogs that the schema makes in an empty database."""
        return self._situation.desired

    @property
    def validation(self) -> SchemaValidation:
        """What the migrations changed, and what differed after them."""
        return SchemaValidation.of(self._judgement.changes)

    @property
    def left(self) -> tuple[Change, ...]:
        """The differences that stay: dangerous ones, and safe ones that PostgreSQL refused because of those."""
        return (*self._judgement.accepted, *self._changes.undone)

    @property
    def has_forced(self) -> bool:
        """Whether differences stay because they were forced, now or earlier."""
        return bool(self.left or self._situation.accepted)

    def depends_on_rows(self, report: DeployReport) -> bool:
        """Return whether rows that were not counted have decided about statements of the deploy of *report*."""
        return bool(report.seeders or report.satisfied_statements or self._changes.undone)

    def counted_report(self, report: DeployReport) -> CountedReport:
        """Return *report* for databases with other numbers of rows at risk."""
        others = self._judgement.changes[len(self._effects) :]
        return CountedReport(report=report, effects=self._effects, others=others, counts=self._expected)

    def prepare(self) -> None:
        """Create new extensions, types and enum values, and count the rows that the migrations will change.

        :raises MigrationFailed: PostgreSQL refused one
        """
        schema, before = self._situation.schema, self._situation.before
        install_extensions(self._session, (*schema.types, *schema.tables), self._situation.installed)
        diff = self.early.differences(self._is_lasting_type, actual=before)
        if diff and run_new_files(self._session, order_types(schema.types), new_names(diff)):
            diff = self.early.differences(self._is_lasting_type)
        self._changes.run_what_works(diff)
        self.types_altered = len(self.add_enum_values())
        self._expect_migrations()

    def _is_lasting_type(self, difference: Difference) -> bool:
        """Return whether a type is missing that migrations neither drop nor rename."""
        return difference.change_type == "add_type" and difference.table in self.desired.fresh.type_by_label

    def add_enum_values(self) -> tuple[tuple[str, str], ...]:
        """Add the missing values of enums, and return them, each with the label of its type."""
        diff = self.early.differences(self._is_new_value, actual=self._situation.before)
        self._changes.run(diff)
        return tuple((item.table, item.name or "") for item in diff.changes)

    def _is_new_value(self, difference: Difference) -> bool:
        """Return whether an enum lacks a value, and not because a migration replaces the type by one without it."""
        if difference.change_type != "add_enum_value":
            return False
        sides = (self._situation.stated or Catalog(), self.desired.complete)
        stated, complete = (side.type_by_label.get(difference.table) for side in sides)
        is_old = stated is not None and difference.name in stated.values
        return not is_old or (complete is not None and difference.name in complete.values)

    def judge_ahead(self) -> None:
        """Check for dangerous differences that no migration changes, before anything is committed.

        :raises MigrationFailed: there is such a difference, neither forced now nor accepted earlier
        """
        diff = self._counted(self._difference())
        self._target = None  # the migrations have yet to run
        left = tuple(item for item in diff.changes if not (self.early.is_mentioned(item) or item.is_undecided))
        self._judgement.refuse(replace(diff, changes=left).validation())

    def list_migrations(self, before: Catalog, actual: Catalog) -> None:
        """Add the effects of the migrations to the validation, and renew the stored results of what they have changed.

        :param before: the database before them, with the present names of its objects
        :raises MigrationFailed: a unique index would have a key twice
        """
        self._effects = tuple(effects(before, actual, self._situation.pending))
        self._judgement.add(effect.change(self._expected) for effect in self._effects)
        self._changes.renew_stored_results([effect.difference for effect in self._effects])

    def rename(self, renames: Renames) -> None:
        """Give earlier states the names that the migrations have given to their objects."""
        situation, before = self._situation, self.early.with_what_migrations_drop()
        former = situation.former
        self._situation = replace(
            situation,
            before=before and renames.applied_to(before),
            then=before,
            former=former and without_renamed_away(renames.applied_to(former), former, self.desired.declared),
            stated=situation.stated or former,
            earlier_labels=renames.earlier_labels,
        )

    def catch_up(self) -> None:
        """Apply the safe differences between the database and its target.

        :raises MigrationFailed: one is dangerous and neither forced now nor accepted earlier
        """
        situation = self._situation
        create_objects_of_migrated_tables(self._session, situation.schema, situation.desired.declared, self._functions)
        diff = self._difference()
        basics = tuple(item for item in diff.changes if item.change_type in BASICS)
        if basics:
            self._changes.run_what_works(replace(diff, changes=basics))
            self._judgement.add([item.as_change() for item in basics])
            diff = self._difference()
        diff = self._counted(diff)
        if self._fill_referenced(diff):
            diff = self._counted(self._difference())
        self._judgement.judge(diff)
        self._add(diff)
        if diff:
            self.restore()

    def _fill_referenced(self, diff: CatalogDiff) -> bool:
        """Create and fill the new tables of *diff* whose seeders have rows that its foreign keys need, if any."""
        keys = [item.wanted for item in diff.changes if item.compatibility != "safe"]
        needed = {(key.foreign_schema, key.foreign_table) for key in keys if isinstance(key, Constraint)}
        tables = [item for item in diff.changes if item.change_type == "add_table" and _address(item) in needed]
        if not tables:
            return False
        self._add(replace(diff, changes=tuple(tables)))
        self._judgement.add([item.as_change() for item in tables])
        self.early.seed({item.table for item in tables})
        return True

    def drop_dependants(self, oid: int, identity: str) -> bool:
        """Drop the dependants of a routine, to be restored later, and return whether there were any.

        :raises MigrationFailed: a dependant holds rows, or the schema does not create it
        """
        return self._dependants.drop_of_routine(oid, identity)

    def restore(self) -> None:
        """Create dropped dependants again, and apply differences that appear only after other changes."""
        self._add(self._counted(self._difference()))

    def remaining(self) -> CatalogDiff:
        """Return the remaining differences and the catalog as it was read.

        Those that PostgreSQL has refused because of forced ones are left. Tables with a forced difference may have
        further ones.
        """
        actual = read_catalog(self._session.connection)
        diff = replace(self._difference(former=self._situation.desired.declared, actual=actual), actual=actual)
        due = {item.as_change().key: item.as_change() for item in diff.changes}
        tables = {change.table for change in self._judgement.accepted}
        further = {
            key: summary(due[key]) for key in due if due[key].table in tables and due[key].compatibility == "safe"
        }
        if self._changes.has_refused:
            due |= {item.as_change().key: item.as_change() for item in self._difference(actual=actual).changes}
        for change in without(due.values(), [change.key for change in self._judgement.accepted]):
            what = self._changes.refusal_of(change) or further.get(change.key)
            if what is not None:
                self._changes.leave_undone(change, what)
        return diff

    def compare_with_new(self, actual: Catalog) -> tuple[tuple[Change, ...], tuple[str, ...]]:
        """Compare the finished database with a new one of the same schema.

        Return the differences that stay because they were forced, now or earlier, and a sentence with its cause for
        each difference.
        """
        changes = changes_to_new(actual, self.desired)
        known = {change.key for change in changes}
        earlier = [change for change in self._situation.accepted if change.key in known]
        forced = (*self.left, *without(earlier, [change.key for change in self.left]))
        disputed = {(change.table, change.column) for change in self._lagging_changes()}
        return forced, tuple(
            differences_from_new(changes, actual, self.desired, forced, self._situation.schema, disputed=disputed)
        )

    def warn_of_lagging(self) -> None:
        """Warn of the declarations that lag behind migrations, of which new databases show nothing."""
        desired = self.desired
        if self.lagging is not None:
            self._session.warnings += disagreements(
                self._situation.schema, desired.declared, self.lagging, desired.fresh
            )

    def _lagging_changes(self) -> list[Change]:
        return [] if self.lagging is None else disagreeing(self.desired.declared, self.lagging)

    def _difference(self, *, former: Catalog | None = None, actual: Catalog | None = None) -> CatalogDiff:
        """Return the differences between the database and its target."""
        situation, desired = self._situation, self._situation.desired
        actual = actual or read_catalog(self._session.connection)
        if actual == desired.complete == desired.declared:
            self._target = self._target or actual
            return CatalogDiff(actual=actual, wanted=actual)
        sources = Sources(
            declared=desired.declared,
            complete=desired.complete,
            actual=actual,
            before=situation.before,
            then=situation.then,
            former=former or situation.former,
            stated=former or situation.stated or situation.former,
            earlier_labels=situation.earlier_labels,
            redefines=self._redefines,
        )
        if self._target is None:
            followed = with_lagging(sources)
            self._target = target_catalog(followed)
            self.lagging = followed.declared if followed is not sources else None
        former = sources.former
        if former is not None and situation.before is not None:
            former = with_new_tables(former, situation.before, actual, desired.declared)
        diff = diff_catalogs(actual=actual, wanted=as_printed(self._target, sources), former=former)
        return replace(diff, changes=tuple(map(self._after_migrations, diff.changes)))

    def _redefines(self, label: str, *member: str) -> bool:
        names = (bare_name(label), *member)
        return self._pending.defining(*names) is not None and self._applied.defining(*names) is None

    def _after_migrations(self, difference: Difference) -> Difference:
        """Return *difference*; NOT NULL on a column that a migration seems to have filled is decided by the rows."""
        is_filled = difference.change_type == "set_not_null" and self.early.is_mentioned(difference)
        return difference.decided_by_rows() if is_filled else difference

    def _counted(self, diff: CatalogDiff, *, expected: bool = False) -> CatalogDiff:
        if any(difference.verdict.decided_by_rows for difference in diff.changes):
            self._functions.deploy_early()  # a new check may call one, and so may the query that counts rows
        return count_rows(self._session, diff, expected=expected)

    def _expect_migrations(self) -> None:
        """Count the rows that the migrations will change or drop, while they still exist."""
        before, after, pending = self._situation.before, self._situation.desired.complete, self._situation.pending
        if before is None or not pending:
            return
        counted = self._counted(expected_effects(before, after, pending), expected=True)
        self._expected = {subject_of(item): item.rows_at_risk for item in counted.changes}

    def _add(self, diff: CatalogDiff) -> None:
        """Apply the safe differences. New tables are created by their files, if those contain nothing else."""
        may_leave = bool(self._judgement.accepted)
        if first := before_new_tables(diff.changes):
            self._changes.run(replace(diff, changes=first), may_leave=may_leave)
            diff = self._counted(self._difference())
        ran, others = create_new_tables(self._session, self._situation.schema, diff)
        due = self._counted(self._difference()) if ran else diff
        with advice_on_default_partitions(self._session, due):
            self._changes.run(due, may_leave=may_leave)
        fill_new_tables(self._session, others, new_names(diff))


def _address(item: Difference) -> tuple[str, str] | None:
    return item.wanted.address if isinstance(item.wanted, Relation) else None

"""Runs the statements of a migration, one by one if one is refused: its effect may exist, or it may need a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

import psycopg
import sqlparse

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations.column_lists import ColumnLists
from migrations_engine.deploy.migrations.conflict_targets import NO_SUCH_KEY, unique_index
from migrations_engine.deploy.migrations.created_as import fill_created
from migrations_engine.deploy.migrations.missing_rows import MissingRows
from migrations_engine.deploy.migrations.outdated import OutdatedStatements
from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.remedies import EXPRESSION_REFUSED, Remedies
from migrations_engine.deploy.migrations.renamed_away import RenamedAway
from migrations_engine.deploy.migrations.replaced import ReplacedObjects
from migrations_engine.deploy.migrations.replaced_tables import note_replaced_tables_that_lag
from migrations_engine.deploy.migrations.replaced_types import replaced_types_that_lag
from migrations_engine.deploy.migrations.satisfied import (
    MadeByMigrations,
    drop_needless_index,
    is_satisfied,
    separate_actions,
)
from migrations_engine.deploy.migrations.sequence_positions import positions_kept
from migrations_engine.deploy.session import DeploySession
from migrations_engine.deploy.several_parents import REFUSED, advice_on_several_parents
from migrations_engine.errors import EngineError, MigrationFailed
from migrations_engine.model import Catalog
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions, type_change
from migrations_engine.source.created_as import table_created_as, without_condition
from migrations_engine.source.effects_on_rows import changes_rows, may_draw
from migrations_engine.source.script import replacing_text, script_of
from migrations_engine.source.statements import SqlStatement

_IN_TRANSACTION_BLOCK: Final = "25001"
#: SQLSTATEs: objects do not exist, are of other types, or have no key for ON CONFLICT.
_ABOUT_OBJECTS: Final = UNDEFINED | {"42804", "42846", NO_SUCH_KEY}
_ABOUT_VALUES: Final = ("22", "23")  #: SQLSTATE classes: invalid values, and values against a constraint
_FOR_NEW_DATABASES: Final = (
    "; if older databases have run it, it was written for earlier declarations: {}, and repeat the request with force, "
    "which leaves older databases as they are"
)
_TAKE_OUT: Final = "take the statement out"
_SEED_INSTEAD: Final = f"put the rows that a new database needs into seeders/, {_TAKE_OUT}"
_SEED_CHANGED: Final = f"{_SEED_INSTEAD} with those that insert these rows"
_NAME_COLUMNS: Final = "name the columns that the table had then, and repeat the request with force; or "
_HEADLINE: Final = 120  #: characters of a statement in messages
_READ_FOR_HEADLINE: Final = 1000  #: characters of a statement that are read for a message, with comments


class StatementRunner:
    """Runs statements of the pending migrations of one deploy, which may have been written for earlier declarations.

    :param migrations: the pending ones
    :param declared: the catalog that the declarations make
    :param before: the database before this deploy; None for a new one, in which renames are reverted first
    :param add_declared: creates functions and newly declared objects for a statement that was refused with an error,
        from that and the text of the statement; returns whether there were any
    :raises MigrationFailed: the connection was lost
    """

    def __init__(
        self,
        session: DeploySession,
        functions: FunctionDeployer,
        migrations: Sequence[SchemaFile],
        declared: Catalog,
        *,
        before: Catalog | None,
        add_declared: Callable[[psycopg.Error, str], bool],
    ) -> None:
        self._session = session
        self._is_new = before is None
        self._made = MadeByMigrations()
        self._pending = PendingMigrations(migrations, declared, before or Catalog())
        self._pending.lagging = replaced_types_that_lag(session, migrations, declared, self._pending.new_names)
        if self._is_new:
            note_replaced_tables_that_lag(session, self._pending, declared)
        self._outdated = OutdatedStatements(self._pending)
        self._remedies = Remedies(
            session, functions, self._pending, declared, is_new=self._is_new, add_declared=add_declared
        )
        self._column_lists = ColumnLists(session, self._pending)
        self._renamed_away = RenamedAway(session, self._pending, is_new=self._is_new)
        self._replaced = ReplacedObjects(session, self._pending, declared)
        self._missing_rows = MissingRows(session, self._pending)

    def run_file(self, file: SchemaFile) -> None:
        """Run *file* in one message, or else statement by statement.

        :raises MigrationFailed: PostgreSQL refused a statement, and its effect does not exist already
        """
        statements = script_of(file).statements
        is_special = any(self._replaced.taken_by(file, one) or self._is_filled_if_new(one) for one in statements)
        if is_special or self._column_lists.are_needed_in(file) or not self._run_whole(file):
            for statement in statements:
                self._run(file, self._column_lists.add_to(file, statement))
            self._session.restore_settings(script_of(file).changes_settings)

    def run_outside(self, file: SchemaFile, statement: SqlStatement) -> bool:
        """Run a statement outside a transaction. Return False if it was refused because its effect exists already.

        :raises MigrationFailed: as :meth:`run_file`
        """
        try:
            self._session.run_statement(file, self._column_lists.add_to(file, statement))
        except psycopg.Error as exc:
            return self._run_refused_outside(Refusal(file, statement, exc, self._explain))
        self._made.note(statement)
        return True

    def check_deferred(self, file: SchemaFile) -> None:
        """Check the constraints that are deferred to the end of *file*.

        :raises MigrationFailed: its rows violate one
        """
        try:
            self._session.check_deferred()
        except psycopg.Error as exc:
            advice = _FOR_NEW_DATABASES.format(_SEED_INSTEAD) if self._is_new else ""
            raise self._session.failure(exc, MigrationFailed, file=file, advice=advice) from exc

    def end(self, seed: Callable[[], None] | None = None) -> None:
        """Restore what was changed until all migrations have run.

        :param seed: inserts rows to which foreign keys refer; without it, these keys wait for it
        :raises MigrationFailed: rows of the migrations do not allow it
        """
        self._remedies.end(seed)

    def _run_whole(self, file: SchemaFile) -> bool:
        """Run *file* in one message, and return whether PostgreSQL has accepted all of it.

        :raises MigrationFailed: the connection was lost
        """
        try:
            with self._attempt(script_of(file).statements):
                self._session.run_file(file)
        except psycopg.Error as exc:
            if self._session.connection.closed:
                raise self._session.failure(exc, MigrationFailed, file=file) from exc
            return False
        for statement in script_of(file).statements:
            self._note(file, statement)
        return True

    def _run(self, file: SchemaFile, statement: SqlStatement) -> None:
        replaced = self._replaced.taken_by(file, statement)
        if replaced is not None and replaced not in self._made:
            self._made.forget(replaced)
            self._renamed_away.pass_over(statement)
            self.report_satisfied(file, statement)
            return
        if self._is_filled_if_new(statement):
            statement = without_condition(statement)
        try:
            with self._attempt([statement]):
                self._session.run_statement(file, statement)
        except psycopg.Error as exc:
            self._run_refused(Refusal(file, statement, exc, self._explain))
        else:
            self._note(file, statement)

    def _run_refused(self, refusal: Refusal) -> None:
        """Run a statement again with a remedy, or pass over it.

        :raises MigrationFailed: there is no way to do so
        """
        for helps, then in self._ways():
            if helps(refusal):
                then(refusal.file, refusal.statement)
                return
        raise refusal.failure() from refusal.exc

    def _ways(self) -> Iterator[tuple[Callable[[Refusal], bool], Callable[[SchemaFile, SqlStatement], None]]]:
        """Yield the remedies for a refused statement in their order, each with what follows if it helps."""
        yield self._remedies.may_replace, self._run_replacing
        yield self._is_done, self.report_satisfied
        yield self._remedies.give_what_lacks, self._run
        yield _has_parts, self._run_parts
        yield self._remedies.make_earlier_columns, self._run
        yield self._is_outdated, self.report_satisfied
        yield self._remedies.will_add, self.report_satisfied
        yield self._remedies.remove_obstacle, self._run
        yield self._run_with_key, self._note
        yield self._remedies.alter_domain, self._note
        yield self._is_about_added_column, self.report_satisfied

    def _run_replacing(self, file: SchemaFile, statement: SqlStatement) -> None:
        self._run(file, replace(statement, text=replacing_text(statement)))

    def _run_parts(self, file: SchemaFile, statement: SqlStatement) -> None:
        for text in separate_actions(statement):
            self._run(file, replace(statement, text=text))

    def _is_done(self, refusal: Refusal) -> bool:
        """Return whether the effect of the whole statement exists already. A table that it fills is filled."""
        if _has_parts(refusal) or not self._is_satisfied(refusal):
            return False
        self._fill_created(refusal)
        return True

    def _run_refused_outside(self, refusal: Refusal) -> bool:
        file, statement = refusal.file, refusal.statement
        if self._remedies.give_in_a_transaction(refusal):
            return self.run_outside(file, statement)
        if not self._is_satisfied(refusal) and not (self._is_new and self._is_outdated(refusal)):
            raise refusal.failure() from refusal.exc
        self.report_satisfied(file, statement)
        return False

    def report_satisfied(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Add *statement* to those whose effect exists already."""
        head = " ".join(sqlparse.format(statement.text[:_READ_FOR_HEADLINE], strip_comments=True).split())[:_HEADLINE]
        self._session.satisfied.append(f"{file.label}, line {statement.start_line}: {head}")
        self._made.note(statement, satisfied=True)

    def _note(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Note the effect of a statement. A rename that was reverted before counts as satisfied."""
        if self._remedies.is_reverted(file, statement):
            self.report_satisfied(file, statement)
        else:
            self._made.note(statement)

    def _run_with_key(self, refusal: Refusal) -> bool:
        """Run an INSERT with the unique index that its ON CONFLICT needs. Return False if it is refused still."""
        file, statement = refusal.file, refusal.statement
        if refusal.sqlstate != NO_SUCH_KEY or not self._pending.may_have_had_other_keys(file, statement):
            return False
        try:
            with self._attempt([statement]), unique_index(self._session, statement):
                self._session.run_statement(file, statement)
        except psycopg.Error:
            return False
        return True

    def _is_satisfied(self, refusal: Refusal) -> bool:
        if not is_satisfied(self._session, refusal, self._made, self._pending.new_tables):
            return False
        drop_needless_index(self._session, refusal.statement)
        return True

    def _is_filled_if_new(self, statement: SqlStatement) -> bool:
        """Return whether *statement* creates and fills a table unless one is there, and the declared one is."""
        table = table_created_as(statement) if "EXISTS" in statement.words else None
        is_declared = table is not None and table.name in self._pending.new_tables
        return is_declared and not self._made.includes_any_of(statement)

    def _fill_created(self, refusal: Refusal) -> None:
        """Insert the rows of a CREATE TABLE AS into the table, which was created as it is declared."""
        table = table_created_as(refusal.statement)
        if table is None or table.name not in self._pending.new_tables:
            return
        if reason := fill_created(self._session, refusal.statement, table):
            self._session.warnings.append(
                f"{refusal.place} has not filled {table.name}, which is declared otherwise: {reason}; put the rows "
                "that a database needs into seeders/, or insert them in a later migration"
            )

    def _is_outdated(self, refusal: Refusal) -> bool:
        """Return whether a new database does not need a statement, because later ones undo or replace its effect."""
        is_outdated = self._renamed_away.includes(refusal) or self._outdated.include(refusal)
        if is_outdated and refusal.sqlstate in UNDEFINED:
            self._renamed_away.pass_over(refusal.statement)
        if is_outdated:
            self._missing_rows.warn_of(refusal)
        return is_outdated

    def _is_about_added_column(self, refusal: Refusal) -> bool:
        """Return whether a statement uses a column that was added for the migrations, of a type that is not known."""
        if not self._remedies.use_added_column(refusal.statement):
            return False
        self._missing_rows.warn_of(refusal)
        return True

    def _explain(self, refusal: Refusal) -> EngineError:
        """Return the error for a statement that ends the deploy."""
        statement, sqlstate, advice = refusal.statement, refusal.sqlstate, ""
        if sqlstate == _IN_TRANSACTION_BLOCK:
            advice = "; begin the file with the line '-- gateway: no-transaction' to run it outside the transaction"
        elif sqlstate in EXPRESSION_REFUSED and (used := self._remedies.expressions_over(statement)):
            advice = f"; drop {', '.join(used)} before it in the migration, and create it again after it"
        elif sqlstate == REFUSED:
            advice = self._advice_on_several_parents(statement)
        elif self._is_new and (sqlstate in _ABOUT_OBJECTS or sqlstate.startswith(_ABOUT_VALUES)):
            columns = _NAME_COLUMNS if self._column_lists.is_missing_in(statement) else ""
            advice = _FOR_NEW_DATABASES.format(columns + _way_around(statement))
        return self._session.failure(refusal.exc, MigrationFailed, file=refusal.file, advice=advice)

    def _advice_on_several_parents(self, statement: SqlStatement) -> str:
        altered = alter_table_actions(statement)
        change = next(filter(None, map(type_change, altered.actions)), None) if altered is not None else None
        if altered is None or change is None:
            return ""
        return advice_on_several_parents(self._session, altered.table.address, change.column, change.type)

    @contextmanager
    def _attempt(self, statements: Sequence[SqlStatement]) -> Iterator[None]:
        """Run the block in a savepoint. Undo also what *statements* draw from sequences that are new."""
        with ExitStack() as stack:
            new = None if self._is_new else self._pending.new_names
            if new != set() and any(map(may_draw, statements)):
                stack.enter_context(positions_kept(self._session, new))
            stack.enter_context(self._session.savepoint())
            yield


def _way_around(statement: SqlStatement) -> str:
    """Return what the author of the schema can do instead of a statement that new databases refuse."""
    if changes_rows(statement):
        return _SEED_CHANGED
    return _SEED_INSTEAD if may_draw(statement) or table_created_as(statement) is not None else _TAKE_OUT


def _has_parts(refusal: Refusal) -> bool:
    return bool(separate_actions(refusal.statement))

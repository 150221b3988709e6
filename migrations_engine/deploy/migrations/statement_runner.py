"""Runs the statements of a migration one by one, and finds what a refused one needs, or that its effect exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import psycopg
import sqlparse

from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions import REPLACEMENT_REFUSED, FunctionDeployer
from migrations_engine.deploy.migrations.column_lists import ColumnLists
from migrations_engine.deploy.migrations.conflict_targets import NO_SUCH_KEY, unique_index
from migrations_engine.deploy.migrations.declared_dependants import DeclaredDependants
from migrations_engine.deploy.migrations.domains_in_use import alter_domain_in_use
from migrations_engine.deploy.migrations.earlier_columns import EarlierColumns
from migrations_engine.deploy.migrations.effects_on_rows import (
    MissingRows,
    changes_rows,
    makes_rows,
    may_draw,
    text_executed,
)
from migrations_engine.deploy.migrations.missing_views import restore_views
from migrations_engine.deploy.migrations.outdated import IN_USE, History
from migrations_engine.deploy.migrations.postponed import PostponedConstraints
from migrations_engine.deploy.migrations.renamed_away import RenamedAway
from migrations_engine.deploy.migrations.renames import VIEWS, renamed_again, revert_renames
from migrations_engine.deploy.migrations.replaced import ReplacedObjects
from migrations_engine.deploy.migrations.satisfied import (
    TYPE_IN_USE,
    MadeByMigrations,
    drop_index_of_key,
    is_satisfied,
    separate_actions,
)
from migrations_engine.deploy.migrations.sequence_positions import positions_kept
from migrations_engine.deploy.numbers import move_sequences_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, MigrationFailed, ServerMessage
from migrations_engine.model import Catalog
from migrations_engine.schema import SchemaFile
from migrations_engine.source.names import created_name, insert_target
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

#: SQLSTATEs: an expression over a column does not fit its new type, as a check or a default.
_EXPRESSION_REFUSED: Final = frozenset({"42883", "42804"})
_IN_TRANSACTION_BLOCK: Final = "25001"
_UNIQUE_VIOLATION: Final = "23505"
#: SQLSTATEs: a column is no identity or generated column, or has no default; it may be declared with that by now.
_WITHOUT_VALUE: Final = frozenset({"55000", "23502"})
#: SQLSTATEs: objects do not exist, are of other types, or have no key for ON CONFLICT.
_ABOUT_OBJECTS: Final = UNDEFINED | {"42804", "42846", NO_SUCH_KEY}
_ABOUT_VALUES: Final = ("22", "23")  #: SQLSTATE classes: invalid values, and values against a constraint
_FOR_NEW_DATABASES: Final = (
    "; if older databases have run it, it was written for earlier declarations: {}put the rows that a new database "
    "needs into seeders/, take the statement out, and repeat the request with force, which leaves older databases as "
    "they are"
)
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
        self._functions = functions
        self._add_declared = add_declared
        self._declared = declared
        self._made = MadeByMigrations()
        self._tried_again: set[SqlStatement] = set()
        self._history = History(migrations, declared, before or Catalog())
        self._postponed = PostponedConstraints(session, self._history.new_tables)
        # No method of this object, which would keep itself, and the texts of files, until the garbage collector runs.
        self._dependants = Dependants(
            session,
            (declared,),
            owned_routines=functions.owned,
            invalidate=functions.invalidate,
            later_label=self._history.later_label,
        )
        self._declared_dependants = DeclaredDependants(session, self._dependants)
        self._earlier_columns = EarlierColumns(session, self._history.is_new_column, self._declared_dependants.drop)
        self._column_lists = ColumnLists(session, self._history)
        self._is_new = before is None
        self._renamed_away = RenamedAway(session, self._history, is_new=self._is_new)
        self._replaced = ReplacedObjects(session, self._history, declared)
        self._missing_rows = MissingRows()
        self._reverted: set[tuple[SchemaFile, int]] = set()
        if self._is_new:
            self._reverted = revert_renames(session, self._history.renames)

    def run_file(self, file: SchemaFile) -> None:
        """Run *file* in one message, or else statement by statement.

        :raises MigrationFailed: PostgreSQL refused a statement, and its effect does not exist already
        """
        statements = script_of(file).statements
        has_replaced = any(self._replaced.taken_by(file, statement) for statement in statements)
        if has_replaced or self._column_lists.are_needed_in(file) or not self._run_whole(file):
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
            if self._can_help_outside(file, statement, exc):
                return self.run_outside(file, statement)
            if not self._is_satisfied(statement, exc) and not (
                self._is_new and self._is_outdated(file, statement, exc)
            ):
                raise self._failure(file, statement, exc) from exc
            self.report_satisfied(file, statement)
            return False
        self._made.note(statement)
        return True

    def end(self) -> None:
        """Restore what was changed until all migrations have run.

        :raises MigrationFailed: rows of the migrations do not allow it
        """
        self._earlier_columns.restore()
        self._postponed.restore()

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
        try:
            with self._attempt([statement]):
                self._session.run_statement(file, statement)
        except psycopg.Error as exc:
            parts = separate_actions(statement)
            if not parts and self._is_satisfied(statement, exc):
                self.report_satisfied(file, statement)
            elif self._can_help(file, statement, exc):
                self._run(file, statement)
            elif parts:
                self._run_parts(file, statement, parts)
            elif self._has_earlier_columns(file, statement, exc):
                self._run(file, statement)
            elif self._is_outdated(file, statement, exc):
                self.report_satisfied(file, statement)
            elif self._remove_obstacle(file, statement, exc):
                self._run(file, statement)
            elif self._run_with_key(file, statement, exc) or self._alter_domain(file, statement, exc):
                self._note(file, statement)
            elif self._is_about_added_column(file, statement, exc):
                self.report_satisfied(file, statement)
            else:
                raise self._failure(file, statement, exc) from exc
        else:
            self._note(file, statement)

    def _can_help(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Create declared objects that *statement* may need, or numbers for its rows. Return whether there were any."""
        target = insert_target(statement) if exc.sqlstate == _UNIQUE_VIOLATION else None
        if target is not None:
            is_first = statement not in self._tried_again  # the refused attempt may have drawn the last number in use
            self._tried_again.add(statement)
            return move_sequences_of(self._session, target.table) or is_first
        lacks_value = not self._is_new and exc.sqlstate in _WITHOUT_VALUE
        return (lacks_value or exc.sqlstate in UNDEFINED) and self._create_what_lacks(file, statement, exc)

    def _can_help_outside(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Create in a transaction of their own what :meth:`_can_help` creates. Return whether there was anything."""
        if self._session.connection.closed:
            return False
        with self._session.connection.transaction():
            self._session.restore_settings(True)
            return self._can_help(file, statement, exc)

    def _create_what_lacks(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Create declared objects that *statement*, refused with *exc*, may need. Return whether there were any."""
        if self._add_declared(exc, text_executed(statement, exc)):
            if not self._is_new:
                self._reverted |= revert_renames(self._session, self._history.renames_of_new(file, statement))
            return True
        return self._restore_views(statement, exc) or self._create_with_latest_names(file, statement, exc)

    def _restore_views(self, statement: SqlStatement, exc: psycopg.Error, *later_names: str) -> bool:
        text = "\n".join([text_executed(statement, exc), str(exc), *later_names])
        return restore_views(self._session, self._declared, text)

    def _create_with_latest_names(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Create declared views and functions that use, or have, the latest names of what later migrations rename.

        Return whether there were any.
        """
        later = self._history.renames_from(file, statement)
        reverted = [found for found in later if self._is_reverted(*found[:2])]
        views = [found for found in later if found not in reverted and found[2].kind in VIEWS]
        if not reverted and not views:
            return False
        with renamed_again(self._session, reverted):
            latest = (renamed.later_name for _, _, renamed in views)
            is_made = self._add_declared(exc, text_executed(statement, exc))
            is_helped = is_made or self._restore_views(statement, exc, *latest)
        if is_helped:
            self._reverted |= revert_renames(self._session, views)
        return is_helped

    def _is_reverted(self, file: SchemaFile, statement: SqlStatement) -> bool:
        return (file, statement.start) in self._reverted

    def _run_parts(self, file: SchemaFile, statement: SqlStatement, parts: Sequence[str]) -> None:
        for text in parts:
            self._run(file, replace(statement, text=text))

    def report_satisfied(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Add *statement* to those whose effect exists already."""
        head = " ".join(sqlparse.format(statement.text[:_READ_FOR_HEADLINE], strip_comments=True).split())[:_HEADLINE]
        self._session.satisfied.append(f"{file.label}, line {statement.start_line}: {head}")
        self._made.note(statement, satisfied=True)

    def _note(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Note the effect of a statement. A rename that was reverted before counts as satisfied."""
        if self._is_reverted(file, statement):
            self.report_satisfied(file, statement)
        else:
            self._made.note(statement)

    def _alter_domain(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Change a domain in a new database, where columns without values have it inside their types."""
        if not self._is_new or exc.sqlstate not in TYPE_IN_USE:
            return False
        run = partial(self._session.run_statement, file, statement)
        return alter_domain_in_use(self._session, self._dependants, statement, run)

    def _remove_obstacle(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Drop what prevents *statement* until the migrations have run, and return whether there was anything."""
        if exc.sqlstate in TYPE_IN_USE:
            return self._declared_dependants.drop_for_type(statement)
        if exc.sqlstate in _EXPRESSION_REFUSED and self._declared_dependants.drop_expressions(statement):
            return True
        if exc.sqlstate == IN_USE:
            return self._declared_dependants.drop_for_drop(statement)
        if exc.sqlstate in REPLACEMENT_REFUSED:
            made = created_name(statement)
            return made is not None and made.name is not None and self._functions.make_room(made.name)
        return self._postponed.postpone(exc, self._failure(file, statement, exc))

    def _run_with_key(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Run an INSERT with the unique index that its ON CONFLICT needs. Return False if it is refused still."""
        if exc.sqlstate != NO_SUCH_KEY or not self._history.may_have_had_other_keys(file, statement):
            return False
        try:
            with self._attempt([statement]), unique_index(self._session, statement):
                self._session.run_statement(file, statement)
        except psycopg.Error:
            return False
        return True

    def _is_satisfied(self, statement: SqlStatement, exc: psycopg.Error) -> bool:
        if not is_satisfied(self._session, statement, exc, self._made, self._history.new_tables):
            return False
        drop_index_of_key(self._session, statement)
        return True

    def _has_earlier_columns(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Make columns of new tables as *statement* may expect them, and return whether it may work now."""
        later = self._history.alterations_after(file, statement)
        return self._earlier_columns.make(statement, exc, later, self._failure(file, statement, exc))

    def _is_outdated(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Return whether a new database does not need a statement, because later ones undo or replace its effect."""
        is_absent = self._renamed_away.includes(file, statement, exc)
        is_outdated = is_absent or self._history.makes_needless(file, statement, exc)
        if is_outdated and self._missing_rows.come_of(statement, exc):
            self._warn_of_left_out(file, statement, exc)
        return is_outdated

    def _is_about_added_column(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Return whether *statement* uses a column that was added for the migrations, of a type that is not known."""
        if not self._earlier_columns.are_used_by(statement):
            return False
        if makes_rows(statement) or changes_rows(statement):
            self._warn_of_left_out(file, statement, exc)
        return True

    def _warn_of_left_out(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> None:
        self._session.warnings.append(
            f"{file.label}, line {statement.start_line} was left out: {ServerMessage.of(exc).message}, because a later "
            "migration removes it; put rows that a database without it needs into seeders/"
        )

    def _failure(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> EngineError:
        advice = ""
        if exc.sqlstate == _IN_TRANSACTION_BLOCK:
            advice = "; begin the file with the line '-- gateway: no-transaction' to run it outside the transaction"
        elif exc.sqlstate in _EXPRESSION_REFUSED and (used := self._declared_dependants.expressions(statement)):
            advice = f"; drop {', '.join(used)} before it in the migration, and create it again after it"
        elif self._is_new and (exc.sqlstate in _ABOUT_OBJECTS or (exc.sqlstate or "").startswith(_ABOUT_VALUES)):
            advice = _FOR_NEW_DATABASES.format(_NAME_COLUMNS if self._column_lists.is_missing_in(statement) else "")
        return self._session.failure(exc, MigrationFailed, file=file, advice=advice)

    @contextmanager
    def _attempt(self, statements: Sequence[SqlStatement]) -> Iterator[None]:
        """Run the block in a savepoint. Undo also what *statements* draw from sequences that are new."""
        with ExitStack() as stack:
            new = None if self._is_new else self._history.new_names
            if new != set() and any(map(may_draw, statements)):
                stack.enter_context(positions_kept(self._session, new))
            stack.enter_context(self._session.savepoint())
            yield

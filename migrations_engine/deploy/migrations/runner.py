"""Runs migrations, each once, in the order of their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import psycopg
import sqlparse
from psycopg import sql

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations.doubles import Double, doubles
from migrations_engine.deploy.migrations.history import applied_as
from migrations_engine.deploy.migrations.outdated import History, makes_rows
from migrations_engine.deploy.migrations.postponed import PostponedConstraints
from migrations_engine.deploy.migrations.renames import take_back_renames
from migrations_engine.deploy.migrations.satisfied import (
    TYPE_IN_USE,
    MadeByMigrations,
    is_satisfied,
    separate_actions,
)
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, MigrationFailed, ServerMessage
from migrations_engine.model import DEFAULT_SCHEMA, Catalog
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions, type_change
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.names import created_name
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement, directive
from migrations_engine.tracking import Records

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "migrations"
_IN_TRANSACTION_BLOCK: Final = "25001"
_OUTSIDE: Final = "no-transaction"
_ABOUT_OBJECTS: Final = UNDEFINED | {"42804", "42846"}  #: SQLSTATEs: they do not exist, or are of other types
_ABOUT_VALUES: Final = ("22", "23")  #: SQLSTATE classes: invalid values, and values against a constraint
_FOR_NEW_DATABASES: Final = (
    "; if older databases have run it, it was written for earlier declarations: put the rows that a new database needs "
    "into seeders/, take the statement out, and repeat the request with force, which leaves older databases as they are"
)
_HEADLINE: Final = 120  #: characters of a statement in messages
_READ_FOR_HEADLINE: Final = 1000  #: characters of a statement that are read for a message, with comments


def runs_outside_transaction(file: SchemaFile) -> bool:
    """Return whether the migration begins with ``-- gateway: no-transaction``."""
    return directive(file.text, "gateway") == _OUTSIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionGroup:
    """Migrations that share a transaction, and the one before them that runs outside a transaction."""

    outside: SchemaFile | None
    inside: tuple[SchemaFile, ...]


def group_by_transaction(files: Sequence[SchemaFile]) -> tuple[TransactionGroup, ...]:
    """Group migrations by those that run outside a transaction. The first group has none, and may be empty."""
    found: list[tuple[SchemaFile | None, list[SchemaFile]]] = [(None, [])]
    for file in files:
        if runs_outside_transaction(file):
            found.append((file, []))
        else:
            found[-1][1].append(file)
    return tuple(TransactionGroup(outside=outside, inside=tuple(inside)) for outside, inside in found)


class MigrationRunner:
    """Runs the pending migrations of one deploy.

    :param add_declared: creates newly declared objects for a migration that needs them; returns whether there were any
    """

    def __init__(
        self,
        session: DeploySession,
        records: Records,
        functions: FunctionDeployer,
        add_declared: Callable[[], bool] = lambda: False,
    ) -> None:
        self._session = session
        self._records = records
        self._made = MadeByMigrations()
        self._functions = functions
        self._dependants: Dependants | None = None
        self._helpers: list[Callable[[], bool]] = [functions.deploy_early, add_declared]
        self._history = History()
        self._postponed = PostponedConstraints(session, ())
        self._taken_back: Collection[tuple[SchemaFile, int]] = ()
        self._is_new = False
        self._pending: Sequence[SchemaFile] = ()
        self._declared = Catalog()
        self.applied: list[str] = []

    def begin(self, migrations: Sequence[SchemaFile], declared: Catalog, before: Catalog | None = None) -> None:
        """Prepare to run *migrations*, which were written for earlier declarations.

        :param before: the database before this deploy; None for a new one, in which renames are taken back first
        :raises MigrationFailed: the connection was lost
        """
        self._pending, self._declared = migrations, declared
        self._history = History(migrations, declared, before or Catalog())
        self._postponed = PostponedConstraints(self._session, self._history.new_tables)
        self._dependants = Dependants(
            self._session,
            (declared,),
            owned_routines=self._functions.owned,
            run_again=self._functions.run_again,
        )
        self._is_new = before is None
        if self._is_new:
            self._taken_back = take_back_renames(self._session, migrations)

    def run(self, file: SchemaFile) -> None:
        """Run *file* in the transaction of the deploy and record it.

        :raises MigrationFailed: PostgreSQL refused one of its statements, and its effect does not exist already
        """
        earlier = self._doubles(script_of(file).statements)
        try:
            with self._session.savepoint():
                self._session.run_file(file)
        except psycopg.Error as exc:
            if self._session.connection.closed:
                raise self._session.failure(exc, MigrationFailed, file=file) from exc
            for statement in script_of(file).statements:
                self._run_statement(file, statement)
            self._session.restore_settings(script_of(file).changes_settings)
        else:
            for statement in script_of(file).statements:
                self._note(file, statement)
        with self._session.failures_as(file=file):
            self._session.check_deferred()
            self._drop_doubles(file, script_of(file).statements, earlier)
        self._records.migration(applied_as(file))
        self._done(file)

    def run_outside(self, file: SchemaFile) -> None:
        """Run *file* statement by statement, each committed by itself, and record each.

        An interrupted run continues after the last recorded statement. If the next one had also ended, it is satisfied.
        """
        done = self._records.statements_done(file.path)
        if done:
            self._session.warnings.append(f"{file.label} had stopped after statement {done} and was resumed there")
        for number, statement in enumerate(script_of(file).statements[done:], start=done + 1):
            self._drop_invalid_index(statement)
            earlier = self._doubles([statement])
            try:
                self._session.run_statement(file, statement)
            except psycopg.Error as exc:
                if not self._is_satisfied(statement, exc):
                    raise self._failure(file, exc) from exc
                self._report_satisfied(file, statement)
            else:
                self._made.note(statement)
                self._drop_doubles(file, [statement], earlier)
            self._records.migration(applied_as(file, number))
        self._records.migration(applied_as(file))
        self._done(file)

    def end(self) -> None:
        """Add the constraints again that rows of the migrations violated before all had run.

        :raises MigrationFailed: rows violate one
        """
        self._postponed.restore()

    def _done(self, file: SchemaFile) -> None:
        self._session.log("apply_migration", file.path, checksum=file.checksum)
        self.applied.append(file.path)

    def _run_statement(self, file: SchemaFile, statement: SqlStatement) -> None:
        replaced = self._history.replaced_by_later(file, statement)
        if replaced is not None and replaced not in self._made:
            self._made.forget(replaced)
            self._report_satisfied(file, statement)
            return
        try:
            with self._session.savepoint():
                self._session.run_statement(file, statement)
        except psycopg.Error as exc:
            parts = separate_actions(statement)
            if not parts and self._is_satisfied(statement, exc):
                self._report_satisfied(file, statement)
            elif exc.sqlstate in UNDEFINED and any(helper() for helper in self._helpers):
                self._run_statement(file, statement)
            elif parts:
                for text in parts:
                    self._run_statement(file, replace(statement, text=text))
            elif self._is_outdated(file, statement, exc):
                self._report_satisfied(file, statement)
            elif self._make_room(file, statement, exc):
                self._run_statement(file, statement)
            else:
                raise self._failure(file, exc) from exc
        else:
            self._note(file, statement)

    def _note(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Note the effect of a statement. A rename that was taken back before counts as satisfied."""
        if (file, statement.start) in self._taken_back:
            self._report_satisfied(file, statement)
        else:
            self._made.note(statement)

    def _doubles(self, statements: Sequence[SqlStatement]) -> frozenset[Double]:
        return doubles(self._session, statements, self._declared)

    def _drop_doubles(self, file: SchemaFile, statements: Sequence[SqlStatement], earlier: frozenset[Double]) -> None:
        """Drop what *statements* have added beside a declared object of the same definition; it counts as satisfied.

        What other migrations name stays.
        """
        others = [other.text for other in self._pending if other is not file]
        added = {
            one
            for one in self._doubles(statements) - earlier
            if not any(mentions_name(text, one.name) for text in others)
        }
        for double in sorted(added, key=lambda one: (one.table, one.kind, one.name)):
            self._session.run(double.removal, step=_STEP, file=file.label)
        for statement in statements:
            if any(double.is_of(statement) for double in added):
                self._report_satisfied(file, statement)

    def _make_room(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Drop what prevents *statement* until the migrations have run, and return whether there was anything."""
        if exc.sqlstate in TYPE_IN_USE:
            return self._drop_users(statement)
        return self._postponed.postpone(exc, self._failure(file, exc))

    def _drop_users(self, statement: SqlStatement) -> bool:
        """Drop the declared views, policies and the like that use a column whose type *statement* changes."""
        altered = alter_table_actions(statement)
        change = type_change(altered.actions[0]) if altered is not None else None
        if altered is None or change is None or self._dependants is None:
            return False
        catalog = read_catalog(self._session.connection)
        table = next(
            (relation for relation in catalog.relations if (relation.schema, relation.name) == altered.table.address),
            None,
        )
        try:
            return table is not None and self._dependants.drop_of_relation(table, column=change.column)
        except MigrationFailed:
            return False  # then the error of PostgreSQL for the statement is clearer

    def _is_satisfied(self, statement: SqlStatement, exc: psycopg.Error) -> bool:
        return is_satisfied(self._session, statement, exc, self._made, self._history.new_tables)

    def _is_outdated(self, file: SchemaFile, statement: SqlStatement, exc: psycopg.Error) -> bool:
        """Return whether a new database does not need a statement, because later ones undo or replace its effect."""
        if not self._history.makes_needless(file, statement, exc):
            return False
        if makes_rows(statement):
            self._session.warnings.append(
                f"{file.label}, line {statement.start_line} was left out: {ServerMessage.of(exc).message}, because a "
                "later migration removes it; put rows that a database without it needs into seeders/"
            )
        return True

    def _report_satisfied(self, file: SchemaFile, statement: SqlStatement) -> None:
        text = sqlparse.format(statement.text[:_READ_FOR_HEADLINE], strip_comments=True)
        head = " ".join(text.split())[:_HEADLINE]
        self._session.satisfied.append(f"{file.label}, line {statement.start_line}: {head}")
        self._made.note(statement, satisfied=True)

    def _failure(self, file: SchemaFile, exc: psycopg.Error) -> EngineError:
        advice = ""
        if exc.sqlstate == _IN_TRANSACTION_BLOCK:
            advice = "; begin the file with the line '-- gateway: no-transaction' to run it outside the transaction"
        elif self._is_new and (exc.sqlstate in _ABOUT_OBJECTS or (exc.sqlstate or "").startswith(_ABOUT_VALUES)):
            advice = _FOR_NEW_DATABASES
        return self._session.failure(exc, MigrationFailed, file=file, advice=advice)

    def _drop_invalid_index(self, statement: SqlStatement) -> None:
        """Drop the invalid index of an interrupted CREATE INDEX CONCURRENTLY."""
        made = created_name(statement)
        if made is None or made.kind != "INDEX" or made.name is None:
            return
        schema = (made.table.schema if made.table is not None else None) or DEFAULT_SCHEMA
        row = self._session.query(_QUERIES["invalid_index"], {"schema": schema, "name": made.name}).fetchone()
        if row is not None:
            index = sql.Identifier(schema, made.name)
            self._session.run(sql.SQL("DROP INDEX CONCURRENTLY {}").format(index), step=_STEP)

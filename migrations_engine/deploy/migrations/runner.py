"""Runs migrations, each once, in the order of their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations.duplicates import Duplicate, Duplicates
from migrations_engine.deploy.migrations.history import applied_as
from migrations_engine.deploy.migrations.renames import rename_as_applied
from migrations_engine.deploy.migrations.statement_runner import StatementRunner
from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import DEFAULT_SCHEMA, Catalog
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.names import created_name
from migrations_engine.source.script import is_setting, script_of
from migrations_engine.source.statements import SqlStatement, directive
from migrations_engine.tracking import Records

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "migrations"
_OUTSIDE: Final = "no-transaction"


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

    :param add_declared: creates functions and newly declared objects for a statement that was refused with an error,
        from that and the text of the statement; returns whether there were any
    """

    def __init__(
        self,
        session: DeploySession,
        records: Records,
        functions: FunctionDeployer,
        add_declared: Callable[[psycopg.Error, str], bool],
    ) -> None:
        self._session = session
        self._records = records
        self._functions = functions
        self._add_declared = add_declared
        self._statements: StatementRunner | None = None
        self._duplicates: Duplicates | None = None
        self._pending: Sequence[SchemaFile] = ()
        self.applied: list[str] = []

    def begin(
        self,
        migrations: Sequence[SchemaFile],
        declared: Catalog,
        before: Catalog | None = None,
        applied: Sequence[SchemaFile] = (),
    ) -> None:
        """Prepare to run *migrations*, which were written for earlier declarations.

        :param before: the database before this deploy; None for a new one, in which renames are reverted first
        :param applied: the migrations of earlier deploys
        :raises MigrationFailed: the connection was lost
        """
        self._functions.note_routines()
        rename_as_applied(self._session, applied, migrations)
        self._pending, self._duplicates = migrations, Duplicates(self._session, declared)
        self._statements = StatementRunner(
            self._session, self._functions, migrations, declared, before=before, add_declared=self._add_declared
        )

    def run(self, file: SchemaFile) -> None:
        """Run *file* in the transaction of the deploy and record it.

        :raises MigrationFailed: PostgreSQL refused one of its statements, and its effect does not exist already
        """
        earlier = self._duplicates_of(script_of(file).statements)
        self._begun.run_file(file)
        self._begun.check_deferred(file)
        with self._session.failures_as(file=file):
            self._drop_duplicates(file, script_of(file).statements, earlier)
        self._records.migration(applied_as(file))
        self._done(file)

    def run_outside(self, file: SchemaFile) -> None:
        """Run *file* statement by statement, each committed by itself, and record each.

        An interrupted run continues after the last recorded statement, with the settings before it. If the next one had
        also ended, it is satisfied.
        """
        done, statements = self._records.statements_done(file.path), script_of(file).statements
        if done:
            self._session.warnings.append(f"{file.label} had stopped after statement {done} and was resumed there")
            for setting in filter(is_setting, statements[:done]):
                self._session.run_statement(file, setting)
        for number, statement in enumerate(statements[done:], start=done + 1):
            self._drop_invalid_index(statement)
            earlier = self._duplicates_of([statement])
            if self._begun.run_outside(file, statement):
                self._drop_duplicates(file, [statement], earlier)
            self._records.migration(applied_as(file, number))
        self._records.migration(applied_as(file))
        self._done(file)

    def end(self, seed: Callable[[], None] | None = None) -> None:
        """Add the constraints again that rows of the migrations violated before all had run.

        :param seed: runs the seeders, for foreign keys that need their rows; without it, these keys wait for it
        :raises MigrationFailed: rows violate one
        """
        if self._statements is not None:
            self._statements.end(seed)

    @property
    def _begun(self) -> StatementRunner:
        assert self._statements is not None
        return self._statements

    def _done(self, file: SchemaFile) -> None:
        self._functions.note_migration(file)
        self._session.log("apply_migration", file.path, checksum=file.checksum)
        self.applied.append(file.path)

    def _duplicates_of(self, statements: Sequence[SqlStatement]) -> frozenset[Duplicate]:
        return self._duplicates.of(statements) if self._duplicates is not None else frozenset()

    def _drop_duplicates(
        self, file: SchemaFile, statements: Sequence[SqlStatement], earlier: frozenset[Duplicate]
    ) -> None:
        """Drop what *statements* have added beside a declared object of the same definition; it counts as satisfied.

        What other migrations name stays.
        """
        others = [other.text for other in self._pending if other is not file]
        added = {
            one
            for one in self._duplicates_of(statements) - earlier
            if not any(mentions_name(text, one.name) for text in others)
        }
        for duplicate in sorted(added, key=lambda one: (one.table, one.kind, one.name)):
            self._session.run(duplicate.removal, step=_STEP, file=file.label)
        for statement in statements:
            if any(duplicate.is_of(statement) for duplicate in added):
                self._begun.report_satisfied(file, statement)

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

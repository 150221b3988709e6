"""Runs seeders for empty tables, and checks on migrate that all their rows exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.file_runner import UNDEFINED, FileRunner
from migrations_engine.deploy.numbers import move_sequences_of
from migrations_engine.deploy.seeders.counting import RowCounter
from migrations_engine.deploy.seeders.rows import RowCount, SeededTable, find_table
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed, ServerMessage
from migrations_engine.report import SeederResult, SeederValidation
from migrations_engine.schema import SchemaFile, once_per_file
from migrations_engine.source.dependency_order import Filling, order_seeders
from migrations_engine.source.insert import Insert, insert_of, single_rows
from migrations_engine.source.lexer import occurs
from migrations_engine.source.names import ObjectName
from migrations_engine.source.references import mentions
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_QUERY: Final = re.compile("select", re.IGNORECASE)
_INSUFFICIENT_PRIVILEGE: Final = "42501"
_FOREIGN_KEY_VIOLATION: Final = "23503"
_RETRIED: Final = UNDEFINED | {_FOREIGN_KEY_VIOLATION}
_PLANNED: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE", "SELECT", "VALUES", "WITH"}
)  #: statements for EXPLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fill:
    """The tables to be filled, by their printed names."""

    empty: Set[str]  #: their statements run unchanged
    begun: Set[str]  #: new tables into which a migration has inserted rows
    added_to: Set[str]  #: only missing rows are inserted


class Seeders:
    """The seeders of one deploy."""

    def __init__(self, session: DeploySession, files: Sequence[SchemaFile]) -> None:
        self._session = session
        self._files = files
        self._counter = RowCounter(session)
        self._filled: dict[ObjectName, tuple[str, ...] | None] = {}  # tables, each with the columns of the last INSERT
        self._find_table: Callable[[ObjectName], SeededTable | None] = lru_cache(maxsize=None)(
            lambda name: find_table(session, name)
        )

    def seed(
        self,
        *,
        first_deploy: bool,
        made: Collection[str] | None,
        only_made: bool = False,
        add_missing: bool = False,
    ) -> tuple[SeederResult, ...]:
        """Run the seeders of empty tables, in an order that their foreign keys allow.

        If a migration has inserted rows into a table that this deploy has created, the rows whose keys are missing are
        added.

        :param first_deploy: the database is new, so that statements which fill no table run as well
        :param made: the printed names of the tables that this deploy has created; None for all tables
        :param only_made: fill only these
        :param add_missing: add missing rows to all tables
        :raises MigrationFailed: PostgreSQL refused a statement
        """
        targets = {file: {table.name: table for table, _ in self._inserts(file)} for file in self._files}
        ordered = order_seeders({file: self._filling(file) for file in self._files})
        only = set(made or ()) if only_made and made is not None and not add_missing else None
        files = [file for file in ordered if only is None or targets[file].keys() & only]
        tables = {name: table for file in files for name, table in targets[file].items()}
        possible = {name for name in tables if only is None or name in only}
        empty = {name for name in possible if not self._session.has_rows(sql.SQL(name))}
        begun = {name for name in tables.keys() - empty if made is None or name in made}
        fill = _Fill(empty=empty, begun=begun, added_to=tables.keys() - empty if add_missing else begun)
        results: dict[SchemaFile, list[SeederResult]] = {}

        def run(file: SchemaFile) -> None:
            results[file] = self._run_file(file, fill, first_deploy=first_deploy)

        FileRunner(self._session, run, error_class=MigrationFailed, retried=_RETRIED).run_all(files)
        if files:
            with self._session.failures_as(what="checking the seeded rows"):
                self._session.check_deferred()
        self._move_sequences()
        return _summed(results[file] for file in files)

    def validate(self) -> tuple[SeederValidation, ...]:
        """Look up all rows that the seeders define, and return the counts by table.

        Warn of rows that a new database would refuse.

        :raises MigrationFailed: a seeder's query cannot be run
        """
        totals: dict[str, RowCount] = {}
        for file in self._files:
            with self._session.failures_as(file=file):
                self._check_others(file)
            for table, inserts in _by_table(self._inserts(file)).values():
                with self._session.failures_as(file=file):
                    count = self._counter.count(inserts, table, altered=_alters(file))
                self._warn_of_unfilled(file, table, inserts[0])
                self._warn_of_policies(file, table, inserts)
                named = replace(count, missing=tuple(f"{row} ({file.label})" for row in count.missing))
                totals[table.label] = totals.get(table.label, RowCount()) + named
        return tuple(
            SeederValidation(table=name, expected=count.expected, found=count.found, missing=count.missing)
            for name, count in sorted(totals.items())
        )

    def _warn_of_unfilled(self, file: SchemaFile, table: SeededTable, insert: Insert) -> None:
        place = f"{file.label}, line {insert.statement.start_line}"
        reason = "no value, which is NOT NULL without a default; a new database refuses it"
        self._session.warnings += [
            f"{place} gives {table.label}.{column} {reason}" for column in table.unfilled_by(insert)
        ]

    def _warn_of_policies(self, file: SchemaFile, table: SeededTable, inserts: Sequence[Insert]) -> None:
        """Warn of rows that a policy has let in, and would not any more. It is checked before their keys are."""
        for insert in inserts if table.has_policies else ():
            try:
                with self._session.undone():
                    self._session.query(insert.statement.text.encode())
            except psycopg.Error as exc:
                if exc.sqlstate == _INSUFFICIENT_PRIVILEGE:
                    place = f"{file.label}, line {insert.statement.start_line}"
                    self._session.warnings.append(
                        f"{place}: {ServerMessage.of(exc).message}; a new database refuses it: let a policy of "
                        f"{table.label} allow it to {self._session.connection.info.user}, the role that deploys"
                    )

    def _filling(self, file: SchemaFile) -> Filling:
        """Return the tables that a file fills, and those that should be filled before it."""
        pairs = self._inserts(file)
        asking = [s for s in script_of(file).statements if occurs(_QUERY, s.text)]
        return Filling(
            tables=frozenset(table.oid for table, _ in pairs),
            names=frozenset(insert.target.name for _, insert in pairs),
            needs=frozenset(oid for table, _ in pairs for oid in table.needs),
            mentions=frozenset(name for statement in asking for name in mentions(statement).names),
        )

    def _inserts(self, file: SchemaFile) -> list[tuple[SeededTable, Insert]]:
        found = []
        for insert in _inserts_of(file):
            table = self._find_table(insert.target)
            if table is None:
                line = insert.statement.start_line
                raise MigrationFailed(
                    f"{file.label}, line {line} fills table {insert.target.name}, which does not exist; create it in "
                    "tables/ or a migration, write its schema if it is not in public, or take the statement out",
                    file=file.label,
                    line=line,
                )
            found.append((table, insert))
        return found

    def _run_file(self, file: SchemaFile, fill: _Fill, *, first_deploy: bool) -> list[SeederResult]:
        inserts = {insert.statement: (table, insert) for table, insert in self._inserts(file)}
        filled = {table.name for table, _ in inserts.values()}
        run_others = bool(filled & (fill.empty | fill.begun)) or (first_deploy and not inserts)
        alone = {statement: pair for statement, pair in inserts.items() if pair[0].name in fill.empty | fill.added_to}
        full = _by_table(pair for statement, pair in inserts.items() if statement not in alone)
        results = [
            SeederResult(table=table.label, inserted=0, skipped=self._counter.count(found, table).expected)
            for table, found in full.values()
        ]
        for statement in script_of(file).statements:
            if statement in alone:
                table, insert = alone[statement]
                self._before_insert(insert)
                if table.name in fill.empty:
                    inserted = self._run(file, statement)
                    results.append(SeederResult(table=table.label, inserted=inserted, skipped=0))
                else:
                    results.append(self._add_missing(file, insert, table))
            elif run_others and statement not in inserts:
                self._move_sequences()
                self._run(file, statement)
        if not run_others:
            self._check_others(file)
        self._session.restore_settings(script_of(file).changes_settings)
        if any(result.inserted for result in results):
            self._session.log("run_seeder", file.label)
        return results

    def _before_insert(self, insert: Insert) -> None:
        """Move the sequences of the table on if an earlier INSERT has filled other columns, such as the key."""
        columns = self._filled.setdefault(insert.target, insert.columns)
        if columns != insert.columns:
            move_sequences_of(self._session, insert.target)
            self._filled[insert.target] = insert.columns

    def _move_sequences(self) -> None:
        """Move the sequences of all tables on that were filled."""
        for table in self._filled:
            move_sequences_of(self._session, table)

    def _add_missing(self, file: SchemaFile, insert: Insert, table: SeededTable) -> SeederResult:
        """Insert missing rows: by their key, or one by one if they have none."""
        count = self._counter.count([insert], table)
        inserted = 0
        if count.found < count.expected and count.by_key:
            inserted = self._run(file, replace(insert.statement, text=f"{insert.filling} ON CONFLICT DO NOTHING"))
        elif count.found < count.expected:
            rows = single_rows(insert) if insert.is_values else [insert]
            absent = [row for row in rows if self._counter.count([row], table).found == 0]
            inserted = sum(self._run(file, row.statement) for row in absent)
        if count.found < count.expected and (missing := self._counter.count([insert], table, altered=True).missing):
            raise MigrationFailed(
                f"{file.label}: rows of table {table.label} cannot be added, because others there have one of their "
                f"keys or a trigger changes them: {'; '.join(missing)}",
                file=file.label,
            )
        return SeederResult(table=table.label, inserted=inserted, skipped=max(count.expected - inserted, 0))

    def _check_others(self, file: SchemaFile) -> None:
        """Check with EXPLAIN that the objects of the other statements exist."""
        looked_at = {insert.statement for insert in _inserts_of(file) if not insert.writes}
        statements = script_of(file).statements
        if all(_PLANNED & set(statement.words[:1]) for statement in statements):
            for statement in statements:
                if statement not in looked_at:
                    self._explain(statement)

    def _explain(self, statement: SqlStatement) -> None:
        explained = replace(statement, text=f"EXPLAIN {statement.text}")
        try:
            with self._session.undone():
                self._session.query(explained.text.encode())
        except psycopg.Error as exc:
            self._session.locate(exc, [explained])
            raise

    def _run(self, file: SchemaFile, statement: SqlStatement) -> int:
        return max(self._session.run_statement(file, statement), 0)


@once_per_file
def _inserts_of(file: SchemaFile) -> tuple[Insert, ...]:
    return tuple(insert for s in script_of(file).statements if (insert := insert_of(s)) is not None)


def _alters(file: SchemaFile) -> bool:
    """Return whether the file changes rows after it has inserted them."""
    return any(
        {"UPDATE", "DELETE", "MERGE", "DO", "SELECT", "CALL"} & set(s.words[:1]) for s in script_of(file).statements
    )


def _by_table(pairs: Iterable[tuple[SeededTable, Insert]]) -> dict[object, tuple[SeededTable, list[Insert]]]:
    """Group the statements that fill the same columns of a table."""
    groups: dict[object, tuple[SeededTable, list[Insert]]] = {}
    for table, insert in pairs:
        groups.setdefault((table.name, insert.columns), (table, []))[1].append(insert)
    return groups


def with_earlier(earlier: Sequence[SeederResult], results: Sequence[SeederResult]) -> tuple[SeederResult, ...]:
    """Return the sum of both, where the rows of *earlier* may have been left out later."""
    inserted = {result.table: result.inserted for result in earlier}
    left_out = (replace(one, skipped=max(0, one.skipped - inserted.get(one.table, 0))) for one in results)
    return _summed([earlier, tuple(left_out)])


def _summed(results: Iterable[Sequence[SeederResult]]) -> tuple[SeederResult, ...]:
    totals: dict[str, SeederResult] = {}
    for result in (r for group in results for r in group):
        earlier = totals.get(result.table, SeederResult(table=result.table, inserted=0, skipped=0))
        totals[result.table] = SeederResult(
            table=result.table,
            inserted=earlier.inserted + result.inserted,
            skipped=earlier.skipped + result.skipped,
        )
    return tuple(totals[name] for name in sorted(totals))

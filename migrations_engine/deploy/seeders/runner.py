"""Seeders: run as written into tables that are empty; on migrate, every row they define is looked for by its key."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.file_runner import UNDEFINED, FileRunner
from migrations_engine.deploy.seeders.rows import (
    RowCount,
    SeededTable,
    count_rows,
    find_table,
    joined,
)
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.queries import load_queries
from migrations_engine.report import SeederResult, SeederValidation
from migrations_engine.schema import SchemaFile, once_per_file
from migrations_engine.source.dependency_order import Filling, order_seeders
from migrations_engine.source.insert import Insert, insert_of
from migrations_engine.source.lexer import occurs
from migrations_engine.source.names import ObjectName
from migrations_engine.source.references import mentions
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "seeders"
_QUERY: Final = re.compile("select", re.IGNORECASE)
_FOREIGN_KEY_VIOLATION: Final = "23503"


class Seeders:
    """The seeders of one deploy of one database."""

    def __init__(self, session: DeploySession, files: Sequence[SchemaFile]) -> None:
        self._session = session
        self._files = files
        self._find_table: Callable[[ObjectName], SeededTable | None] = lru_cache(maxsize=None)(
            lambda name: find_table(session, name)
        )

    def seed(
        self, *, first_deploy: bool, made: Collection[str] | None, only_made: bool = False
    ) -> tuple[SeederResult, ...]:
        """Run the seeders of tables that are empty, in an order that their foreign keys allow.

        A table that this deploy has made was empty when it began. If a migration has put rows in since, its seeders
        run when they define others, and fit beside them.

        :param first_deploy: the database was just made, so that statements which name no table to fill run as well
        :param made: the tables that this deploy has made, by the name PostgreSQL prints; None: all there are
        :param only_made: fill no others
        :raises MigrationFailed: PostgreSQL refused a statement
        """
        only = made if only_made else None
        targets = {file: {table.name: table for table, _ in self._inserts(file)} for file in self._files}
        ordered = order_seeders({file: self._filling(file) for file in self._files})
        files = [file for file in ordered if only is None or targets[file].keys() & set(only)]
        tables = {name: table for file in files for name, table in targets[file].items()}
        empty = {name for name in tables if (only is None or name in only) and self._is_empty(name)}
        results: dict[SchemaFile, list[SeederResult]] = {}

        filled = set(empty)

        def run(file: SchemaFile) -> None:
            begun = {name for name in targets[file].keys() - empty if made is None or name in made}
            lacking = {name for name in begun if self._lacks_rows(file, name)}
            if lacking:
                with suppress(psycopg.errors.UniqueViolation), self._session.savepoint():
                    results[file] = self._run_file(file, empty | lacking, first_deploy=first_deploy)
                    filled.update(lacking)
                    return
            results[file] = self._run_file(file, empty, first_deploy=first_deploy)

        runner = FileRunner(
            self._session, run, error_class=MigrationFailed, retried=UNDEFINED | {_FOREIGN_KEY_VIOLATION}
        )
        runner.run_all(files)
        if files:
            with self._session.failures_as(what="checking the seeded rows"):
                self._session.check_deferred()
        for name in sorted(filled):
            self._move_sequences(tables[name])
        return _summed(results[file] for file in files)

    def validate(self) -> tuple[SeederValidation, ...]:
        """Look for every row that the seeders define, and give the counts by table.

        :raises MigrationFailed: a seeder's query cannot be run
        """
        totals: dict[str, RowCount] = {}
        for file in self._files:
            for table, inserts in _by_table(self._inserts(file)).values():
                with self._session.failures_as(file=file):
                    count = self._count_all(inserts, table, altered=_alters(file))
                earlier = totals.get(table.label, RowCount(expected=0, found=0))
                totals[table.label] = RowCount(
                    expected=earlier.expected + count.expected, found=earlier.found + count.found
                )
        return tuple(
            SeederValidation(table=name, expected=count.expected, found=count.found)
            for name, count in sorted(totals.items())
        )

    def _filling(self, file: SchemaFile) -> Filling:
        """What a file fills, and what should be filled before it."""
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
                raise MigrationFailed(
                    f"{file.label} fills table {insert.target.name}, which does not exist", file=file.label
                )
            found.append((table, insert))
        return found

    def _is_empty(self, table: str) -> bool:
        row = self._session.query(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.SQL(table))).fetchone()
        return row is not None and bool(row[0])

    def _lacks_rows(self, file: SchemaFile, name: str) -> bool:
        """Whether the table is without some of the rows that the file defines for it."""
        groups = _by_table((table, insert) for table, insert in self._inserts(file) if table.name == name).values()
        counts = [self._count_all(inserts, table, altered=_alters(file)) for table, inserts in groups]
        return any(count.found < count.expected for count in counts)

    def _run_file(self, file: SchemaFile, empty: set[str], *, first_deploy: bool) -> list[SeederResult]:
        inserts = {insert.statement: (table, insert) for table, insert in self._inserts(file)}
        fills = any(table.name in empty for table, _ in inserts.values())
        full = _by_table((table, insert) for table, insert in inserts.values() if table.name not in empty)
        results = [
            SeederResult(table=table.label, inserted=0, skipped=self._count_all(found, table, altered=False).expected)
            for table, found in full.values()
        ]
        for statement in script_of(file).statements:
            if statement not in inserts:
                if fills or (first_deploy and not inserts):
                    self._run(file, statement)
                continue
            table, _ = inserts[statement]
            if table.name in empty:
                inserted = self._run(file, statement)
                results.append(SeederResult(table=table.label, inserted=inserted, skipped=0))
        self._session.restore_settings(script_of(file).changes_settings)
        if any(result.inserted for result in results):
            self._session.log("run_seeder", file.label)
        return results

    def _run(self, file: SchemaFile, statement: SqlStatement) -> int:
        return max(self._session.run(statement.text.encode(), step=_STEP, file=file.label), 0)

    def _count_all(self, inserts: Sequence[Insert], table: SeededTable, *, altered: bool) -> RowCount:
        """Count the rows of several statements: in one query where they are alike and all is there, else one by one.

        :param altered: other statements of the file may change those rows
        """
        inserts = [insert for insert in inserts if not insert.writes]
        whole = joined(inserts)
        if whole is not None:
            with suppress(psycopg.Error), self._session.savepoint():
                count = count_rows(self._session, whole, table, altered=altered)
                if count.found == count.expected:
                    return count
        counts = [self._count(insert, table, altered=altered) for insert in inserts]
        return RowCount(expected=sum(c.expected for c in counts), found=sum(c.found for c in counts))

    def _count(self, insert: Insert, table: SeededTable, *, altered: bool) -> RowCount:
        """Count without inserting; where the query cannot stand alone, insert into a copy of the table and undo it."""
        try:
            with self._session.savepoint():
                return count_rows(self._session, insert, table, altered=altered)
        except psycopg.Error:
            return self._count_by_copy(insert, table, altered=altered)

    def _count_by_copy(self, insert: Insert, table: SeededTable, *, altered: bool) -> RowCount:
        """As PostgreSQL types the rows of an INSERT by its table, ``ARRAY[]`` and mixed literals work only there."""
        copy = '"pg_temp"."_stonescriptdb_gateway_seed"'
        columns = sql.SQL(", ").join(sql.Identifier(c["name"]) for c in table.columns)
        with self._session.undone():
            self._session.query(
                sql.SQL(
                    "CREATE TEMPORARY TABLE _stonescriptdb_gateway_seed ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0"
                ).format(columns, sql.SQL(table.name))
            )
            given = (
                sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, insert.columns)))
                if insert.columns is not None
                else sql.SQL("")
            )
            self._session.query(
                sql.SQL("{} INSERT INTO {} {} {}").format(
                    sql.SQL(insert.before), sql.SQL(copy), given, sql.SQL(insert.source)
                )
            )
            names = insert.columns or tuple(column["name"] for column in table.columns)
            copied = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(copy))
            copied_rows = replace(insert, before="", source=copied.as_string(None), columns=tuple(names))
            return count_rows(self._session, copied_rows, table, altered=altered)

    def _move_sequences(self, table: SeededTable) -> None:
        """Let the next row without an id get one after those the seeders gave explicitly."""
        rows = self._session.query(_QUERIES["sequences_behind"], {"tables": [table.oid]}).fetchall()
        for name, column, sequence in rows:
            statement = sql.SQL(
                "SELECT setval({sequence}, max({column})) FROM {table}"
                " HAVING max({column}) >= (SELECT last_value FROM {counter})"
            ).format(
                sequence=sql.Literal(sequence),
                column=sql.Identifier(column),
                table=sql.SQL(name),
                counter=sql.SQL(sequence),
            )
            with self._session.failures_as(what=f"moving sequence {sequence} on"):
                self._session.query(statement)


@once_per_file
def _inserts_of(file: SchemaFile) -> tuple[Insert, ...]:
    return tuple(insert for s in script_of(file).statements if (insert := insert_of(s)) is not None)


def _alters(file: SchemaFile) -> bool:
    """Whether the file changes rows after it has put them in."""
    return any(
        {"UPDATE", "DELETE", "MERGE", "DO", "SELECT", "CALL"} & set(s.words[:1]) for s in script_of(file).statements
    )


def _by_table(pairs: Iterable[tuple[SeededTable, Insert]]) -> dict[object, tuple[SeededTable, list[Insert]]]:
    """The statements that fill the same columns of a table, together."""
    groups: dict[object, tuple[SeededTable, list[Insert]]] = {}
    for table, insert in pairs:
        groups.setdefault((table.name, insert.columns), (table, []))[1].append(insert)
    return groups


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

"""Counts the rows of seeders that exist, without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.seeders.rows import (
    MISSING_NAMED,
    RowCount,
    SeededTable,
    count_rows,
    insert_into,
    joined,
    rows_not_there,
)
from migrations_engine.deploy.session import DeploySession
from migrations_engine.source.insert import Insert

_NAME: Final = "_stonescriptdb_gateway_seed"
_COPY: Final = sql.Identifier("pg_temp", _NAME)


class RowCounter:
    """Counts rows in the database of *session*."""

    def __init__(self, session: DeploySession) -> None:
        self._session = session

    def count(self, inserts: Sequence[Insert], table: SeededTable, *, altered: bool = False) -> RowCount:
        """Return the counts for several statements: from one query if they are similar and all rows exist.

        :param altered: other statements of the file may change those rows
        """
        count = self._count(inserts, table, altered=altered)
        if count.found == count.expected:
            return count
        with self._session.hidden_rows(sql.SQL(table.name)) as are_possible:
            return self._count(inserts, table, altered=altered) if are_possible else count

    def _count(self, inserts: Sequence[Insert], table: SeededTable, *, altered: bool) -> RowCount:
        inserts = [insert for insert in inserts if not insert.writes]
        whole = joined(inserts)
        if whole is not None:
            with suppress(psycopg.Error), self._session.savepoint():
                count = count_rows(self._session, whole, table, altered=altered)
                if count.found == count.expected:
                    return count
        return sum((self._count_one(insert, table, altered=altered) for insert in inserts), RowCount())

    def _count_one(self, insert: Insert, table: SeededTable, *, altered: bool) -> RowCount:
        """Count without inserting. If the query cannot run alone, insert into a copy of the table and roll back."""
        try:
            with self._session.savepoint():
                count = count_rows(self._session, insert, table, altered=altered)
        except psycopg.Error:
            try:
                count = self._count_by_copy(insert, table, altered=altered)
            except psycopg.Error:
                self._try(insert)
                raise
        if count.found < count.expected and count.by_key and table.has_triggers:
            return self._count_by_inserting(insert, table, count)
        return count

    def _try(self, insert: Insert) -> None:
        """Run the statement and roll it back. Its error names the table and the line."""
        try:
            with self._session.undone():
                self._session.query(insert.statement.text.encode())
        except psycopg.Error as exc:
            self._session.locate(exc, [insert.statement])
            raise

    def _count_by_inserting(self, insert: Insert, table: SeededTable, count: RowCount) -> RowCount:
        """Run the statement and roll it back, as triggers may change keys. The inserted rows are the missing ones."""
        with suppress(psycopg.Error), self._session.undone():
            missing = rows_not_there(self._session, insert, table)
            return replace(count, found=count.expected - len(missing), missing=missing[:MISSING_NAMED])
        return count

    def _count_by_copy(self, insert: Insert, table: SeededTable, *, altered: bool) -> RowCount:
        """Count in a temporary copy, as ``ARRAY[]`` and literals of mixed types get their types only in an INSERT."""
        columns = sql.SQL(", ").join(sql.Identifier(c["name"]) for c in table.columns)
        with self._session.undone():
            self._session.query(
                sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
                    sql.Identifier(_NAME), columns, sql.SQL(table.name)
                )
            )
            insert_into(self._session, _COPY, insert)
            names = insert.columns or tuple(column["name"] for column in table.columns)
            copied = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, names)), _COPY)
            copied_rows = replace(insert, before="", source=copied.as_string(None), columns=tuple(names))
            return count_rows(self._session, copied_rows, table, altered=altered)

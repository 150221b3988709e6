"""Adds column lists to ``INSERT INTO t VALUES …`` of migrations, which were written for other columns of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.migrations.column_changes import column_changes
from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.sequence_positions import positions_kept
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.insert import InsertWithoutColumns, insert_without_columns
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_ADVICE: Final = (
    "name the columns that the table had then, INSERT INTO {} (…), and repeat the request with force, which leaves "
    "older databases as they are"
)


class ColumnLists:
    """The column lists that migrations of one deploy need, because it has created their tables as they are declared."""

    def __init__(self, session: DeploySession, pending: PendingMigrations) -> None:
        self._session = session
        self._pending = pending

    def are_needed_in(self, file: SchemaFile) -> bool:
        """Return whether a statement of *file* needs a column list, and warn if one may need another list.

        :raises MigrationFailed: as :meth:`add_to`
        """
        different: dict[tuple[str, int], SqlStatement] = {}  # the others differ from these in their values alone
        for statement in script_of(file).statements if self._pending.new_tables else ():
            insert = self._insert_of(statement)
            if insert is not None:
                different.setdefault((insert.table.name, insert.count), statement)
        for statement in different.values():
            self._warn(file, statement)
        return any(self.add_to(file, statement) is not statement for statement in different.values())

    def add_to(self, file: SchemaFile, statement: SqlStatement) -> SqlStatement:
        """Return *statement* with the columns that its table had when it was written, if later ones have added others.

        :raises MigrationFailed: they drop columns to which the values may belong
        """
        insert = self._insert_of(statement)
        present = [name for name, _ in self._present(insert)] if insert is not None else []
        if insert is None or not present:
            return statement
        changes = self._later_changes(insert, file, statement)
        earlier = _without_later(present, changes)
        dropped = [name for name, kind in changes.items() if kind == "DROP"]
        if insert.count == len(earlier) + len(dropped) and len(dropped) == 1 and "TYPE" not in changes.values():
            earlier = self._order_that_fits(insert, statement, earlier, dropped[0]) or earlier
        if insert.count > len(earlier) and (dropped or earlier != present):
            raise MigrationFailed(
                f"{file.label}, line {statement.start_line} failed: INSERT INTO {insert.table.name} does not name its "
                f"columns, and later migrations change which there are; {_ADVICE.format(insert.table.name)}",
                file=file.label,
                line=statement.start_line,
            )
        columns = earlier[: insert.count]
        if columns == present[: insert.count]:
            return statement
        return _with_columns(columns, insert, statement)

    def is_missing_in(self, statement: SqlStatement) -> bool:
        """Return whether *statement* fills a new table without naming its columns."""
        return self._insert_of(statement) is not None

    def _warn(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Warn if the table of *statement* has got columns without a default that no migration adds."""
        insert = self._insert_of(statement)
        if insert is None:
            return
        has_default = dict(self._present(insert))
        earlier = _without_later(has_default, self._later_changes(insert, file, statement))
        filled, others = earlier[: insert.count], earlier[insert.count :]
        if not all(has_default[name] for name in others):
            self._session.warnings.append(
                f"{file.label}, line {statement.start_line}: INSERT INTO {insert.table.name} does not name its columns "
                f"and fills {', '.join(filled)} of {', '.join(earlier)}; if that is wrong, "
                + _ADVICE.format(insert.table.name)
            )

    def _insert_of(self, statement: SqlStatement) -> InsertWithoutColumns | None:
        insert = insert_without_columns(statement) if statement.words[:1] == ("INSERT",) else None
        return insert if insert is not None and insert.table.name in self._pending.new_tables else None

    def _present(self, insert: InsertWithoutColumns) -> list[tuple[str, bool]]:
        """Return the columns of the table, and whether they have a default."""
        schema, table = insert.table.address
        return self._session.query(_QUERIES["columns_to_fill"], {"schema": schema, "table": table}).fetchall()

    def _later_changes(self, insert: InsertWithoutColumns, file: SchemaFile, statement: SqlStatement) -> dict[str, str]:
        """Return what later statements do first with each column of the table."""
        first: dict[str, str] = {}
        for change in column_changes(self._pending.alterations_after(file, statement)):
            if (change.schema, change.table) == insert.table.address:
                first.setdefault(change.column, change.kind)
        return first

    def _order_that_fits(
        self, insert: InsertWithoutColumns, statement: SqlStatement, others: list[str], dropped: str
    ) -> list[str] | None:
        """Return the columns with *dropped* at the place where the values fit; None if that is not exactly one place.

        :param dropped: the column that a later statement drops
        """
        orders = [[*others[:place], dropped, *others[place:]] for place in range(len(others) + 1)]
        fitting = [
            columns for columns in orders if self._fits(_with_columns(columns, insert, statement), insert, dropped)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _fits(self, statement: SqlStatement, insert: InsertWithoutColumns, dropped: str) -> bool:
        """Return whether the values of *statement* have the types of their columns, one of which is added as text."""
        adding = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} text")
        try:
            with positions_kept(self._session, self._pending.new_names), self._session.undone():
                self._session.query(adding.format(sql.Identifier(*insert.table.address), sql.Identifier(dropped)))
                self._session.query(statement.text.encode())
        except psycopg.IntegrityError:
            return True
        except psycopg.Error:
            return False
        return True


def _without_later(present: Iterable[str], changes: Mapping[str, str]) -> list[str]:
    """Return the *present* columns without those that later statements add, or drop to add them anew."""
    return [name for name in present if changes.get(name) not in {"ADD", "DROP"}]


def _with_columns(columns: list[str], insert: InsertWithoutColumns, statement: SqlStatement) -> SqlStatement:
    """Return *statement* with a list of *columns*."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(None)
    head, tail = statement.text[: insert.offset], statement.text[insert.offset :]
    return replace(statement, text=f"{head}({names}) {tail}")

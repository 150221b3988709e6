"""The columns of ``INSERT INTO t VALUES …`` in migrations: those that the table had then, not those of a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.migrations.column_changes import column_changes
from migrations_engine.deploy.migrations.outdated import History
from migrations_engine.deploy.migrations.sequence_positions import positions_kept
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.insert import UnnamedValues, unnamed_values
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_ADVICE: Final = (
    "name the columns that the table had then, INSERT INTO {} (…), and repeat the request with force, which leaves "
    "older databases as they are"
)


class UnnamedColumns:
    """Finds the columns of such statements that fill tables which this deploy has created as they are declared."""

    def __init__(self, session: DeploySession, history: History) -> None:
        self._session = session
        self._history = history

    def are_others_in(self, file: SchemaFile) -> bool:
        """Return whether a statement of *file* has to name its columns in a new table, and warn if it may have to.

        :raises MigrationFailed: as :meth:`add_to`
        """
        first: dict[tuple[str, int], SqlStatement] = {}  # the others differ in their values alone
        for statement in script_of(file).statements if self._history.new_tables else ():
            insert = self._insert(statement)
            if insert is not None:
                first.setdefault((insert.table.name, insert.count), statement)
        for statement in first.values():
            self._warn(file, statement)
        return any(self.add_to(file, statement) is not statement for statement in first.values())

    def add_to(self, file: SchemaFile, statement: SqlStatement) -> SqlStatement:
        """Return *statement* with the columns that its table had when it was written, if later ones have added others.

        :raises MigrationFailed: they drop columns to which the values may belong
        """
        insert = self._insert(statement)
        present = [name for name, _ in self._present(insert)] if insert is not None else []
        if insert is None or not present:
            return statement
        changes = self._later_changes(insert, file, statement)
        then = [name for name in present if changes.get(name) not in {"ADD", "DROP"}]
        gone = [name for name, kind in changes.items() if kind == "DROP"]
        if insert.count == len(then) + len(gone) and len(gone) == 1 and "TYPE" not in changes.values():
            then = self._only_order(insert, statement, then, gone[0]) or then
        if insert.count > len(then) and (gone or then != present):
            raise MigrationFailed(
                f"{file.label}, line {statement.start_line} failed: INSERT INTO {insert.table.name} does not name its "
                f"columns, and later migrations change which there are; {_ADVICE.format(insert.table.name)}",
                file=file.label,
                line=statement.start_line,
            )
        names = then[: insert.count]
        if names == present[: insert.count]:
            return statement
        return _naming(names, insert, statement)

    def is_one(self, statement: SqlStatement) -> bool:
        """Return whether *statement* fills a new table without naming its columns."""
        return self._insert(statement) is not None

    def _warn(self, file: SchemaFile, statement: SqlStatement) -> None:
        """Warn if the table of *statement* has got columns without a default that no migration adds."""
        insert = self._insert(statement)
        if insert is None:
            return
        changes = self._later_changes(insert, file, statement)
        then = [name for name, _ in self._present(insert) if changes.get(name) not in {"ADD", "DROP"}]
        required = {name for name, has_default in self._present(insert) if not has_default}
        if required.intersection(then[insert.count :]):
            self._session.warnings.append(
                f"{file.label}, line {statement.start_line}: INSERT INTO {insert.table.name} does not name its columns "
                f"and fills {', '.join(then[: insert.count])} of {', '.join(then)}; if that is wrong, "
                + _ADVICE.format(insert.table.name)
            )

    def _insert(self, statement: SqlStatement) -> UnnamedValues | None:
        insert = unnamed_values(statement) if statement.words[:1] == ("INSERT",) else None
        return insert if insert is not None and insert.table.name in self._history.new_tables else None

    def _present(self, insert: UnnamedValues) -> list[tuple[str, bool]]:
        """Return the columns of the table, and whether they have a default."""
        schema, table = insert.table.address
        return self._session.query(_QUERIES["columns_to_fill"], {"schema": schema, "table": table}).fetchall()

    def _later_changes(self, insert: UnnamedValues, file: SchemaFile, statement: SqlStatement) -> dict[str, str]:
        """Return what later statements do first with each column of the table."""
        first: dict[str, str] = {}
        for change in column_changes(self._history.alterations_after(file, statement)):
            if (change.schema, change.table) == insert.table.address:
                first.setdefault(change.column, change.kind)
        return first

    def _only_order(
        self, insert: UnnamedValues, statement: SqlStatement, others: list[str], gone: str
    ) -> list[str] | None:
        """Return the columns with *gone*, which a later statement drops, at the one place where the values fit."""
        orders = [[*others[:place], gone, *others[place:]] for place in range(len(others) + 1)]
        fitting = [names for names in orders if self._fits(_naming(names, insert, statement), insert, gone)]
        return fitting[0] if len(fitting) == 1 else None

    def _fits(self, statement: SqlStatement, insert: UnnamedValues, gone: str) -> bool:
        """Return whether the values of *statement* have the types of their columns, one of which is added as text."""
        adding = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} text")
        try:
            with positions_kept(self._session), self._session.undone():
                self._session.query(adding.format(sql.Identifier(*insert.table.address), sql.Identifier(gone)))
                self._session.query(statement.text.encode())
        except psycopg.IntegrityError:
            return True
        except psycopg.Error:
            return False
        return True


def _naming(columns: list[str], insert: UnnamedValues, statement: SqlStatement) -> SqlStatement:
    """Return *statement* with *columns*."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(None)
    head, tail = statement.text[: insert.offset], statement.text[insert.offset :]
    return replace(statement, text=f"{head}({names}) {tail}")

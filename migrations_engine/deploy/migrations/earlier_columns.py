"""New columns as earlier migrations fill them, which later ones drop or give another type.

A new table, and a new column, is created as it is declared last. A migration of the past fills a column that a later
one drops, or with values of a type that a later one changes. The column is added, or gets an earlier type, until that
later migration has run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.ddl.steps import join
from migrations_engine.deploy.migrations.column_changes import ColumnChange, column_changes
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.satisfied import TYPE_IN_USE
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError
from migrations_engine.queries import load_queries
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.effects_on_rows import changes_rows, only_column_set
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "migrations"
_NO_SUCH_COLUMN: Final = "42703"
_TEXT: Final = "text"
#: Types that expressions of migrations may expect of a column whose earlier type is unknown. A text holds any value.
_OTHER_TYPES: Final = ("boolean", "bigint", "numeric", "date", "timestamp with time zone", "jsonb", "uuid", "text[]")
#: Leading words of statements that change no rows, except for those that convert a column.
_DEFINITIONS: Final = frozenset({"ALTER", "COMMENT", "CREATE", "DROP", "GRANT", "REVOKE"})


@dataclass(slots=True, kw_only=True)
class _Earlier:
    """A column that was added or changed for a statement."""

    table: int  #: its oid
    number: int
    type: str  #: that it has now
    declared: str | None  #: its type before; None if the column was added
    default: str | None  #: that was dropped
    failure: Callable[[], EngineError]  #: of the statement, if the values do not fit the declared type in the end


class EarlierColumns:
    """The columns that were added, or changed in type, for the migrations of a deploy.

    :param is_new: returns whether this deploy creates a column as it is declared; accepts the names of its table and
        the column
    :param drop_users: drops the views, policies and the like of a column, given with the address of its table; returns
        whether there were any
    """

    def __init__(
        self,
        session: DeploySession,
        is_new: Callable[[str, str], bool],
        drop_users: Callable[[tuple[str, str], str], bool],
    ) -> None:
        self._session = session
        self._drop_users = drop_users
        self._is_new = is_new
        self._columns: dict[tuple[int, int], _Earlier] = {}
        self._statement: SqlStatement | None = None
        self._attempts: Iterator[None] = iter(())

    def make(self, refusal: Refusal, later: Iterable[SqlStatement]) -> bool:
        """Make columns as the statement may expect them. Return False if there is no other way left.

        :param later: the statements that follow
        """
        if not refusal.may_be_about_types:
            return False
        if refusal.sqlstate == _NO_SUCH_COLUMN:
            return self._add_missing(refusal, later)
        if refusal.statement != self._statement:
            self._statement = refusal.statement
            self._attempts = self._other_types(refusal, later)
        return next(self._attempts, self) is None

    def are_used_by(self, statement: SqlStatement) -> bool:
        """Return whether *statement* names a column that was added."""
        return any(
            column.declared is None and mentions_name(statement.text, name) for column, _, name in self._present()
        )

    def restore(self) -> None:
        """Drop the added columns and convert the others to their declared types, where no migration has done so.

        :raises MigrationFailed: values do not fit
        """
        for column, table, name in self._present():
            try:
                with self._session.savepoint():
                    self._restore(column, table, name)
            except psycopg.Error as exc:
                raise column.failure() from exc
        self._columns.clear()

    def _restore(self, column: _Earlier, table: tuple[str, str], name: str) -> None:
        if column.declared is None:
            self._alter(table, join("DROP COLUMN", sql.Identifier(name)))
            return
        _, _, present, default = self._query("plain_column", table, name).fetchall()[0]
        if present == column.type != column.declared:
            self._convert(table, name, column.declared)
        if column.default is not None and default is None:
            self._alter(table, join("ALTER", sql.Identifier(name), "SET DEFAULT", column.default))

    def _add_missing(self, refusal: Refusal, later: Iterable[SqlStatement]) -> bool:
        """Add a column that the statement names, and that a later one drops."""
        if not _DEFINITIONS.isdisjoint(refusal.statement.words[:1]):
            return False
        for found in self._changed_later(later, "DROP"):
            if not (mentions_name(refusal.message, found.column) and mentions_name(refusal.text, found.table)):
                continue
            table = (found.schema, found.table)
            if self._query("table_without_column", table, found.column).fetchone() is None:
                continue
            if changes_rows(refusal.statement):
                if not self._session.has_rows(sql.Identifier(*table)):
                    continue
                self._warn_of_no_values(refusal, found.table, found.column)
            self._alter(table, join("ADD COLUMN", sql.Identifier(found.column), _TEXT))
            oid, number, _, _ = self._query("plain_column", table, found.column).fetchall()[0]
            self._columns[oid, number] = _Earlier(
                table=oid, number=number, type=_TEXT, declared=None, default=None, failure=refusal.failure
            )
            self._statement = None
            return True
        return False

    def _warn_of_no_values(self, refusal: Refusal, table: str, column: str) -> None:
        if only_column_set(refusal.statement) != column:
            self._session.warnings.append(
                f"{refusal.place} uses {table}.{column}, which was never there, so rows have no value of it: change "
                f"rows of {table} in a later migration where they should not be as it makes them"
            )

    def _other_types(self, refusal: Refusal, later: Iterable[SqlStatement]) -> Iterator[None]:
        """Change the types of the columns that the statement may use, and yield after each way to do so."""
        columns = self._columns_of(refusal, later)
        changed = [self._change(column, _TEXT) for column in columns]
        if any(changed):
            yield
        for column in columns:
            for name in _OTHER_TYPES:
                if self._change(column, name):
                    yield
            self._change(column, _TEXT)

    def _columns_of(self, refusal: Refusal, later: Iterable[SqlStatement]) -> list[_Earlier]:
        """Return the new columns that the statement mentions and that are, or will be, of another type."""
        text, may_use_rows = refusal.text, _DEFINITIONS.isdisjoint(refusal.statement.words[:1])
        for found in self._changed_later(later, "TYPE") if may_use_rows else ():
            if not mentions_name(text, found.table):
                continue
            facts = self._query("plain_column", (found.schema, found.table), found.column).fetchone()
            if facts is not None and facts[:2] not in self._columns:
                oid, number, declared, default = facts
                self._columns[oid, number] = _Earlier(
                    table=oid,
                    number=number,
                    type=declared,
                    declared=declared,
                    default=default,
                    failure=refusal.failure,
                )
        return [column for column, table, _ in self._present() if mentions_name(text, table[1])]

    def _change(self, column: _Earlier, new: str) -> bool:
        """Give *column* the type *new*. Return False if it has it, or its values or dependants do not allow it."""
        _, table, name = next(found for found in self._present() if found[0] is column)
        if column.type == new:
            return False
        try:
            self._change_type(column, table, name, new)
        except psycopg.Error as exc:
            if exc.sqlstate not in TYPE_IN_USE or not self._drop_users(table, name):
                return False
            return self._change(column, new)
        column.type = new
        return True

    def _change_type(self, column: _Earlier, table: tuple[str, str], name: str, new: str) -> None:
        with self._session.savepoint():
            if column.default is not None:
                self._alter(table, join("ALTER", sql.Identifier(name), "DROP DEFAULT"))
            self._convert(table, name, new)

    def _convert(self, table: tuple[str, str], name: str, new: str) -> None:
        """Change the type of a column. Any value can be written as text."""
        self._alter(
            table, sql.SQL("ALTER {0} TYPE {1} USING {0}::text::{1}").format(sql.Identifier(name), sql.SQL(new))
        )

    def _present(self) -> list[tuple[_Earlier, tuple[str, str], str]]:
        """Return the columns that exist still, with the present addresses of their tables and their own names."""
        found = []
        for column in self._columns.values():
            numbers = {"table": column.table, "number": column.number}
            row = self._session.query(_QUERIES["name_of_column"], numbers).fetchone()
            if row is not None:
                schema, table, name = row
                found.append((column, (schema, table), name))
        return found

    def _query(self, name: str, table: tuple[str, str], column: str) -> psycopg.Cursor[Any]:
        return self._session.query(_QUERIES[name], {"schema": table[0], "table": table[1], "column": column})

    def _changed_later(self, later: Iterable[SqlStatement], kind: str) -> Iterator[ColumnChange]:
        """Yield the new columns that *later* statements drop or retype, under the names they have now."""
        changes = (change for change in column_changes(later) if change.kind == kind)
        return (change for change in changes if self._is_new(change.table, change.column))

    def _alter(self, table: tuple[str, str], action: sql.Composable) -> None:
        statement = sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(*table), action)
        self._session.run(statement, step=_STEP, effect="until a later migration drops or changes the column")

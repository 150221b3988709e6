"""Statements that take a declared name away from an earlier object, which a declared one has replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.renames import MEMBER, Rename, rename_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import Catalog
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.attribution import mentions_name, without_name
from migrations_engine.source.names import ObjectName, created_name, dropped_names
from migrations_engine.source.statements import SqlStatement

_WITH_NAMES: Final = frozenset({"INDEX", "SEQUENCE"})  #: members of a table that are renamed by their own names
_BLOCK: Final = ("DO",)


class ReplacedObjects:
    """The objects of one deploy whose names are taken away by migrations and needed by later ones.

    The declared objects are the later ones already.

    :param declared: the catalog that the declarations make
    """

    def __init__(self, session: DeploySession, pending: PendingMigrations, declared: Catalog) -> None:
        self._session = session
        self._pending = pending
        self._tables: dict[str, str] = {}  # the table of each index and sequence
        for table in declared.relations:
            members = [constraint.name for constraint in table.constraints]
            members += [attachment.name for attachment in table.attachments]
            members += [column.sequence.name for column in table.columns if column.sequence is not None]
            self._tables |= dict.fromkeys(members, table.name)
        self._columns = {(table.name, column.name) for table in declared.relations for column in table.columns}

    def taken_by(self, file: SchemaFile, statement: SqlStatement) -> str | None:
        """Return the name of the new declared object that *statement* renames or drops for a later one, else None."""
        renamed = rename_of(statement)
        if renamed is not None and renamed.kind != MEMBER:
            return self._recreated_name(file, statement, renamed)
        for table, column in _taken(statement, renamed):
            if self._is_new(table.name, column) and (
                self._is_needed(file, statement, table, column)
                or (renamed is not None and self._is_added_again(file, statement, table, renamed.old_name))
            ):
                return column or table.name
        return None

    def _recreated_name(self, file: SchemaFile, statement: SqlStatement, renamed: Rename) -> str | None:
        """Return the name that *renamed* takes away if later statements create an object of that name, else None."""
        if renamed.old_name in self._pending.lagging:
            return None
        new_tables = self._pending.new_tables
        is_to_be_renamed = renamed.old_name in new_tables and renamed.later_name not in new_tables
        if renamed.old_name not in self._pending.new_names and not is_to_be_renamed:
            return None
        whole = self._tables.get(renamed.old_name) if renamed.kind in _WITH_NAMES else None
        created = {made.name for later in self._pending.after(file, statement) if (made := created_name(later))}
        if created & {renamed.old_name, whole or renamed.old_name}:
            return renamed.old_name
        table = ObjectName(renamed.schema, renamed.old_name)
        is_needed = renamed.kind == "TABLE" and self._is_new(table.name, None)
        is_needed = is_needed and self._is_needed(file, statement, table, None, elsewhere=renamed.new_schema)
        return table.name if is_needed else None

    def _is_new(self, table: str, column: str | None) -> bool:
        if column is None:
            is_lagging = table in self._pending.lagging
            return table in self._pending.new_tables and table in self._pending.new_names and not is_lagging
        return (table, column) in self._columns and self._pending.is_new_column(table, column)

    def _is_needed(
        self,
        file: SchemaFile,
        statement: SqlStatement,
        table: ObjectName,
        column: str | None,
        *,
        elsewhere: str | None = None,
    ) -> bool:
        """Return whether later statements use a table without rows, or a column of one, that none of them creates.

        :param elsewhere: the schema to which *statement* moves the table, where they use it, too
        """
        names = [table.name] if column is None else [table.name, column]
        for later in self._pending.after(file, statement):
            text = without_name(later.text, elsewhere, table.name) if elsewhere else later.text
            if not all(mentions_name(text, name) for name in names) or _drops(later, table.name, column):
                continue
            is_created = later.words[:1] == _BLOCK or _creates(later, table.name, column)
            return not is_created and self._is_empty(table)
        return False

    def _is_added_again(self, file: SchemaFile, statement: SqlStatement, table: ObjectName, column: str) -> bool:
        """Return whether the next *column* is one that a statement adds, which has no values of the one before that."""
        following = (later for later in self._pending.after(file, statement) if mentions_name(later.text, table.name))
        creating = next((later for later in following if _creates(later, table.name, column)), None)
        is_added = creating is not None and _adds(creating, column)
        return is_added and (self._is_empty(table) or not self._has(table, column))

    def _has(self, table: ObjectName, column: str) -> bool:
        columns = sql.SQL("SELECT {} FROM {} LIMIT 0")
        try:
            with self._session.savepoint():
                self._session.query(columns.format(sql.Identifier(column), sql.Identifier(*filter(None, table))))
        except psycopg.ProgrammingError:
            return False
        return True

    def _is_empty(self, table: ObjectName) -> bool:
        """Return whether *table* is there and has no rows."""
        try:
            with self._session.savepoint():
                return not self._session.has_rows(sql.Identifier(*filter(None, table)))
        except psycopg.ProgrammingError:
            return False


def _taken(statement: SqlStatement, renamed: Rename | None) -> Iterator[tuple[ObjectName, str | None]]:
    """Yield the tables, and the columns with their tables, that *statement* drops or renames."""
    if renamed is not None and renamed.owner is not None:
        yield ObjectName(renamed.schema, renamed.owner), renamed.old_name
    dropped = dropped_names(statement)
    if len(dropped) == 1 and dropped[0].kind == "TABLE" and dropped[0].name is not None:
        yield ObjectName(dropped[0].schema, dropped[0].name), None
    altered = alter_table_actions(statement)
    if altered is not None and len(altered.actions) == 1 and altered.actions[0].kind == "DROP COLUMN":
        yield altered.table, altered.actions[0].name


def _drops(statement: SqlStatement, table: str, column: str | None) -> bool:
    if column is None:
        return any(dropped.name == table for dropped in dropped_names(statement))
    altered = alter_table_actions(statement)
    return altered is not None and any(action.kind == "DROP COLUMN" for action in altered.actions)


def _creates(statement: SqlStatement, table: str, column: str | None) -> bool:
    """Return whether *statement* creates a table or column, or gives its name to another one."""
    renamed, made = rename_of(statement), created_name(statement)
    if renamed is not None:
        return renamed.later_name == (column or table)
    if column is None:
        return made is not None and made.name == table
    return _adds(statement, column)


def _adds(statement: SqlStatement, column: str) -> bool:
    altered = alter_table_actions(statement)
    return altered is not None and any(
        action.kind == "ADD COLUMN" and action.name == column for action in altered.actions
    )

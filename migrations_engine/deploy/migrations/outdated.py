"""Statements of migrations that are about what a later migration removes, so that a new database never has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.migrations.later_statements import DROPPING, LaterStatements
from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.renames import rename_of
from migrations_engine.deploy.migrations.satisfied import CASCADE
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions, alter_type_actions, type_change
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.effects_on_rows import changes_rows, is_insert_of_values
from migrations_engine.source.functions_folder import is_about_routine
from migrations_engine.source.lexer import occurs
from migrations_engine.source.names import (
    created_name,
    dropped_names,
)
from migrations_engine.source.script import statements_of
from migrations_engine.source.statements import SqlStatement

_INVALID_VALUE: Final = "22P02"
IN_USE: Final = "2BP01"  #: SQLSTATE: other objects depend on what is dropped
_OF_ANOTHER_KIND: Final = frozenset({"42601", "55000"})  #: the column is an identity or generated one, or is not
#: Options of the sequence of an identity column.
_OPTIONS: Final = ("generated", "increment", "minvalue", "maxvalue", "start", "cache", "cycle", "no")
_SETTING_IDENTITY: Final = ("restart", *(f"set {option}" for option in _OPTIONS))
_UNDEFINED_OBJECT: Final = "42704"
_CHANGING: Final = frozenset({"ALTER", "COMMENT", "REFRESH", "REINDEX"})
_HOLD_NO_ROWS: Final = frozenset(
    {"INDEX", "VIEW", "MATERIALIZED", "TRIGGER", "POLICY", "RULE", "STATISTICS", "CONSTRAINT"}
    | {"FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE", "TYPE", "DOMAIN"}
)
_TYPES: Final = frozenset({"TYPE", "DOMAIN"})


class OutdatedStatements:
    """The statements of *pending* migrations that are about what later ones or the declarations replace."""

    def __init__(self, pending: PendingMigrations) -> None:
        self._pending = pending

    def include(self, refusal: Refusal) -> bool:
        """Return whether the statement is about what later ones or the declarations replace."""
        statement = refusal.statement
        if refusal.sqlstate == IN_USE:
            return self._drops_what_is_new(refusal.file, statement)
        if self._is_declared_otherwise(refusal) or self._renames_declared_value(statement):
            return True
        later = [*self._pending.after(refusal.file, statement)]
        if refusal.may_be_about_types and not is_insert_of_values(statement) and self._retyped(refusal, later):
            return True
        return LaterStatements(refusal, later, self._pending.new_names).make_needless()

    def _is_declared_otherwise(self, refusal: Refusal) -> bool:
        """Return whether the statement is about what is no longer declared, or is declared with another type now."""
        if refusal.sqlstate == _INVALID_VALUE and self._replaces_type_of(refusal):
            return True
        if refusal.sqlstate in _OF_ANOTHER_KIND and self._sets_value_of_another_kind(refusal.file, refusal.statement):
            return True
        is_last = self._pending.is_last(refusal.file)
        may_be_dropped = not is_last or self._is_followed_by_cascade(refusal)
        if may_be_dropped and refusal.sqlstate in UNDEFINED and _changes_what_holds_no_rows(refusal):
            return True
        return not is_last and refusal.may_be_about_types and self._changes_type_of_new(refusal.statement)

    def _is_followed_by_cascade(self, refusal: Refusal) -> bool:
        """Return whether a later statement drops something with its dependants."""
        later = self._pending.after(refusal.file, refusal.statement)
        return any(occurs(CASCADE, statement.text) for statement in later)

    def _renames_declared_value(self, statement: SqlStatement) -> bool:
        """Return whether *statement* renames a value of a new enum that is declared with both names."""
        renamed = rename_of(statement)
        if renamed is None:
            return False
        names = {renamed.old_name, renamed.later_name}
        return any(enum.name == renamed.owner and names <= {*enum.values} for enum in self._pending.new_enums)

    def _changes_type_of_new(self, statement: SqlStatement) -> bool:
        """Return whether *statement* changes the type of a column of a new table."""
        altered = alter_table_actions(statement)
        return (
            altered is not None
            and altered.table.name in self._pending.new_tables
            and bool(type_change(altered.actions[0]))
        )

    def _retyped(self, refusal: Refusal, later: Sequence[SqlStatement]) -> bool:
        """Return whether it uses a column of a new table whose type one of the *later* statements changes.

        A later one may also rename the column, if another one has its name by now.
        """
        text = refusal.text
        for altered in filter(None, map(alter_table_actions, later)):
            if altered.table.name in self._pending.new_tables and mentions_name(text, altered.table.name):
                columns = {change.column for change in map(type_change, altered.actions) if change is not None}
                columns |= {action.name for action in altered.actions if action.kind == "RENAME COLUMN" and action.name}
                if any(mentions_name(text, column) for column in columns):
                    return True
        return False

    def _drops_what_is_new(self, file: SchemaFile, statement: SqlStatement) -> bool:
        """Return whether *statement* drops what the declarations, which are later, have again.

        What a later statement replaces by an object that it renames has to go.
        """
        altered = alter_table_actions(statement)
        if altered is not None:
            return altered.table.name in self._pending.new_names and all(
                action.kind in DROPPING for action in altered.actions
            )
        names = [dropped.name for dropped in dropped_names(statement)]
        return bool(names) and all(
            name in self._pending.new_names and not self._pending.is_name_given_again(file, statement, name)
            for name in names
        )

    def _sets_value_of_another_kind(self, file: SchemaFile, statement: SqlStatement) -> bool:
        """Return whether *statement* sets a default or identity of a column that is declared, or made, without it."""
        altered = alter_table_actions(statement)
        if altered is None or len(altered.actions) != 1:
            return False
        (action,), is_new = altered.actions, altered.table.name in self._pending.new_names
        if action.begins_with(*_SETTING_IDENTITY):
            return is_new or not self._pending.is_last(file)
        return is_new and action.begins_with("set default")

    def _replaces_type_of(self, refusal: Refusal) -> bool:
        """Return whether the statement changes rows by a value of an enum that the migrations create without it."""
        return changes_rows(refusal.statement) and any(
            mentions_name(refusal.message, name) for name in self._created_types
        )

    @cached_property
    def _created_types(self) -> frozenset[str]:
        """The names that new declared types have when migrations create them, also until they are renamed."""
        created = [
            made for made in map(created_name, statements_of(self._pending.files)) if made and made.kind in _TYPES
        ]
        names = {made.name for made in created if made.name is not None}
        later = {
            renamed.old_name for _, _, renamed in self._pending.renames if renamed.later_name in self._pending.new_names
        }
        return frozenset(name for name in names if name in self._pending.new_names or name in later)


def _changes_what_holds_no_rows(refusal: Refusal) -> bool:
    """Return whether the statement changes an index, view, constraint, function, type …, which does not exist."""
    statement = refusal.statement
    altered_type = alter_type_actions(statement)
    if altered_type is not None:
        return mentions_name(refusal.message, altered_type.table.name)
    altered = alter_table_actions(statement)
    if altered is not None:
        is_constraint = all(action.kind.endswith(" CONSTRAINT") for action in altered.actions)
        return is_constraint and refusal.sqlstate == _UNDEFINED_OBJECT
    verb, *rest = statement.words or ("",)
    if verb in {"GRANT", "REVOKE"}:
        return is_about_routine(statement)
    return verb in _CHANGING and not _HOLD_NO_ROWS.isdisjoint(rest[:2])

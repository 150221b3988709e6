"""What the statements that follow a refused one do to the same objects."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.renames import rename_of
from migrations_engine.source.alter_table import alter_table_actions, type_change
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.names import ObjectName, TableAction, dropped_names
from migrations_engine.source.statements import SqlStatement

#: The sequence of a serial or identity column, which is named after the table and the column.
_MISSING_SEQUENCE: Final = re.compile(r"(?P<of>\w+)_seq\d*\b")
DROPPING: Final = frozenset({"DROP COLUMN", "DROP CONSTRAINT"})  #: actions of ALTER TABLE
_ADDING: Final = frozenset({"ADD COLUMN", "ADD CONSTRAINT"})
_EXISTS: Final = frozenset({"42701", "42710", "42P07"})  #: a column, another member, a relation


class LaterStatements:
    """A refused statement, and those that follow it."""

    def __init__(self, refusal: Refusal, later: Sequence[SqlStatement], new: Collection[str]) -> None:
        self._refusal = refusal
        self._statement = refusal.statement
        self._later = later
        self._new = new

    def make_needless(self) -> bool:
        """Return whether the effect of the refused statement would be gone or replaced in the end."""
        if self._refusal.sqlstate in UNDEFINED and self._remove_what_lacks():
            return True
        if self._refusal.sqlstate in _EXISTS:
            return self._keep_both_names()
        altered = alter_table_actions(self._statement)
        if altered is None or len(altered.actions) != 1:
            return False
        (action,) = altered.actions
        if action.begins_with("of"):
            return any(other.begins_with("not of") for other in self._actions_on(altered.table))
        change = type_change(action)
        changes = [type_change(other) for other in self._actions_on(altered.table)] if change else []
        return any(other and change and other.column == change.column for other in changes)

    def _actions_on(self, table: ObjectName) -> Iterator[TableAction]:
        for later in self._later:
            altered = alter_table_actions(later)
            if altered is not None and altered.table == table:
                yield from altered.actions

    def _remove_what_lacks(self) -> bool:
        """Return whether one of them drops or renames what does not exist, according to the error."""
        removed = {name for later in self._later for name in _removed_names(later)}
        renamed = rename_of(self._statement)
        if renamed is not None and (renamed.later_name in removed or renamed.later_name in self._new):
            return True
        missing, text = self._refusal.message, self._refusal.text
        if any(mentions_name(missing, name) and mentions_name(text, name) for name in removed):
            return True
        sequence = _MISSING_SEQUENCE.search(missing)
        return sequence is not None and any(_is_of(sequence["of"], name) for name in removed)

    def _keep_both_names(self) -> bool:
        """Return whether the statement is a rename, and another object with the old name is declared, too.

        That one is later: one of the following statements adds it, or the declaration alone.
        """
        renamed, altered = rename_of(self._statement), alter_table_actions(self._statement)
        if renamed is None or self._last_name(renamed.later_name) not in self._new:
            return False
        if renamed.old_name in self._new:
            return True
        return altered is not None and any(
            action.kind in _ADDING and action.name == renamed.old_name for action in self._actions_on(altered.table)
        )

    def _last_name(self, name: str) -> str:
        """Return the name that they leave to what is called *name* before them."""
        for renamed in filter(None, map(rename_of, self._later)):
            name = renamed.later_name if renamed.old_name == name else name
        return name


def _is_of(serial: str, name: str) -> bool:
    """Return whether *serial*, the names of a table and its serial column, may contain *name*."""
    return serial.startswith(f"{name}_") or serial.endswith(f"_{name}")


def _removed_names(statement: SqlStatement) -> Iterator[str]:
    """Yield the names of what *statement* drops, renames or moves."""
    for dropped in dropped_names(statement):
        if dropped.name is not None:
            yield dropped.name
    renamed = rename_of(statement)
    if renamed is not None:
        yield renamed.old_name
    altered = alter_table_actions(statement)
    for action in altered.actions if altered is not None else ():
        if action.kind in DROPPING and action.name is not None:
            yield action.name

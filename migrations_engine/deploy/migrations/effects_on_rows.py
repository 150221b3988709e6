"""What statements of migrations do with rows, and which rows new databases lack if one is left out."""

from __future__ import annotations

import re
from typing import Final

from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.names import Cursor, insert_target
from migrations_engine.source.statements import SqlStatement

_NO_SUCH_TABLE: Final = "42P01"
_CHANGES_ROWS: Final = frozenset({"UPDATE", "DELETE"})
#: Leading words of statements that add no rows, or only change those that there are.
_ADDS_NO_ROWS: Final = frozenset({"ALTER", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "REVOKE", "UPDATE"})
_SELECTING: Final = re.compile(r"\bSELECT\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)


def is_insert_of_values(statement: SqlStatement) -> bool:
    """Return whether *statement* inserts rows that are not from another table."""
    return insert_target(statement) is not None and not _SELECTING.search(statement.text)


def makes_rows(statement: SqlStatement) -> bool:
    """Return whether *statement* may add rows that it does not take from another table, or do something else."""
    if insert_target(statement) is not None:
        return is_insert_of_values(statement)
    return _ADDS_NO_ROWS.isdisjoint(statement.words[:1])


def may_draw(statement: SqlStatement) -> bool:
    """Return whether *statement* may draw numbers from sequences: it adds rows, or runs code."""
    return insert_target(statement) is not None or _ADDS_NO_ROWS.isdisjoint(statement.words[:1])


def changes_rows(statement: SqlStatement) -> bool:
    """Return whether *statement* changes rows that there are."""
    return not _CHANGES_ROWS.isdisjoint(statement.words[:1])


def may_write_to(statement: SqlStatement, table: str) -> bool:
    """Return whether *statement* may add, change or delete rows of the table of this name."""
    target = insert_target(statement)
    if target is not None:
        return target.table.name == table
    if changes_rows(statement):
        cursor = Cursor(statement.text)
        cursor.accept("update") or cursor.accept("delete", "from")
        cursor.accept("only")
        changed = cursor.name()
        return changed is None or changed.name == table
    return _ADDS_NO_ROWS.isdisjoint(statement.words[:1]) and mentions_name(statement.text, table)


class MissingRows:
    """The rows that a new database does not get, because their table is dropped by a later migration."""

    def __init__(self) -> None:
        self._tables: set[str] = set()

    def come_of(self, refusal: Refusal) -> bool:
        """Return whether remaining tables lack rows if the statement is left out.

        Rows of a table that is dropped later are not missing, unless a statement copies them.
        """
        statement = refusal.statement
        target = insert_target(statement)
        is_missing = target is not None and refusal.sqlstate == _NO_SUCH_TABLE
        if target is not None and is_missing and mentions_name(refusal.message, target.table.name):
            self._tables.add(target.table.name)
            return False
        if makes_rows(statement):
            return True
        copies = target is not None or statement.words[:1] == ("UPDATE",)
        used = (name for name in self._tables if mentions_name(statement.text, name))
        return copies and any(statement.words[1:2] != (name.upper(),) for name in used)

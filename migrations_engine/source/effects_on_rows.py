"""What statements do with rows, from their text."""

from __future__ import annotations

import re
from typing import Final

from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.names import Cursor, ObjectName, insert_target
from migrations_engine.source.statements import SqlStatement

_CHANGES_ROWS: Final = frozenset({"UPDATE", "DELETE"})
#: Leading words of statements that add no rows, or only change those that there are.
_ADDS_NO_ROWS: Final = frozenset({"ALTER", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "REVOKE", "UPDATE"}) | {
    *("ANALYZE", "CLUSTER", "LOCK", "REFRESH", "REINDEX", "RESET", "SET", "VACUUM")
}
_SELECTING: Final = re.compile(r"\bSELECT\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)


def is_insert_of_values(statement: SqlStatement) -> bool:
    """Return whether *statement* inserts rows that are not from another table."""
    return insert_target(statement) is not None and not _SELECTING.search(statement.text)


def makes_rows(statement: SqlStatement) -> bool:
    """Return whether *statement* may add rows that it does not take from another table, or do something else."""
    if insert_target(statement) is not None:
        return is_insert_of_values(statement)
    return statement.words[:1] != ("TRUNCATE",) and _ADDS_NO_ROWS.isdisjoint(statement.words[:1])


def may_draw(statement: SqlStatement) -> bool:
    """Return whether *statement* may draw numbers from sequences: it adds rows, or runs code."""
    return insert_target(statement) is not None or _ADDS_NO_ROWS.isdisjoint(statement.words[:1])


def changes_rows(statement: SqlStatement) -> bool:
    """Return whether *statement* changes rows that there are."""
    return not _CHANGES_ROWS.isdisjoint(statement.words[:1])


def changed_table(statement: SqlStatement) -> ObjectName | None:
    """Return the table of an ``UPDATE`` or ``DELETE``; None for another statement."""
    cursor = Cursor.over(statement)
    if not (cursor.accept("update") or cursor.accept("delete", "from")):
        return None
    cursor.accept("only")
    return cursor.name()


def only_column_set(statement: SqlStatement) -> str | None:
    """Return the column that *statement* sets if it is an ``UPDATE`` of a single one."""
    cursor = Cursor.over(statement)
    if not (cursor.accept("update") and cursor.skip_to("set")):
        return None
    column = cursor.identifier()
    while cursor.peek() and not any(map(cursor.sees, ("from", "where", "returning"))):
        if cursor.accept(","):
            return None
        if cursor.sees("("):
            cursor.skip_parentheses()
        else:
            cursor.take()
    return column


def may_write_to(statement: SqlStatement, table: str) -> bool:
    """Return whether *statement* may add, change or delete rows of the table of this name."""
    target = insert_target(statement)
    if target is not None:
        return target.table.name == table
    if changes_rows(statement):
        changed = changed_table(statement)
        return changed is None or changed.name == table
    return _ADDS_NO_ROWS.isdisjoint(statement.words[:1]) and mentions_name(statement.text, table)

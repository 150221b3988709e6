"""What statements of migrations do with rows, and whether one was refused because of the types of columns."""

from __future__ import annotations

import re
from typing import Final

import psycopg

from migrations_engine.source.names import insert_target
from migrations_engine.source.statements import SqlStatement

_OF_TYPES: Final = ("42", "22")  #: SQLSTATE classes: names, operators and types that do not fit, and values
_CHANGES_ROWS: Final = frozenset({"UPDATE", "DELETE"})
#: Leading words of statements that add no rows, or only change those that there are.
_WITHOUT_ROWS: Final = frozenset({"ALTER", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "REVOKE", "UPDATE"})
_SELECTING: Final = re.compile(r"\bSELECT\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)


def is_insert_of_values(statement: SqlStatement) -> bool:
    """Return whether *statement* inserts rows that are not from another table."""
    return insert_target(statement) is not None and not _SELECTING.search(statement.text)


def makes_rows(statement: SqlStatement) -> bool:
    """Return whether *statement* may add rows that it does not take from another table, or do something else."""
    if insert_target(statement) is not None:
        return is_insert_of_values(statement)
    return _WITHOUT_ROWS.isdisjoint(statement.words[:1])


def may_draw(statement: SqlStatement) -> bool:
    """Return whether *statement* may draw numbers from sequences: it adds rows, or runs code."""
    return insert_target(statement) is not None or _WITHOUT_ROWS.isdisjoint(statement.words[:1])


def changes_rows(statement: SqlStatement) -> bool:
    """Return whether *statement* changes rows that there are."""
    return not _CHANGES_ROWS.isdisjoint(statement.words[:1])


def does_not_fit_types(exc: psycopg.Error) -> bool:
    """Return whether a statement may have been refused because its columns have other types than it expects."""
    return (exc.sqlstate or "").startswith(_OF_TYPES)


def text_executed(statement: SqlStatement, exc: psycopg.Error) -> str:
    """Return the text of *statement*, and of the statement that failed in a function that it called."""
    return "\n".join([statement.text, exc.diag.internal_query or "", exc.diag.context or ""])

"""SQL laid out for people, in plans that commands and pages show."""

from __future__ import annotations

from typing import Final

import sqlparse

_LONGEST: Final = 2_000  #: characters; sqlparse takes a millisecond for some forty
_WRAP_AFTER: Final = 100  #: columns, in lists


def lay_out(statement: str) -> str:
    """Return *statement* with a line for each of its clauses.

    A statement of several lines is returned unchanged, because its author or PostgreSQL has laid it out. So is one that
    is long or has a dollar quote, in which sqlparse would change the text.

    >>> print(lay_out("UPDATE t SET a = 1 WHERE b"))
    UPDATE t
    SET a = 1
    WHERE b
    """
    statement = statement.strip()
    if len(statement) > _LONGEST or "\n" in statement or "$" in statement:
        return statement
    laid_out: str = sqlparse.format(statement, reindent=True, wrap_after=_WRAP_AFTER)
    return laid_out

"""SQL laid out for people, in plans that commands and pages show."""

from __future__ import annotations

import re
from typing import Final

import sqlparse

_LONGEST: Final = 2_000  #: characters; sqlparse takes a millisecond for some forty
_WRAP_AFTER: Final = 100  #: columns, in lists
_FAR_RIGHT: Final = "\n" + " " * 40
_BROKEN_MODIFIER: Final = re.compile(r"(\(\d+),\n *(-?\d+\))")  #: of numeric(10,2), over two lines


def lay_out(statement: str) -> str:
    """Return *statement* with a line for each of its clauses.

    A statement of several lines is returned unchanged, because its author or PostgreSQL has laid it out. So is one that
    is long, one that has a dollar quote, in which sqlparse would change the text, and one with lists in parentheses
    that sqlparse would move far to the right.

    >>> print(lay_out("UPDATE t SET a = 1 WHERE b"))
    UPDATE t
    SET a = 1
    WHERE b
    """
    statement = statement.strip()
    if len(statement) > _LONGEST or "\n" in statement or "$" in statement:
        return statement
    laid_out: str = sqlparse.format(statement, reindent=True, wrap_after=_WRAP_AFTER)
    laid_out = _BROKEN_MODIFIER.sub(r"\1,\2", laid_out)
    return statement if _FAR_RIGHT in laid_out else laid_out

"""Finds the objects that a statement needs or mentions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.lexer import content_of, folded_tokens, name_of, occurs
from migrations_engine.source.names import Cursor, ObjectName, created_name, insert_target
from migrations_engine.source.statements import SqlStatement

#: The first words of clauses that name a table. Most statements contain none, and are not read again.
_CLAUSE: Final = re.compile("references|inherit|like|partition|nextval", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Names in a statement, which may be those of objects."""

    names: frozenset[str]
    called: frozenset[str]  #: those followed by a parenthesis


def references(statement: SqlStatement) -> frozenset[ObjectName]:
    """Return the tables and sequences that must exist before the statement can run.

    They are the targets of ``REFERENCES``, ``INHERITS``, ``LIKE``, ``PARTITION OF``, ``ATTACH PARTITION``, ``INHERIT``
    and ``nextval('…')``, the table of an ``ALTER TABLE``, index, trigger, policy or rule, and the one that ``INSERT``,
    ``UPDATE`` or ``DELETE`` writes to. Names after ``IF EXISTS`` are left out.
    """
    if statement.words[:1] == ("CREATE",):
        created = created_name(statement)
        if created is None:
            return frozenset()
        if created.kind in {"TABLE", "FOREIGN TABLE"}:
            return _clauses(statement)
        constraint_target = _from_table(statement) if created.kind == "TRIGGER" else None
        return frozenset(name for name in (created.table, constraint_target) if name is not None)
    if (altered := alter_table_actions(statement)) is not None:
        return _clauses(statement) | (frozenset() if altered.if_exists else {altered.table})
    written = _written_table(statement)
    return frozenset() if written is None else frozenset({written})


def mentions(statement: SqlStatement) -> Mentions:
    """Return the names in the statement, and those that are called like a function."""
    found: set[str] = set()
    called: set[str] = set()
    for piece, following in pairwise(chain(folded_tokens(statement.text), ("",))):
        found.add(piece)
        if following == "(":
            called.add(piece)
    return Mentions(names=_names_among(found), called=_names_among(called))


def _names_among(spelled: Iterable[str]) -> frozenset[str]:
    return frozenset(name for text in spelled if (name := name_of(text)) is not None)


def _clauses(statement: SqlStatement) -> frozenset[ObjectName]:
    """Return the tables named by the clauses of a ``CREATE TABLE`` or ``ALTER TABLE``."""
    if not occurs(_CLAUSE, statement.text):
        return frozenset()
    cursor = Cursor.over(statement)
    found: set[ObjectName | None] = set()
    previous, depth = "", 0
    while piece := cursor.take():
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth -= 1
        elif (
            piece == "references"
            or (piece == "like" and depth == 1 and previous in {"(", ","})
            or (piece == "partition" and (previous == "attach" or cursor.accept("of")))
            or (piece == "inherit" and previous != "no")
        ):
            found.add(cursor.name())
        elif piece == "inherits" and cursor.accept("("):
            found.add(cursor.name())
            while cursor.accept(","):
                found.add(cursor.name())
            cursor.accept(")")
        elif piece == "nextval" and cursor.sees("("):
            found.add(_quoted_name(cursor.peek(1)))
        previous = piece
    return frozenset(name for name in found if name is not None)


def _quoted_name(token: str) -> ObjectName | None:
    """Return the name inside a string, as in ``nextval('public.users_id_seq')``."""
    content = content_of(token) if token else None
    return Cursor(content).name() if content else None


def _from_table(statement: SqlStatement) -> ObjectName | None:
    cursor = Cursor.over(statement)
    return cursor.name() if cursor.skip_to("from") else None


def _written_table(statement: SqlStatement) -> ObjectName | None:
    if (target := insert_target(statement)) is not None:
        return target.table
    if statement.words[:1] not in {("UPDATE",), ("DELETE",)}:
        return None
    cursor = Cursor.over(statement)
    if cursor.accept("update") or cursor.accept("delete", "from"):
        cursor.accept("only")
        return cursor.name()
    return None

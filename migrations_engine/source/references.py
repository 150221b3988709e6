"""Which other objects a statement needs: those it cannot run without, and those it merely mentions."""

from __future__ import annotations

from dataclasses import dataclass

from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.lexer import Kind, Token, content_of, name_of, tokens
from migrations_engine.source.names import Cursor, QualifiedName, created_name, insert_target
from migrations_engine.source.statements import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Bare names that occur somewhere in a statement and may, or may not, mean an object of that name."""

    names: frozenset[str]
    called: frozenset[str]  #: those followed by a parenthesis


def references(statement: Statement) -> frozenset[QualifiedName]:
    """The tables and sequences that must exist before the statement can run.

    They are the targets of ``REFERENCES``, ``INHERITS``, ``LIKE``, ``PARTITION OF``, ``ATTACH PARTITION``, ``INHERIT``
    and ``nextval('…')``, the table of an ``ALTER TABLE``, index, trigger, policy or rule, and the one that ``INSERT``,
    ``UPDATE`` or ``DELETE`` writes to. What stands after ``IF EXISTS`` is not needed.
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


def mentions(statement: Statement) -> Mentions:
    """Every name in the statement, and every one that is called like a function."""
    names, called = set(), set()
    previous: str | None = None
    for token in tokens(statement.text):
        if token.text == "(" and previous is not None:
            called.add(previous)
        previous = name_of(token.text) if token.kind in {Kind.WORD, Kind.QUOTED} else None
        if previous is not None:
            names.add(previous)
    return Mentions(names=frozenset(names), called=frozenset(called))


def _clauses(statement: Statement) -> frozenset[QualifiedName]:
    """The tables named by the clauses of a ``CREATE TABLE`` or ``ALTER TABLE``."""
    cursor = Cursor(statement.text)
    found: set[QualifiedName | None] = set()
    previous, depth = "", 0
    while (token := cursor.take()) is not None:
        depth += (token.text == "(") - (token.text == ")")
        word = token.text.upper() if token.kind is Kind.WORD else token.text
        if (
            word == "REFERENCES"
            or (word == "LIKE" and depth == 1 and previous in {"(", ","})
            or (word == "PARTITION" and (previous == "ATTACH" or cursor.accept("OF")))
            or (word == "INHERIT" and previous != "NO")
        ):
            found.add(cursor.name())
        elif word == "INHERITS" and cursor.accept("("):
            found.add(cursor.name())
            while cursor.accept(","):
                found.add(cursor.name())
            cursor.accept(")")
        elif word == "NEXTVAL" and cursor.sees("("):
            found.add(_quoted_name(cursor.peek(1)))
        previous = word
    return frozenset(name for name in found if name is not None)


def _quoted_name(token: Token | None) -> QualifiedName | None:
    """The name inside a string, as in ``nextval('public.users_id_seq')``."""
    content = content_of(token.text) if token is not None else None
    return Cursor(content).name() if content else None


def _from_table(statement: Statement) -> QualifiedName | None:
    cursor = Cursor(statement.text)
    return cursor.name() if cursor.skip_to("FROM") else None


def _written_table(statement: Statement) -> QualifiedName | None:
    target = insert_target(statement)
    if target is not None:
        return target.table
    cursor = Cursor(statement.text)
    if cursor.accept("UPDATE") or cursor.accept("DELETE", "FROM"):
        cursor.accept("ONLY")
        return cursor.name()
    return None

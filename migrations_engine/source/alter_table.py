"""``ALTER TABLE``, cut into its actions."""

from __future__ import annotations

from typing import Final

from migrations_engine.source.lexer import Token, tokens
from migrations_engine.source.names import Cursor, TableAction, TableAlteration
from migrations_engine.source.statements import Statement

_CONSTRAINT_STARTS: Final = (
    ("CHECK",),
    ("UNIQUE",),
    ("PRIMARY", "KEY"),
    ("FOREIGN", "KEY"),
    ("NOT", "NULL"),
    ("EXCLUDE", "USING"),
    ("EXCLUDE", "("),
)
#: Leading keywords of an action that are followed by the name of its object, the longer before the shorter.
_ACTIONS: Final = (
    ("DROP CONSTRAINT", ("DROP", "CONSTRAINT")),
    ("DROP COLUMN", ("DROP", "COLUMN")),
    ("DROP COLUMN", ("DROP",)),
    ("ALTER CONSTRAINT", ("ALTER", "CONSTRAINT")),
    ("ALTER COLUMN", ("ALTER", "COLUMN")),
    ("ALTER COLUMN", ("ALTER",)),
    ("VALIDATE CONSTRAINT", ("VALIDATE", "CONSTRAINT")),
    ("RENAME CONSTRAINT", ("RENAME", "CONSTRAINT")),
    ("RENAME COLUMN", ("RENAME", "COLUMN")),
    ("RENAME COLUMN", ("RENAME",)),
    ("ADD COLUMN", ("ADD", "COLUMN")),
    ("ADD COLUMN", ("ADD",)),
)


def alter_table_actions(statement: Statement) -> TableAlteration | None:
    """Cut an ``ALTER TABLE`` (or ``ALTER FOREIGN TABLE``) at its top-level commas; None for another statement."""
    cursor = Cursor(statement.text)
    if not (cursor.accept("ALTER", "TABLE") or cursor.accept("ALTER", "FOREIGN", "TABLE")):
        return None
    if_exists = cursor.accept("IF", "EXISTS")
    only = cursor.accept("ONLY")
    table = cursor.name()
    cursor.accept("*")
    first = cursor.peek()
    if table is None or first is None:
        return None
    actions = tuple(_action(text) for text in _cut(statement.text[first.start :]))
    return TableAlteration(table=table, only=only, if_exists=if_exists, actions=actions)


def _cut(text: str) -> list[str]:
    """The pieces of *text* between the commas outside parentheses and brackets, without white space around them."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens(text):
        depth += (token.text in "([") - (token.text in ")]")
        if token.text == "," and not depth:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [text[piece[0].start : piece[-1].end] for piece in pieces if piece]


def _action(text: str) -> TableAction:
    cursor = Cursor(text)
    if cursor.accept("RENAME", "TO"):
        return TableAction(kind="RENAME TO", new_name=cursor.identifier(), text=text)
    if cursor.accept("SET", "SCHEMA"):
        return TableAction(kind="SET SCHEMA", new_name=cursor.identifier(), text=text)
    if cursor.accept("ADD", "CONSTRAINT"):
        return TableAction(kind="ADD CONSTRAINT", name=cursor.identifier(), text=text)
    if any(cursor.sees("ADD", *words) for words in _CONSTRAINT_STARTS):
        return TableAction(kind="ADD CONSTRAINT", text=text)
    for kind, words in _ACTIONS:
        if cursor.accept(*words):
            cursor.accept("IF", "NOT", "EXISTS")
            cursor.accept("IF", "EXISTS")
            name = cursor.identifier()
            new_name = cursor.identifier() if cursor.accept("TO") else None
            return TableAction(kind=kind, name=name, new_name=new_name, text=text)
    return TableAction(kind="OTHER", text=text)

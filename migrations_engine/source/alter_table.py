"""``ALTER TABLE``, cut into its actions."""

from __future__ import annotations

from itertools import islice
from typing import Final

from migrations_engine.source.lexer import Token, tokens
from migrations_engine.source.names import Cursor, TableAction, TableAlteration
from migrations_engine.source.statements import SqlStatement

_CONSTRAINT_STARTS: Final = (
    ("check",),
    ("unique",),
    ("primary", "key"),
    ("foreign", "key"),
    ("not", "null"),
    ("exclude", "using"),
    ("exclude", "("),
)
#: Leading keywords of an action that are followed by the name of its object, the longer before the shorter.
_ACTIONS: Final = (
    ("DROP CONSTRAINT", ("drop", "constraint")),
    ("DROP COLUMN", ("drop", "column")),
    ("DROP COLUMN", ("drop",)),
    ("ALTER CONSTRAINT", ("alter", "constraint")),
    ("ALTER COLUMN", ("alter", "column")),
    ("ALTER COLUMN", ("alter",)),
    ("VALIDATE CONSTRAINT", ("validate", "constraint")),
    ("RENAME CONSTRAINT", ("rename", "constraint")),
    ("RENAME COLUMN", ("rename", "column")),
    ("RENAME COLUMN", ("rename",)),
    ("ADD COLUMN", ("add", "column")),
    ("ADD COLUMN", ("add",)),
)


def alter_table_actions(statement: SqlStatement) -> TableAlteration | None:
    """Cut an ``ALTER TABLE`` (or ``ALTER FOREIGN TABLE``) at its top-level commas; None for another statement."""
    if statement.words[:1] != ("ALTER",):
        return None
    cursor = Cursor(statement.text)
    if not (cursor.accept("alter", "table") or cursor.accept("alter", "foreign", "table")):
        return None
    if_exists = cursor.accept("if", "exists")
    only = cursor.accept("only")
    table = cursor.name()
    cursor.accept("*")
    if table is None or not cursor.peek():
        return None
    pieces = _cut(statement.text, cursor.position)
    actions = tuple(_action(text) for _, text in pieces)
    return TableAlteration(table=table, only=only, if_exists=if_exists, actions_start=pieces[0][0], actions=actions)


def _cut(text: str, first: int) -> list[tuple[int, str]]:
    """What stands, and where, between the commas outside parentheses and brackets, from token number *first* on."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in islice(tokens(text), first, None):
        depth += (token.text in "([") - (token.text in ")]")
        if token.text == "," and not depth:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [(piece[0].start, text[piece[0].start : piece[-1].end]) for piece in pieces if piece]


def _action(text: str) -> TableAction:
    cursor = Cursor(text)
    if cursor.accept("rename", "to"):
        return TableAction(kind="RENAME TO", new_name=cursor.identifier(), text=text)
    if cursor.accept("set", "schema"):
        return TableAction(kind="SET SCHEMA", new_name=cursor.identifier(), text=text)
    if cursor.accept("add", "constraint"):
        return TableAction(kind="ADD CONSTRAINT", name=cursor.identifier(), text=text)
    if any(cursor.sees("add", *words) for words in _CONSTRAINT_STARTS):
        return TableAction(kind="ADD CONSTRAINT", text=text)
    for kind, words in _ACTIONS:
        if cursor.accept(*words):
            cursor.accept("if", "not", "exists")
            cursor.accept("if", "exists")
            name = cursor.identifier()
            new_name = cursor.identifier() if cursor.accept("to") else None
            return TableAction(kind=kind, name=name, new_name=new_name, text=text)
    return TableAction(kind="OTHER", text=text)

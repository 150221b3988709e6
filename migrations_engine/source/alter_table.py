"""Splits ``ALTER TABLE``, ``ALTER TYPE`` and ``ALTER DOMAIN`` into their actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from migrations_engine.source.lexer import folded_tokens, tokens
from migrations_engine.source.names import Cursor, TableAction, TableAlteration
from migrations_engine.source.statements import SqlStatement, remembered

_ACTIONS_AT_MOST: Final = 10_000  #: a table has at most 1600 columns; a statement with more actions is not split
_HEAD_AT_MOST: Final = 1000  #: characters before the first action
_CONSTRAINT_STARTS: Final = (
    ("check",),
    ("unique",),
    ("primary", "key"),
    ("foreign", "key"),
    ("not", "null"),
    ("exclude", "using"),
    ("exclude", "("),
)
_AFTER_TYPE: Final = frozenset({"using", "cascade", "restrict"})  #: keywords
#: Keywords of an action before the name of its object, longer ones first.
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


@remembered("ALTER")
def alter_table_actions(statement: SqlStatement) -> TableAlteration | None:
    """Return the actions of an ``ALTER TABLE`` or ``ALTER FOREIGN TABLE``; None for another statement.

    None also for one with more actions than a table can have columns.
    """
    if statement.words[:1] != ("ALTER",):
        return None
    cursor = Cursor.over(statement)
    if not (cursor.accept("alter", "table") or cursor.accept("alter", "foreign", "table")):
        return None
    if_exists = cursor.accept("if", "exists")
    only = cursor.accept("only")
    table = cursor.name()
    cursor.accept("*")
    if table is None or not cursor.peek():
        return None
    split = _split(statement.text, cursor.position)
    if split is None or not split[1]:
        return None
    head, pieces = split
    actions = tuple(_action(text) for text in pieces)
    return TableAlteration(table=table, only=only, if_exists=if_exists, head=head, actions=actions)


@remembered("ALTER")
def alter_type_actions(statement: SqlStatement) -> TableAlteration | None:
    """Return an ``ALTER TYPE`` or ``ALTER DOMAIN``, split at its top-level commas; None for another statement."""
    cursor = Cursor.over(statement)
    if not (cursor.accept("alter", "type") or cursor.accept("alter", "domain")):
        return None
    name = cursor.name()
    if name is None or not cursor.peek():
        return None
    split = _split(statement.text, cursor.position)
    if split is None:
        return None
    head, pieces = split
    actions = tuple(_type_action(text) for text in pieces)
    return TableAlteration(table=name, only=False, if_exists=False, head=head, actions=actions)


def _split(text: str, first: int) -> tuple[str, list[str]] | None:
    """Return what is before the token *first*, folded, and the actions from there on; None if either is too long."""
    head = " ".join(islice(folded_tokens(text), first))
    pieces = list(islice(_cut(text, first), _ACTIONS_AT_MOST + 1))
    return None if len(pieces) > _ACTIONS_AT_MOST or len(head) > _HEAD_AT_MOST else (head, pieces)


def _type_action(text: str) -> TableAction:
    cursor = Cursor(text)
    for verb in ("add", "drop"):
        for kind in ("attribute", "constraint"):
            if cursor.accept(verb, kind):
                cursor.accept("if", "exists")
                return TableAction(kind=f"{verb} {kind}".upper(), name=cursor.identifier(), text=text)
    if cursor.accept("alter", "attribute"):
        return TableAction(kind="ALTER ATTRIBUTE", name=cursor.identifier(), text=text)
    return TableAction(kind="OTHER", text=text)


def _cut(text: str, first: int) -> Iterator[str]:
    """Yield the tokens between commas outside parentheses and brackets, from token number *first* on."""
    start: int | None = None
    end = depth = 0
    for token in islice(tokens(text), first, None):
        depth += (token.text in "([") - (token.text in ")]")
        if token.text == "," and not depth:
            if start is not None:
                yield text[start:end]
            start = None
        else:
            start = token.start if start is None else start
            end = token.end
    if start is not None:
        yield text[start:end]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeChange:
    """An ``ALTER COLUMN … TYPE``, or that of an attribute."""

    column: str
    type: str  #: as written, with its collation


def type_change(action: TableAction) -> TypeChange | None:
    """Return the new type of a column or attribute if *action* changes it, else None."""
    cursor = Cursor(action.text)
    if action.kind not in ("ALTER COLUMN", "ALTER ATTRIBUTE") or action.name is None:
        return None
    cursor.accept("alter")
    _ = cursor.accept("column") or cursor.accept("attribute")
    cursor.identifier()
    if not (cursor.accept("type") or cursor.accept("set", "data", "type")):
        return None
    written = [*islice(tokens(action.text), cursor.position, None)]
    ends = (token.start for token in written if token.text.lower() in _AFTER_TYPE)
    end = next(ends, len(action.text))
    return TypeChange(column=action.name, type=action.text[written[0].start : end]) if written else None


def index_of_key(action: TableAction) -> str | None:
    """Return the name of the index that *action* makes a key of (``ADD … USING INDEX``), else None."""
    cursor = Cursor(action.text)
    if action.kind != "ADD CONSTRAINT" or not cursor.accept("add"):
        return None
    if cursor.accept("constraint"):
        cursor.identifier()
    is_key = cursor.accept("unique") or cursor.accept("primary", "key")
    return cursor.identifier() if is_key and cursor.accept("using", "index") else None

"""Parses ``CREATE TABLE … AS`` and ``SELECT … INTO``: the table, and the query for its rows."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import Final

from migrations_engine.source.lexer import GAP, Token, occurs, tokens
from migrations_engine.source.names import Cursor, ObjectName, created_name
from migrations_engine.source.statements import SqlStatement

_SELECTING: Final = {("SELECT",), ("WITH",)}
_INTO: Final = re.compile("into", re.IGNORECASE)
_OTHER_INTO: Final = frozenset({"INSERT", "MERGE", "AS", "."})  #: after these words, INTO does not create a table
_CONDITION: Final = re.compile(rf"\bIF\b{GAP}\bNOT\b{GAP}\bEXISTS\b", re.IGNORECASE)
_MODIFIERS: Final = frozenset({"GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED"})


def select_into_as_create(statement: SqlStatement) -> SqlStatement:
    """Return a ``SELECT … INTO`` as the ``CREATE TABLE … AS`` that it is, with the same lines; others unchanged."""
    if statement.words[:1] not in _SELECTING or not occurs(_INTO, statement.text):
        return statement
    read, depth = [*tokens(statement.text)], 0
    for position, token in enumerate(read):
        depth += (token.text == "(") - (token.text == ")")
        if not depth and token.text.upper() == "INTO":
            is_other = read[position - 1].text.upper() in _OTHER_INTO or position + 1 == len(read)
            return statement if is_other else _created(statement, read[position:])
    return statement


def _created(statement: SqlStatement, rest: list[Token]) -> SqlStatement:
    """Return the statement that creates the table of a ``SELECT``, whose tokens from ``INTO`` on are *rest*."""
    words, after = [token.text for token in rest], 1
    while after + 1 < len(words) and words[after].upper() in _MODIFIERS:
        after += 1
    modifiers = words[1:after]
    after += words[after].upper() == "TABLE"
    end = after + 1
    while words[end : end + 1] == ["."]:
        end += 2
    kind, text = [*modifiers, "TABLE"], statement.text
    start, stop = rest[0].start, rest[end].start if end < len(rest) else len(text)
    query = text[:start] + "\n" * text.count("\n", start, stop) + text[stop:]
    created = f"CREATE {' '.join(kind)} {''.join(words[after:end])} AS {query}"
    return replace(statement, text=created, words=("CREATE", *map(str.upper, kind)))


def table_created_as(statement: SqlStatement) -> ObjectName | None:
    """Return the name of the table if *statement* is a ``CREATE TABLE … AS``, else None."""
    made = created_name(statement)
    if made is None or made.kind != "TABLE" or made.name is None or not definition_of_rows(statement):
        return None
    return ObjectName(made.schema, made.name)


def without_condition(statement: SqlStatement) -> SqlStatement:
    """Return a ``CREATE TABLE IF NOT EXISTS … AS`` without its condition; others unchanged."""
    return replace(statement, text=_CONDITION.sub("", statement.text, count=1))


def definition_of_rows(statement: SqlStatement) -> str:
    """Return what follows the name of the created table, if that ends with ``AS`` and a query, else nothing."""
    cursor = Cursor.over(statement)
    while cursor.peek() and not cursor.accept("table"):
        cursor.take()
    cursor.accept("if", "not", "exists")
    cursor.name()
    depth, rest = 0, [*islice(tokens(statement.text), cursor.position, None)]
    for token in rest:
        depth += (token.text == "(") - (token.text == ")")
        if not depth and token.text.upper() == "AS":
            return statement.text[rest[0].start :]
    return ""

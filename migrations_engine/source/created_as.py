"""Parses ``CREATE TABLE … AS``: the table, and the query for its rows."""

from __future__ import annotations

from itertools import islice

from migrations_engine.source.lexer import tokens
from migrations_engine.source.names import Cursor, ObjectName, created_name
from migrations_engine.source.statements import SqlStatement


def table_created_as(statement: SqlStatement) -> ObjectName | None:
    """Return the name of the table if *statement* is a ``CREATE TABLE … AS``, else None."""
    made = created_name(statement)
    if made is None or made.kind != "TABLE" or made.name is None or not definition_of_rows(statement):
        return None
    return ObjectName(made.schema, made.name)


def definition_of_rows(statement: SqlStatement) -> str:
    """Return what follows the name of the created table, if that ends with ``AS`` and a query, else nothing."""
    cursor = Cursor(statement.text)
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

"""The rows of a ``CREATE TABLE … AS`` whose table is declared, and therefore there already."""

from __future__ import annotations

from itertools import islice
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import ServerMessage
from migrations_engine.queries import load_queries
from migrations_engine.source.lexer import tokens
from migrations_engine.source.names import Cursor, ObjectName, created_name
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_ROWS: Final = sql.Identifier("_stonescriptdb_gateway_rows")


def table_created_as(statement: SqlStatement) -> ObjectName | None:
    """Return the name of the table if *statement* is a ``CREATE TABLE … AS``, else None."""
    made = created_name(statement)
    if made is None or made.kind != "TABLE" or made.name is None or not _definition(statement):
        return None
    return ObjectName(made.schema, made.name)


def fill_created(session: DeploySession, statement: SqlStatement, table: ObjectName) -> str:
    """Insert the rows of *statement* into *table*, by the names of their columns. Return why that is refused, if so."""
    target = sql.Identifier(*table.address)
    try:
        with session.savepoint():
            session.query(b"CREATE TEMPORARY TABLE _stonescriptdb_gateway_rows " + _definition(statement).encode())
            found = session.query(_QUERIES["columns_of_rows"]).fetchall()
            names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
            insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(target, names, names, _ROWS)
            session.run(insert, step="migrations")
            session.query(b"DROP TABLE _stonescriptdb_gateway_rows")
    except psycopg.Error as exc:
        return ServerMessage.of(exc).message
    return ""


def _definition(statement: SqlStatement) -> str:
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

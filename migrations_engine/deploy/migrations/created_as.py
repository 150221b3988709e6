"""The rows of a ``CREATE TABLE … AS`` whose table is declared, and therefore there already."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import ServerMessage
from migrations_engine.queries import load_queries
from migrations_engine.source.created_as import definition_of_rows
from migrations_engine.source.names import ObjectName
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_ROWS: Final = sql.Identifier("_stonescriptdb_gateway_rows")


def fill_created(session: DeploySession, statement: SqlStatement, table: ObjectName) -> str:
    """Insert the rows of *statement* into *table*, by the names of their columns. Return why that is refused, if so."""
    target = sql.Identifier(*table.address)
    try:
        with session.savepoint():
            session.query(
                b"CREATE TEMPORARY TABLE _stonescriptdb_gateway_rows " + definition_of_rows(statement).encode()
            )
            found = session.query(_QUERIES["columns_of_rows"]).fetchall()
            names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
            insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(target, names, names, _ROWS)
            session.run(insert, step="migrations")
            session.query(b"DROP TABLE _stonescriptdb_gateway_rows")
    except psycopg.Error as exc:
        return ServerMessage.of(exc).message
    return ""

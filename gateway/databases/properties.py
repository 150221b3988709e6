"""The properties of a database that CREATE DATABASE does not copy: owner, connection limit, settings and privileges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
#: Their stored values are lists of quoted names, which a string literal would quote once more.
_LISTS: Final = frozenset(
    {"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
     "temp_tablespaces", "unix_socket_directories"}
)  # fmt: skip


def copy_properties(session: psycopg.Connection[Any], source: str, target: str) -> tuple[str, ...]:
    """Set the properties of *source* on the database *target*, a copy, at the end of the transaction of *session*.

    Return a description of each property that the session's role may not set.
    """
    with session.cursor(row_factory=dict_row) as cursor:
        properties = cursor.execute(_QUERIES["properties_of_database"], {"name": source}).fetchone()
        privileges = cursor.execute(_QUERIES["privileges_on_database"], {"name": source}).fetchall()
        settings = cursor.execute(_QUERIES["settings_of_database"], {"name": source}).fetchall()
    assert properties is not None
    database = sql.Identifier(target)
    refused: list[str] = []

    def attempt(what: str, *statements: sql.Composed) -> None:
        try:
            with session.transaction():
                for statement in statements:
                    session.execute(statement)
        except psycopg.Error as exc:
            refused.append(f"{what} ({exc.diag.message_primary})")

    if properties["has_privileges"]:
        revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, CURRENT_USER").format(database)
        attempt("privileges", revoke, *(_grant(database, one) for one in privileges))
    limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, properties["connection_limit"])
    attempt("the connection limit", limit)
    for one in settings:
        of_role = f" of role {one['role']}" if one["role"] is not None else ""
        attempt(f"the setting {one['name']}{of_role}", *_set(database, one))
    owner = sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(properties["owner"]))
    attempt("the owner", owner)
    return tuple(refused)


def _grant(database: sql.Identifier, row: Mapping[str, Any]) -> sql.Composed:
    grantee = sql.SQL("PUBLIC") if row["grantee"] is None else sql.Identifier(row["grantee"])
    option = sql.SQL(" WITH GRANT OPTION" if row["is_grantable"] else "")
    return sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(sql.SQL(row["privilege"]), database, grantee, option)


def _set(database: sql.Identifier, row: Mapping[str, Any]) -> list[sql.Composed]:
    """Return the statements for one setting of the database, or of a role in it."""
    name, value = row["name"], row["value"]
    of_what = sql.SQL("DATABASE {}").format(database)
    if row["role"] is not None:
        of_what = sql.SQL("ROLE {} IN ").format(sql.Identifier(row["role"])) + of_what
    alter = sql.SQL("ALTER {} SET {} ").format(of_what, sql.SQL(".").join(map(sql.Identifier, name.split("."))))
    if name in _LISTS:
        local = sql.SQL("SELECT pg_catalog.set_config({}, {}, true)").format(name, value)
        return [local, alter + sql.SQL("FROM CURRENT")]
    return [alter + sql.SQL("TO {}").format(value)]

"""Databases under a temporary name: those being created, which no request reaches, and those that a crash has left.

Invariant: the process that creates one holds an advisory lock on its name, which ends with the process. One without the
lock is a leftover.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any, Final

import psycopg
from psycopg import sql

from gateway.databases.catalog import drop_database, refusals
from gateway.databases.name_locks import lockable_prefix, try_lock, unlock
from gateway.databases.roles import PlatformRoles
from gateway.errors import ConnectionFailed
from gateway.naming import RESERVED_PREFIX, DatabaseOwner, owner_facts
from migrations_engine.queries import load_queries

_log: Final = logging.getLogger(__name__)
_QUERIES: Final = load_queries(__package__)
_PREFIX: Final = f"{RESERVED_PREFIX}new_"
CLOSED: Final = sql.SQL(" ALLOW_CONNECTIONS false")


class UnpublishedDatabases:
    """The unpublished databases of a server. Every session is one in the maintenance database."""

    def __init__(self, template: str, *, roles: PlatformRoles | None) -> None:
        """Create the object; opens no connection.

        :param template: what empty databases are copies of
        :param roles: which own the databases of their platforms; None without PLATFORM_ROLES
        """
        self._template = template
        self._roles = roles

    @staticmethod
    def new_name(session: psycopg.Connection[Any]) -> str:
        """Return a new name, which *session* has locked."""
        name = f"{lockable_prefix(session, _PREFIX)}{secrets.token_hex(8)}"
        try_lock(session, name)
        return name

    def prepare_role(self, session: psycopg.Connection[Any], owner: DatabaseOwner) -> bool:
        """Create the role of *owner*'s platform if it is missing, and return whether platforms have roles."""
        if self._roles is not None:
            self._roles.ensure(session, owner.platform)
        return self._roles is not None

    def create_empty(self, session: psycopg.Connection[Any], name: str, *, closed: bool) -> None:
        """Create an empty UTF-8 database, optionally *closed* to connections."""
        encoding = session.execute(_QUERIES["template_encoding"], {"template": self._template}).fetchone()
        if encoding == ("UTF8",):
            template: sql.Composable = sql.SQL("TEMPLATE {}").format(sql.Identifier(self._template))
        else:
            # The server has another encoding. Only the locale C is allowed with every encoding, and only in template0.
            template = sql.SQL("TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            statement = sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(name)) + template
            session.execute(statement + CLOSED if closed else statement)
        except psycopg.errors.ObjectInUse as exc:
            raise ConnectionFailed(
                f"PostgreSQL cannot copy the template database {self._template} while a session is connected to it; "
                "try again, or close that session",
                cause=exc.diag.message_primary,
                sqlstate=exc.sqlstate,
                detail=exc.diag.message_detail,
            ) from exc

    def set_owner(self, session: psycopg.Connection[Any], name: str, owner: DatabaseOwner) -> None:
        """Make the role of *owner*'s platform, if platforms have roles, the owner; no other role may connect then."""
        if self._roles is not None:
            with refusals("make a platform's role the owner of a database", **owner_facts(owner)):
                self._roles.make_owner(session, name, owner.platform)

    def drop(self, session: psycopg.Connection[Any], name: str) -> None:
        """Drop the database. A failure is only logged: it must not hide why the database was not published."""
        if self._roles is not None:
            self._roles.forget(name)
        try:
            drop_database(session, name)
        except psycopg.Error:
            _log.warning("the unfinished database %s is left for the next request to remove", name, exc_info=True)

    def remove_leftovers(self, session: psycopg.Connection[Any]) -> tuple[str, ...]:
        """Drop the databases that ended processes were creating, and return their names."""
        removed = []
        parameters = {"prefix": lockable_prefix(session, _PREFIX)}
        for (name,) in session.execute(_QUERIES["unfinished_databases"], parameters).fetchall():
            if try_lock(session, name):
                drop_database(session, name)
                unlock(session, name)
                removed.append(name)
        return tuple(removed)

"""Scratch databases: empty databases into which schemas are loaded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import psycopg
from psycopg import sql

from migrations_engine.errors import ScratchUnavailable, ServerMessage
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
NAME_PREFIX: Final = "_stonescriptdb_gateway_scratch"  #: of all scratch databases
_PASSING_PREFIX: Final = f"{NAME_PREFIX}_"  #: followed by the time of creation in seconds, and a random part
_ABANDONED_AFTER_SECONDS: Final = 60  #: without a session then, it was left by a crash
#: SQLSTATEs for a database that exists, and for one that another session has created in the meantime.
_EXISTS: Final = frozenset({"42P04", "23505"})

Connect = Callable[[str], AbstractContextManager[psycopg.Connection[Any]]]


@dataclass(frozen=True, kw_only=True)
class ScratchDatabases:
    """Creates and drops scratch databases.

    :param connect: opens an autocommit connection to a database by its name, and closes it after the block
    :param maintenance_database: for CREATE DATABASE and DROP DATABASE
    :param template: the same as that of the databases whose schemas are loaded
    :param owner: the role that owns them and alone may connect; None for the role of the connections
    """

    connect: Connect
    maintenance_database: str = "postgres"
    template: str = "template0"
    owner: str | None = None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a connection in a transaction of an empty database, which is rolled back after the block.

        Concurrent callers wait.

        :raises ScratchUnavailable: the server refused to create the database
        """
        with self.connect(self.maintenance_database) as maintenance:
            self._drop_abandoned(maintenance)
            name = self._kept(maintenance)
        with self.connect(name) as connection, connection.transaction(force_rollback=True):
            connection.execute(_QUERIES["lock_scratch"])
            yield connection

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        """Open an autocommit connection to a new empty database, which is dropped after the block.

        It costs more than :meth:`transaction`, because the server makes a checkpoint for each dropped database.

        :raises ScratchUnavailable: the server refused to create it
        """
        name = f"{_PASSING_PREFIX}{int(time.time())}_{secrets.token_hex(4)}"
        with self.connect(self.maintenance_database) as maintenance:
            self._drop_abandoned(maintenance)
            self._create(maintenance, name)
        try:
            with self.connect(name) as connection:
                yield connection
        finally:
            with self.connect(self.maintenance_database) as maintenance:
                _drop(maintenance, name)

    def _create(self, maintenance: psycopg.Connection[Any], name: str, *, may_exist: bool = False) -> None:
        database = sql.Identifier(name)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, sql.Identifier(self.template))
        if self.owner is not None:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(self.owner))
        try:
            maintenance.execute(statement)
            if self.owner is not None:
                maintenance.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        except psycopg.Error as exc:
            if may_exist and exc.sqlstate in _EXISTS:  # another deploy has created it
                return
            advice = ""
            if isinstance(exc, psycopg.errors.InsufficientPrivilege):
                advice = "; the gateway's role needs CREATEDB"
            elif isinstance(exc, psycopg.errors.ObjectInUse):
                advice = f"; no session may be connected to {self.template}"
            server = ServerMessage.of(exc)
            raise ScratchUnavailable(
                f"the scratch database for reading the schema could not be made: {server.message}{advice}",
                server=server,
            ) from exc

    def _kept(self, maintenance: psycopg.Connection[Any]) -> str:
        """Create the database that is kept, because nothing in it is ever committed, if needed, and return its name."""
        is_usual = self.template == "template0" and self.owner is None
        name = NAME_PREFIX if is_usual else self._name_for(self.owner)
        found = maintenance.execute(_QUERIES["database"], {"name": name}).fetchone()
        if found is not None and self.owner is None and not found[0]:  # the gateway had another role before
            name = self._name_for(found[1])
            found = maintenance.execute(_QUERIES["database"], {"name": name}).fetchone()
        if found is None:
            self._create(maintenance, name, may_exist=True)
        return name

    def _name_for(self, owner: str | None) -> str:
        kind = blake2b(f"{self.template}\0{owner}".encode(), digest_size=8).hexdigest()
        return f"{NAME_PREFIX}_of_{kind}"

    def _drop_abandoned(self, maintenance: psycopg.Connection[Any]) -> None:
        """Drop databases that killed processes have left: old ones without a session."""
        rows = maintenance.execute(_QUERIES["unused_databases"], {"prefix": _PASSING_PREFIX}).fetchall()
        for (name,) in rows:
            made, _, _ = name.removeprefix(_PASSING_PREFIX).partition("_")
            if made.isdigit() and int(made) < time.time() - _ABANDONED_AFTER_SECONDS:
                _drop(maintenance, name)


def scratch_databases_beside(connection: psycopg.Connection[Any]) -> ScratchDatabases:
    """Return scratch databases on the server of *connection*, with its parameters and password."""
    info = connection.info

    @contextmanager
    def connect(database: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(info.dsn, password=info.password or None, dbname=database, autocommit=True) as opened:
            yield opened

    return ScratchDatabases(connect=connect)


def _drop(maintenance: psycopg.Connection[Any], name: str) -> None:
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        maintenance.execute(drop + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:  # by an autovacuum worker, which ends for a drop without FORCE
        maintenance.execute(drop)

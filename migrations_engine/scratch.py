"""Scratch databases: empty ones, in which a schema's files are loaded to learn what PostgreSQL makes of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from migrations_engine.errors import ScratchUnavailable, ServerMessage

NAME_PREFIX: Final = "_stonescriptdb_gateway_scratch_"  #: then the time of making in seconds, and a random part
_ABANDONED_AFTER_SECONDS: Final = 60  #: from its making to its session is a moment; without one it is left by a crash

Connect = Callable[[str], AbstractContextManager[psycopg.Connection[Any]]]


@dataclass(frozen=True, kw_only=True)
class ScratchDatabases:
    """Makes and drops scratch databases.

    :param connect: opens an autocommit connection to a database by its name, and closes it after the block
    :param maintenance_database: where CREATE DATABASE and DROP DATABASE are run
    """

    connect: Connect
    maintenance_database: str = "postgres"

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        """Give an autocommit connection to a new empty database, which is dropped after the block.

        :raises ScratchUnavailable: the server refused to make one
        """
        name = f"{NAME_PREFIX}{int(time.time())}_{secrets.token_hex(4)}"
        with self.connect(self.maintenance_database) as maintenance:
            self._drop_abandoned(maintenance)
            try:
                maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except psycopg.Error as exc:
                raise ScratchUnavailable(
                    f"the scratch database for reading the schema could not be made: {exc}; "
                    "the gateway's role needs CREATEDB",
                    server=ServerMessage.of(exc),
                ) from exc
        try:
            with self.connect(name) as connection:
                yield connection
        finally:
            with self.connect(self.maintenance_database) as maintenance:
                _drop(maintenance, name)

    def _drop_abandoned(self, maintenance: psycopg.Connection[Any]) -> None:
        """Drop what a process that died left behind: too old to be in use, and nobody is connected to it."""
        rows = maintenance.execute(
            "SELECT datname FROM pg_catalog.pg_database d WHERE starts_with(datname, %s)"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)",
            [NAME_PREFIX],
        ).fetchall()
        for (name,) in rows:
            made, _, _ = name.removeprefix(NAME_PREFIX).partition("_")
            if made.isdigit() and int(made) < time.time() - _ABANDONED_AFTER_SECONDS:
                _drop(maintenance, name)


def scratch_databases_beside(connection: psycopg.Connection[Any]) -> ScratchDatabases:
    """Scratch databases on *connection*'s server, reached with its own parameters and password."""
    info = connection.info

    @contextmanager
    def connect(database: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(info.dsn, password=info.password or None, dbname=database, autocommit=True) as opened:
            yield opened

    return ScratchDatabases(connect=connect)


def _drop(maintenance: psycopg.Connection[Any], name: str) -> None:
    maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

"""What tests of the gateway's rooms share: connections without a pool, and database names of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

_numbers = itertools.count()


class PlainConnections:
    """Every lease and every dedicated connection is a connection of its own, made and closed on the spot."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.forgotten: list[str] = []

    @contextmanager
    def lease(self, database: str, *, wait_timeout_seconds: float | None = None) -> Iterator[psycopg.Connection]:
        with psycopg.connect(make_conninfo(self.conninfo, dbname=database), autocommit=True) as connection:
            yield connection

    @contextmanager
    def dedicated(self, database: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(make_conninfo(self.conninfo, dbname=database), autocommit=True) as connection:
            yield connection

    def forget(self, database: str) -> None:
        self.forgotten.append(database)


@pytest.fixture
def connections(postgres_url: str) -> PlainConnections:
    return PlainConnections(postgres_url)


@pytest.fixture
def platform(superuser: psycopg.Connection) -> Iterator[str]:
    """A platform name of this test alone; databases whose name begins with it are dropped afterwards.

    By the superuser, because an ordinary role may not end an autovacuum worker.
    """
    name = f"p{os.getpid()}n{next(_numbers)}"
    yield name
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    for (database,) in superuser.execute(query, [name]).fetchall():
        superuser.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


@pytest.fixture
def databases_named(admin: psycopg.Connection) -> Callable[[str], list[str]]:
    """The databases whose name begins so, straight from the server."""

    def named(prefix: str) -> list[str]:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY datname"
        return [name for (name,) in admin.execute(query, [prefix])]

    return named

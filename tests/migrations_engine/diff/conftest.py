"""An empty database per server version, used again for every case: each works in a transaction that is rolled back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine.catalog import read_catalog
from migrations_engine.model import Catalog
from tests.support.servers import ServerUrls

VERSIONS = (16, 18)
_numbers = count()


class Laboratory:
    """A server where SQL can be tried without trace."""

    def __init__(self, connection: psycopg.Connection, version: int) -> None:
        self.connection = connection
        self.version = version

    def catalog_of(self, text: str) -> Catalog:
        with self.loaded(text):
            return read_catalog(self.connection)

    @contextmanager
    def loaded(self, text: str) -> Iterator[psycopg.Connection]:
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(text.replace("#", "").encode())
            yield self.connection


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"pg{version}")
def laboratory(request, server_urls: Callable[[int], ServerUrls]) -> Iterator[Laboratory]:
    with _laboratory(server_urls(request.param), request.param) as made:
        yield made


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"pg{version}")
def superuser_laboratory(request, server_urls: Callable[[int], ServerUrls]) -> Iterator[Laboratory]:
    """For kinds that an ordinary role cannot make."""
    urls = server_urls(request.param)
    with _laboratory(ServerUrls(ordinary=urls.superuser, superuser=urls.superuser), request.param) as made:
        yield made


@contextmanager
def _laboratory(urls: ServerUrls, version: int) -> Iterator[Laboratory]:
    name = f"test_diff_{os.getpid()}_{next(_numbers)}"
    with ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(urls.ordinary, autocommit=True))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        stack.callback(admin.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        with psycopg.connect(make_conninfo(urls.superuser, dbname=name)) as superuser:
            superuser.execute("CREATE EXTENSION vector")
        conninfo = make_conninfo(urls.ordinary, dbname=name)
        connection = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
        yield Laboratory(connection, version)

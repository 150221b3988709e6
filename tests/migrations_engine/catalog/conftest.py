"""An empty database per server version, where every test works in a transaction that is rolled back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg import sql

from tests.support.servers import ServerUrls, server_versions


@pytest.fixture(scope="session", params=server_versions(16, 18), ids=lambda version: f"pg{version}")
def server(request, server_urls: Callable[[int], ServerUrls]) -> Iterator[psycopg.Connection]:
    """A superuser's connection: the catalog also has what only a superuser can make."""
    name = f"test_catalog_{os.getpid()}_{request.param}"
    url = server_urls(request.param).superuser
    with ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        stack.callback(admin.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        conninfo = psycopg.conninfo.make_conninfo(url, dbname=name)
        yield stack.enter_context(psycopg.connect(conninfo, autocommit=True))


@pytest.fixture
def database(server: psycopg.Connection) -> Iterator[psycopg.Connection]:
    with server.transaction(force_rollback=True):
        yield server

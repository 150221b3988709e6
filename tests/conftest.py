"""Fixtures for all tests: one real PostgreSQL per session and version, databases made from nothing, real gateways."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from gateway.embedded_postgres import DEFAULT_VERSION
from tests.support.running_gateway import Gateway, running_gateway
from tests.support.servers import Servers, ServerUrls

SERVER_VERSION = int(os.environ.get("TEST_POSTGRES_VERSION", DEFAULT_VERSION))
_numbers = itertools.count()


#: Fixtures that start a PostgreSQL, or are for tests that do so themselves.
SERVERS = {"server_urls", "public_path", "own_server", "server_folder", "postgres_server", "deploys"}


def pytest_configure() -> None:
    """Let processes that tests start be interrupted, also if the shell runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a PostgreSQL."""
    for item in items:
        if not SERVERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.fixture(scope="session")
def server_urls() -> Iterator[Callable[[int], ServerUrls]]:
    """Return the URLs of a server of a version, started at its first use (see tests/support/servers.py)."""
    with ExitStack() as stack:
        yield Servers(stack).urls_of


@pytest.fixture(scope="session")
def postgres_servers(server_urls: Callable[[int], ServerUrls]) -> Callable[[int], str]:
    """Return the URL of a server of a version, for an ordinary role with CREATEDB."""
    return lambda version: server_urls(version).ordinary


@pytest.fixture(scope="session")
def postgres_url(postgres_servers: Callable[[int], str]) -> str:
    """The URL of the maintenance database of the session's server, for an ordinary role with CREATEDB."""
    return postgres_servers(SERVER_VERSION)


@pytest.fixture(scope="session")
def superuser_url(server_urls: Callable[[int], ServerUrls]) -> str:
    """The same for the superuser: for what an administrator does, such as making roles."""
    return server_urls(SERVER_VERSION).superuser


@pytest.fixture
def superuser(superuser_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection of the superuser to the maintenance database."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the maintenance database, as the gateway's role."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_database(
    admin: psycopg.Connection, superuser: psycopg.Connection, postgres_url: str
) -> Iterator[Callable[[], str]]:
    """Make an empty database of the gateway's role and return its conninfo; dropped after the test."""
    names: list[str] = []

    def make() -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        names.append(name)
        return psycopg.conninfo.make_conninfo(postgres_url, dbname=name)

    yield make
    for name in names:
        superuser.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def connection(make_database: Callable[[], str]) -> Iterator[psycopg.Connection]:
    """A connection to a new, empty database."""
    with psycopg.connect(make_database()) as connection:
        yield connection


@pytest.fixture(scope="session")
def gateway(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests of the session; each test uses platforms of its own."""
    with running_gateway(postgres_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def start_gateway(postgres_url: str, tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway with settings of its own: ``start_gateway(MAX_TOTAL_CONNECTIONS="10")``; ended with the test."""
    with ExitStack() as stack:

        def start(**settings: str) -> Gateway:
            url = settings.pop("DATABASE_URL", postgres_url)
            return stack.enter_context(running_gateway(url, tmp_path / f"gateway{next(_numbers)}", **settings))

        yield start


@pytest.fixture
def platform() -> str:
    """A platform name that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder like tmp_path whose parents no other test session makes private again.

    As root, an embedded PostgreSQL runs as another user, which must be able to reach its data."""
    with tempfile.TemporaryDirectory(prefix="test-") as folder:
        yield Path(folder)

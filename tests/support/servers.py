"""The PostgreSQL servers of a test session, each started at its first use and shared by all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest

from gateway.embedded_postgres import EmbeddedPostgres, Programs, packaged_programs, programs_in

_MEMORY: Final = Path("/dev/shm")  # a file system in memory: Linux has it, containers often have little of it
_NEEDED_BYTES: Final = 8 << 30  #: the servers of all processes, with the databases that gateways leave


def server_versions(*packaged: int) -> tuple[int, ...]:
    """Return the major versions that a test runs on: *packaged* ones, or that of the one server that is named."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        with psycopg.connect(given) as connection:
            return (connection.info.server_version // 10000,)
    if folder := os.environ.get("TEST_POSTGRES_BIN"):
        return (programs_in(Path(folder)).version,)
    return packaged


def has_vector(connection: psycopg.Connection) -> bool:
    """Whether pgvector can be installed on the server of *connection*."""
    return bool(connection.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'").fetchall())


def require_vector(url: str, text: str) -> None:
    """Skip the test if *text* needs pgvector, and the server behind *url* does not have it."""
    if "vector" in text.replace("tsvector", ""):
        with psycopg.connect(url) as connection:
            if not has_vector(connection):
                pytest.skip("this PostgreSQL has no pgvector")


def some_extension(connection: psycopg.Connection) -> str:
    """Return the name of an extension that the server has: pgvector, or one of contrib."""
    return "vector" if has_vector(connection) else "citext"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUrls:
    """The maintenance database of a server, for the ordinary role that a gateway is to have, and for the superuser."""

    ordinary: str
    superuser: str


class Servers:
    """Servers of several versions, which end with *stack*.

    TEST_POSTGRES_BIN names a folder with the programs of another PostgreSQL, which then is the one for every version.
    TEST_DATABASE_URL names a running server instead, and TEST_SUPERUSER_URL the same for its superuser.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[Programs, ServerUrls] = {}

    def urls_of(self, version: int) -> ServerUrls:
        """Return the URLs of a server of PostgreSQL's major *version*."""
        if given := os.environ.get("TEST_DATABASE_URL"):
            return ServerUrls(ordinary=given, superuser=os.environ.get("TEST_SUPERUSER_URL", given))
        folder = os.environ.get("TEST_POSTGRES_BIN")
        programs = programs_in(Path(folder)) if folder else packaged_programs(version)
        if programs not in self._started:
            self._started[programs] = self._start(programs)
        return self._started[programs]

    def _start(self, programs: Programs) -> ServerUrls:
        folder = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix=f"pg{programs.version}-", dir=_in_memory())
        )
        server = self._stack.enter_context(EmbeddedPostgres(Path(folder), programs=programs, durable=False))
        return ServerUrls(ordinary=server.url, superuser=server.superuser_url)


def _in_memory() -> Path | None:
    """Return a folder in memory if it has room, because thousands of databases are made and dropped; else None."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _NEEDED_BYTES:
        return None
    return _MEMORY

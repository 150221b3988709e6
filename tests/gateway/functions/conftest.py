"""Calls without HTTP and without a pool: one database, one connection, and the gateway's own way of calling."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.events import Events
from gateway.functions import SignatureCache, parse_json, session_options
from gateway.naming import tenant_database
from gateway.operations.call_function import CallAnswer, FunctionCall, call_steps
from gateway.pools import CountedConnection
from gateway.steps import Steps, run

STATEMENT_TIMEOUT_MS = 2_500  # time enough for every call that is not to be timed out
MAX_RESPONSE_BYTES = 100_000


class OneAtATime:
    """A registry with one connection, made anew when it was closed, as a pool of size one would have it."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.connection: CountedConnection | None = None
        self.leases = 0

    def take_idle(self, _: str) -> None:
        return None

    def lease_steps(self, _: str) -> Steps[CountedConnection]:
        yield from ()
        self.leases += 1
        if self.connection is None or self.connection.closed:
            settings = session_options(statement_timeout_ms=STATEMENT_TIMEOUT_MS, lock_timeout_ms=500)
            options = " ".join(f"-c {name}={value}" for name, value in settings.items())
            conninfo = make_conninfo(self.conninfo, options=options)
            self.connection = CountedConnection.connect(conninfo, connect_timeout=10)
        return self.connection

    def give_back(self, connection: psycopg.Connection) -> None:
        """Keep it for the next lease."""

    @contextmanager
    def lease(self, database: str) -> Iterator[CountedConnection]:
        connection = run(self.lease_steps(database))
        try:
            yield connection
        finally:
            self.give_back(connection)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


class Caller:
    """A gateway reduced to what a call needs."""

    def __init__(self, conninfo: str, schemas: tuple[str, ...] = ("public",)) -> None:
        self.conninfo = conninfo
        self.owner = tenant_database("tests")
        self.registry = OneAtATime(conninfo)
        found = SimpleNamespace(name="tests", oid=1)
        self.services: Any = SimpleNamespace(
            settings=SimpleNamespace(
                max_connections_per_pool=3,
                max_response_bytes=MAX_RESPONSE_BYTES,
                statement_timeout_ms=STATEMENT_TIMEOUT_MS,
            ),
            registry=self.registry,
            directory=SimpleNamespace(remembered=lambda _: found, was_asked=lambda _: True, is_open_on=lambda *_: True),
            signatures=SignatureCache(schemas=schemas),
            events=Events(),
        )

    def answer(self, function: str, params: Any = (), peer: Any = None) -> CallAnswer:
        """Call with *params* as Python has them, or as the bytes of their JSON."""
        read = parse_json(params if isinstance(params, bytes) else json.dumps(params).encode())
        return run(call_steps(self.services, FunctionCall(owner=self.owner, function=function, params=read)), peer)

    def rows(self, function: str, params: Any = ()) -> list[dict[str, Any]]:
        return json.loads(self.answer(function, params).rows)

    def value(self, function: str, params: Any = ()) -> Any:
        """The only value of the only row."""
        (row,) = self.rows(function, params)
        (value,) = row.values()
        return value

    def raw(self, function: str, params: Any = ()) -> str:
        """The JSON of the rows as it would be sent."""
        return self.answer(function, params).rows.decode()

    @property
    def backend(self) -> int:
        assert self.registry.connection is not None
        return self.registry.connection.info.backend_pid


@pytest.fixture
def conninfo(make_database: Callable[[], str]) -> str:
    return make_database()


@pytest.fixture
def owner(conninfo: str) -> Iterator[psycopg.Connection]:
    """Another connection to the database of the calls, for the statements of a deploy or a person."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture
def administrator(conninfo: str, superuser_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the database of the calls."""
    database = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
    with psycopg.connect(psycopg.conninfo.make_conninfo(superuser_url, dbname=database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def caller(conninfo: str) -> Iterator[Caller]:
    caller = Caller(conninfo)
    yield caller
    caller.registry.close()

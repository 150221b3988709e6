"""A registry of the test's own, and databases by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.pools import ConnectionRegistry, PoolOptions
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def make_registry(postgres_url: str, tmp_path: Path) -> Iterator[Callable[..., ConnectionRegistry]]:
    """Create and open a registry with changed settings; one per process and test, or with another path."""
    made: list[ConnectionRegistry] = []

    def make(**changes) -> ConnectionRegistry:
        settings: dict[str, Any] = {
            "conninfo": postgres_url,
            "max_total_connections": 5,
            "max_connections_per_pool": 3,
            "max_pools": 5,
            "idle_timeout_seconds": 60,
            "max_lifetime_seconds": 60,
            "wait_timeout_seconds": PATIENCE_SECONDS,  # no lease is refused because the machine is slow
            "slots_path": tmp_path / "slots",
        }
        settings |= changes
        settings["max_total_connections"] += 1  # the one for looking after lost connections, which no test leases
        registry = ConnectionRegistry(PoolOptions(**settings))
        registry.open()
        made.append(registry)
        return registry

    yield make
    for registry in made:
        registry.close()


@pytest.fixture
def databases(make_database: Callable[[], str]) -> Callable[[int], list[str]]:
    """Create so many databases, and return their names."""
    return lambda count: [str(conninfo_to_dict(make_database())["dbname"]) for _ in range(count)]


@pytest.fixture
def backends(admin: psycopg.Connection) -> Callable[[], dict[str, list[int]]]:
    """The process ids of the gateway's backends in databases of this test session, as PostgreSQL has them now.

    Other tests keep a gateway running on the same server, with databases of other names.
    """

    def read() -> dict[str, list[int]]:
        rows = admin.execute(
            "SELECT datname, pid FROM pg_stat_activity"
            " WHERE starts_with(application_name, 'stonescriptdb-gateway') AND starts_with(datname, 'test_')"
        )
        found: dict[str, list[int]] = {}
        for database, pid in rows:
            found.setdefault(database, []).append(pid)
        return found

    return read


def pid_of(registry: ConnectionRegistry, database: str) -> int:
    """Lease a connection and return it; return the process id of its backend."""
    with registry.lease(database) as connection:
        assert connection.info.dbname == database
        return connection.info.backend_pid

"""What the operations work with: the rooms of this process, joined once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from socket import gethostname
from threading import Semaphore
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gateway.databases import DatabaseDirectory, DatabaseMaker, ManagedDatabase, facts_of
from gateway.errors import DatabaseNotFound, PoolExhausted
from gateway.functions import SignatureCache, clean, needs_cleaning, session_options
from gateway.naming import DatabaseOwner
from gateway.operations.check_server import ServerCheck
from gateway.pools import ConnectionRegistry
from gateway.settings import Settings
from migrations_engine import DesiredSchemas, ScratchDatabases

_CONNECTIONS_OF_A_DEPLOY: Final = 3  #: to its database, for the lock on a new one's name, and to a scratch database


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The rooms of one process. Made before the fork, opened in the worker after it.

    :ivar deploy_turns: as many as there can be deploys in this process without one waiting for another's connections
    :ivar started_at: ``time.monotonic()`` of the gateway's start, the same in all its workers
    """

    settings: Settings
    registry: ConnectionRegistry
    directory: DatabaseDirectory
    maker: DatabaseMaker
    signatures: SignatureCache
    scratch: ScratchDatabases
    desired_schemas: DesiredSchemas
    deploy_turns: Semaphore
    server_check: ServerCheck
    started_at: float

    def open(self) -> None:
        """Let connections be made."""
        self.registry.open()

    def close(self) -> None:
        """Close every connection."""
        self.registry.close()


def join_rooms(settings: Settings) -> Services:
    """Make the rooms of a process as *settings* say; nothing is opened."""
    registry = ConnectionRegistry(
        conninfo=settings.conninfo,
        max_total_connections=settings.max_total_connections,
        max_connections_per_pool=settings.max_connections_per_pool,
        max_pools=settings.max_pools,
        idle_timeout_seconds=settings.pool_idle_timeout_seconds,
        max_lifetime_seconds=settings.pool_max_lifetime_seconds,
        wait_timeout_seconds=settings.pool_wait_timeout_seconds,
        slots_path=_budget_file(settings),
        session_options=session_options(
            statement_timeout_ms=settings.statement_timeout_ms, lock_timeout_ms=settings.lock_timeout_ms
        ),
        reset=clean,
        needs_reset=needs_cleaning,
    )
    maintenance = settings.maintenance_database

    def ask_server() -> None:
        with registry.lease(maintenance) as connection:
            connection.execute("SELECT 1")

    return Services(
        settings=settings,
        registry=registry,
        directory=DatabaseDirectory(registry, maintenance_database=maintenance),
        maker=DatabaseMaker(
            registry, maintenance_database=maintenance, wait_seconds=settings.deploy_wait_timeout_seconds
        ),
        signatures=SignatureCache(schemas=settings.callable_schemas, changes=registry.changes),
        scratch=ScratchDatabases(connect=registry.dedicated, maintenance_database=maintenance),
        desired_schemas=DesiredSchemas(),
        deploy_turns=Semaphore(max(1, settings.max_total_connections // (settings.workers * _CONNECTIONS_OF_A_DEPLOY))),
        server_check=ServerCheck(ask_server),
        started_at=time.monotonic(),
    )


def _budget_file(settings: Settings) -> Path:
    """Where the workers of this gateway, old and new ones in a reload, count their connections.

    One file per gateway, machine and server: DATA_DIR may be shared by gateways, also of several machines.
    """
    server = conninfo_to_dict(settings.conninfo)
    address = ",".join(str(server.get(name)) for name in ("host", "hostaddr", "port"))
    key = blake2b(address.encode(), digest_size=4).hexdigest()
    return settings.data_dir / ".connections" / f"{gethostname()}-{settings.gateway_port}-{key}"


@contextmanager
def deploy_turn(services: Services) -> Iterator[None]:
    """Wait until this process may begin another deploy, or another making of a database.

    Each needs several connections, the later ones while it has the earlier. If more were begun than the budget can
    finish, all of them would wait for connections that only the others have.

    :raises PoolExhausted: it was nobody's turn to end within the wait limit of deploys
    """
    if not services.deploy_turns.acquire(timeout=services.settings.deploy_wait_timeout_seconds):
        raise PoolExhausted("other deploys have been running for too long; try again")
    try:
        yield
    finally:
        services.deploy_turns.release()


@contextmanager
def dedicated_to(services: Services, database: ManagedDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own to exactly this database, for a deploy.

    :raises DatabaseNotFound: it has been dropped since it was looked up, also if another one has its name now
    """
    with services.registry.dedicated(database.name) as connection:
        if not services.directory.is_open_on(connection, database):
            raise DatabaseNotFound(f"the database {database.name!r} does not exist", **facts_of(database.owner))
        try:
            yield connection
        finally:
            services.registry.changed(database.name)


@contextmanager
def lease_for_call(services: Services, owner: DatabaseOwner) -> Iterator[psycopg.Connection[Any]]:
    """A pooled connection to the database that calls for *owner* reach, whoever was remembered as its owner before.

    :raises DatabaseNotFound: there is none, told at once
    :raises DatabaseNameConflict: the database of this name is somebody else's
    """
    for _ in range(2):
        database = services.directory.find_for_call(owner)
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(services.registry.lease(database.name))
            except DatabaseNotFound:
                connection = None
            if connection is not None and services.directory.is_open_on(connection, database):
                yield connection
                return
        # What was remembered is not so any more: the database was dropped, or another one has its name.
        services.directory.forget(owner)
        services.registry.forget(database.name)
    raise DatabaseNotFound(f"the database {owner.database_name!r} does not exist", **facts_of(owner))

"""The parts of one process, and how they are built from the settings."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from socket import gethostname
from threading import Semaphore
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gateway.databases import DatabaseDirectory, DatabaseLifecycle, KeptCopies, PlatformRoles
from gateway.events import Events
from gateway.functions import SignatureCache, clean, needs_cleaning, session_options
from gateway.platforms import DeployLog, PlatformRegistry
from gateway.pools import ConnectionRegistry, PoolOptions
from gateway.pools.server_check import ServerCheck
from gateway.security.concurrency import ConcurrencyLimit
from gateway.settings import Settings
from migrations_engine import CheckedSchemas, DesiredSchemas, ScratchDatabases

_CONNECTIONS_OF_A_DEPLOY: Final = 3  #: to its database, for the lock on a new one's name, and to a scratch database


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one process. Built before the fork, opened in the worker after it.

    :ivar roles: the roles of platforms; None if PLATFORM_ROLES is off
    :ivar deploy_turns: limits the deploys of this process, so that none waits for connections that others hold
    :ivar concurrency: limits the calls and queries of this process for each database
    :ivar started_at: ``time.monotonic()`` of the gateway's start, the same in all its workers
    """

    settings: Settings
    events: Events
    registry: ConnectionRegistry
    directory: DatabaseDirectory
    lifecycle: DatabaseLifecycle
    roles: PlatformRoles | None
    signatures: SignatureCache
    scratch: ScratchDatabases
    checked_schemas: CheckedSchemas
    desired_schemas: DesiredSchemas
    platforms: PlatformRegistry
    deploy_log: DeployLog
    copies: KeptCopies
    deploy_turns: Semaphore
    concurrency: ConcurrencyLimit
    server_check: ServerCheck
    started_at: float

    def scratch_of(self, platform: str) -> ScratchDatabases:
        """Return the scratch databases for a platform's schemas; they use its role if it has one."""
        roles = self.roles
        if roles is None:
            return self.scratch

        def connect(database: str) -> AbstractContextManager[psycopg.Connection[Any]]:
            if database != self.scratch.maintenance_database:
                roles.remember(database, platform)
            return self.registry.dedicated(database)

        return replace(self.scratch, connect=connect, owner=roles.role_of(platform))

    def open(self) -> None:
        """Allow connections to be made."""
        self.registry.open()

    def close(self) -> None:
        """Close every connection."""
        self.registry.close()


def build_services(settings: Settings) -> Services:
    """Return the services for *settings*. Opens nothing."""
    maintenance, events, roles = settings.maintenance_database, Events(), _build_roles(settings)
    registry = _build_registry(settings, roles, events)
    return Services(
        settings=settings,
        events=events,
        registry=registry,
        directory=DatabaseDirectory(registry, maintenance_database=maintenance, roles=roles),
        lifecycle=DatabaseLifecycle(
            registry,
            maintenance_database=maintenance,
            wait_seconds=settings.deploy_wait_timeout_seconds,
            most_templates=settings.template_databases,
            new_database_template=settings.new_database_template,
            roles=roles,
            events=events,
        ),
        roles=roles,
        signatures=SignatureCache(schemas=settings.callable_schemas, changes=registry.changes),
        scratch=ScratchDatabases(
            connect=registry.dedicated, maintenance_database=maintenance, template=settings.new_database_template
        ),
        checked_schemas=CheckedSchemas(),
        desired_schemas=DesiredSchemas(),
        platforms=PlatformRegistry(settings.data_dir),
        deploy_log=DeployLog(settings.data_dir),
        copies=KeptCopies(
            registry,
            maintenance_database=maintenance,
            most_bytes=settings.undo_copies_max_bytes,
            keep_seconds=settings.undo_keep_seconds,
            roles=roles,
        ),
        deploy_turns=Semaphore(_deploys_at_once(settings)),
        concurrency=ConcurrencyLimit(settings.requests_per_database),
        server_check=ServerCheck(partial(_ping, registry, maintenance), doubts=registry.has_lost_connections),
        started_at=time.monotonic(),
    )


def _build_roles(settings: Settings) -> PlatformRoles | None:
    if not settings.platform_roles:
        return None
    return PlatformRoles(settings.role_secret_file, maintenance_database=settings.maintenance_database)


def _build_registry(settings: Settings, roles: PlatformRoles | None, events: Events) -> ConnectionRegistry:
    options = PoolOptions(
        conninfo=settings.conninfo,
        max_total_connections=settings.max_total_connections,
        max_connections_per_pool=settings.max_connections_per_pool,
        max_pools=settings.max_pools,
        idle_timeout_seconds=settings.pool_idle_timeout_seconds,
        max_lifetime_seconds=settings.pool_max_lifetime_seconds,
        wait_timeout_seconds=settings.pool_wait_timeout_seconds,
        parallel_deploy_statements=settings.parallel_deploy_statements,
        slots_path=_budget_file(settings),
        session_options=session_options(
            statement_timeout_ms=settings.statement_timeout_ms, lock_timeout_ms=settings.lock_timeout_ms
        ),
        clean=clean,
        needs_cleaning=needs_cleaning,
        login_to=roles.login_to if roles else lambda _: {},
        events=events,
    )
    return ConnectionRegistry(options)


def _ping(registry: ConnectionRegistry, database: str) -> None:
    with registry.lease(database) as connection:
        connection.execute("SELECT 1")


def _deploys_at_once(settings: Settings) -> int:
    """Return how many deploys of this process can have all their connections at the same time."""
    return max(1, settings.max_total_connections // (settings.workers * _CONNECTIONS_OF_A_DEPLOY))


def _budget_file(settings: Settings) -> Path:
    """Return the file in which the workers of this gateway count their connections, old and new ones in a reload.

    The name differs per gateway, machine and server: DATA_DIR may be shared by gateways, also of several machines.
    """
    server = conninfo_to_dict(settings.conninfo)
    address = ",".join(str(server.get(name)) for name in ("host", "hostaddr", "port"))
    key = blake2b(address.encode(), digest_size=4).hexdigest()
    return settings.data_dir / ".connections" / f"{gethostname()}-{settings.gateway_port}-{key}"

"""The options of the pools of a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.events import Events
from gateway.pools.connection import CountedConnection
from gateway.pools.conninfo import maintenance_database
from gateway.pools.snapshot import Limits
from gateway.pools.table import database_key


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """The options of a registry and its pools.

    :ivar conninfo: of the maintenance database, as libpq takes it
    :ivar max_total_connections: that may exist at any time: all databases, all workers sharing *slots_path*, and one
        that is reserved for checking lost connections
    :ivar max_connections_per_pool: to one database, all workers; does not hold for the maintenance database
    :ivar max_pools: databases this process keeps connections to; more only while all of them are in use
    :ivar idle_timeout_seconds: after which an idle connection is closed
    :ivar max_lifetime_seconds: after which a connection is closed instead of being put back
    :ivar wait_timeout_seconds: how long a lease waits for its turn
    :ivar parallel_deploy_statements: of dedicated connections that run at a time while calls run
    :ivar slots_path: the file through which the workers of this machine share the budget; one per PostgreSQL
    :ivar session_options: initial settings of each session of a pool; dedicated connections have no time-outs
    :ivar clean: cleans the session of a returned connection, on another thread
    :ivar needs_cleaning: returns whether a returned connection must be cleaned; cheap. One that need not may be in the
        middle of a statement: its cleaning was sent, and the next lease reads the answer, or calls *clean*
    :ivar login_to: the ``user`` and ``password`` for a database, if they are not those of *conninfo*
    :ivar events: where leases and evictions are emitted
    """

    conninfo: str
    max_total_connections: int
    max_connections_per_pool: int
    max_pools: int
    idle_timeout_seconds: float
    max_lifetime_seconds: float
    wait_timeout_seconds: float
    slots_path: Path
    parallel_deploy_statements: int = 1
    session_options: Mapping[str, str] = field(default_factory=dict)
    clean: Callable[[CountedConnection], None] | None = None
    needs_cleaning: Callable[[CountedConnection], bool] = lambda _: True
    login_to: Callable[[str], Mapping[str, str]] = lambda _: {}
    events: Events = field(default_factory=Events)

    @property
    def limits(self) -> Limits:
        """The limits of the budget."""
        return Limits(
            total=self.max_total_connections - 1,
            per_database=self.max_connections_per_pool,
            unlimited_key=database_key(maintenance_database(self.conninfo)),
        )

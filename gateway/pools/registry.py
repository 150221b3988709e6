"""The connections of one worker process: a pool per database, within a budget shared by all workers."""

from __future__ import annotations

import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, cast

import psycopg
from psycopg_pool import PoolClosed

from gateway.errors import ConnectionFailed
from gateway.pools.budget import Budget
from gateway.pools.connection import CountedConnection
from gateway.pools.connector import Connector, failure, maintenance_database
from gateway.pools.orphans import Reaper
from gateway.pools.pool import Cleaner, NeedsCleaning, TaskThreads, TenantPool
from gateway.pools.snapshot import Limits
from gateway.pools.table import SharedTable, database_key
from gateway.pools.watcher import Watcher
from gateway.queries import load_queries
from gateway.steps import Steps, run

CLOSE_SECONDS: Final = 5.0  #: how long closing waits for leases to end, and then backends
CLOSE_POLL_SECONDS: Final = 0.01
LOOKUP_SECONDS: Final = 1.0  #: the wait limit for questions of our own, asked while a request waits
EMPTY_POOLS: Final = 2000  #: kept, some 5 kB each, where the budget alone limits how many have a connection
SWEEP_SECONDS: Final = 2.0  #: between looks for connections that are idle for too long, and for orphans


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """The budget over all workers of the machine, and what this process asked of it."""

    active_pools: int  #: databases that have a connection
    total_connections: int  #: connections that exist, those just beginning and ending included
    max_total_connections: int
    hits: int  #: leases of this process served by an idle connection
    misses: int  #: leases of this process that had to wait, or to connect


class Lease:
    """A connection of a pool for the time of a ``with`` statement."""

    __slots__ = ("_connection", "_database", "_registry", "_timeout")

    def __init__(self, registry: ConnectionRegistry, database: str, timeout: float) -> None:
        self._registry = registry
        self._database = database
        self._timeout = timeout

    def __enter__(self) -> CountedConnection:
        self._connection = run(self._registry.lease_steps(self._database, self._timeout))
        return self._connection

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._registry.give_back(self._connection)


class ConnectionRegistry:
    """All connections of this process. Made before the fork, where it holds nothing; opened in the worker."""

    def __init__(
        self,
        *,
        conninfo: str,
        max_total_connections: int,
        max_connections_per_pool: int,
        max_pools: int,
        idle_timeout_seconds: float,
        max_lifetime_seconds: float,
        wait_timeout_seconds: float,
        slots_path: Path,
        session_options: Mapping[str, str] | None = None,
        reset: Cleaner | None = None,
        needs_reset: NeedsCleaning = lambda _: True,
        login_to: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """Nothing is opened yet.

        :param conninfo: of the maintenance database, as libpq takes it
        :param max_total_connections: that may exist at any moment: all databases, all workers sharing *slots_path*, and
            one that is kept for looking after connections that were lost
        :param max_connections_per_pool: to one database, all workers; does not hold for the maintenance database
        :param max_pools: databases this process keeps connections to; more only while all of them are in use
        :param idle_timeout_seconds: after which a connection nobody used is closed
        :param max_lifetime_seconds: after which a connection is closed instead of being put back
        :param wait_timeout_seconds: how long a lease waits for its turn
        :param slots_path: the file through which the workers of this machine share the budget; one per PostgreSQL
        :param session_options: settings each session of a pool begins with; dedicated connections have the server's
        :param reset: brings a session given back to its beginning, on another thread
        :param needs_reset: whether a session given back has to be reset at all. One that need not may be in the middle
            of a statement: its cleaning is under way, and whoever leases it next reads the answer, or calls *reset*
        :param login_to: the ``user`` and ``password`` for a database, if they are not those of *conninfo*
        """
        self._conninfo = conninfo
        self._limits = Limits(
            total=max_total_connections - 1,
            per_database=max_connections_per_pool,
            unlimited_key=database_key(maintenance_database(conninfo)),
        )
        # A pool without connections costs next to nothing, making it anew half as much as a call.
        self._max_pools = max_pools if max_pools < max_total_connections else max(max_pools, EMPTY_POOLS)
        self._idle_timeout = idle_timeout_seconds
        self._max_lifetime = max_lifetime_seconds
        self._wait_timeout = wait_timeout_seconds
        self._slots_path = slots_path
        self._session_options = dict(session_options or {})
        self._reset = reset
        self._needs_reset = needs_reset
        self._login_to = login_to
        self._pools: dict[str, TenantPool] = {}
        self._opened = False

    def open(self) -> None:
        """Join the budget and start the threads. In the worker, once.

        :raises OSError: the file of the budget cannot be used
        """
        allow_descriptors(2 * self._limits.total)
        self._lock = threading.Lock()  # held for the registry's own dictionary only; closing happens outside
        self._past: Counter[str] = Counter()  # statistics of pools that are no more
        self._queries = load_queries("gateway.pools")
        self._table = SharedTable(self._slots_path)
        self._budget = Budget(self._table, self._limits, evict=self._evict, reap=self._want_reaping)
        self._watcher = Watcher(
            bell=self._table.bell,
            budget=self._budget,
            on_lost=self._on_lost,
            sweep=self._sweep,
            sweep_seconds=min(SWEEP_SECONDS, self._idle_timeout / 2),
        )
        self._connector = Connector(
            conninfo=self._conninfo,
            session_options=self._session_options,
            budget=self._budget,
            watcher=self._watcher,
            exists=self._exists,
            login_to=self._login_to,
        )
        self._reaper = Reaper(
            budget=self._budget, connection=self._connector.observer, query=self._queries["backends_still_there"]
        )
        self._tasks = TaskThreads()
        self._watcher.start()
        self._opened = True
        self._reaper.wanted()

    def close(self) -> None:
        """Refuse new leases, close every connection as it comes back, stop the threads and leave the budget.

        A connection that is not given back within CLOSE_SECONDS is cut off.
        """
        if not self._opened:
            return
        self._opened = False
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        deadline = monotonic() + CLOSE_SECONDS
        while self._budget.own_slots() and monotonic() < deadline:
            sleep(CLOSE_POLL_SECONDS)
        self._tasks.stop()
        self._reaper.stop()
        self._watcher.stop()
        self._table.close()

    def lease(self, database: str, *, wait_timeout_seconds: float | None = None) -> Lease:
        """A pooled autocommit connection, to be used in a ``with`` statement by one thread.

        :raises PoolExhausted: none became free within the wait limit
        :raises ConnectionFailed: PostgreSQL is away, or refuses the connection
        :raises DatabaseNotFound: the server has no such database
        """
        return Lease(self, database, self._wait_timeout if wait_timeout_seconds is None else wait_timeout_seconds)

    def lease_steps(self, database: str, wait_timeout_seconds: float | None = None) -> Steps[CountedConnection]:
        """The same connection until :meth:`give_back`, for work written as steps.

        :raises GatewayError: as :meth:`lease`
        :raises ClientGone: the client is gone, for whom it was wanted
        """
        timeout = self._wait_timeout if wait_timeout_seconds is None else wait_timeout_seconds
        while True:
            try:
                return (yield from self.pool_of(database).lease_steps(timeout))
            except PoolClosed:  # to make room for another pool, just now; a closed registry has no pools to give
                continue

    def give_back(self, connection: CountedConnection) -> None:
        """Take back what was leased. Never waits."""
        cast(TenantPool, connection._pool).give_back(connection)

    @contextmanager
    def dedicated(self, database: str, *, wait_timeout_seconds: float | None = None) -> Iterator[CountedConnection]:
        """An autocommit connection of one's own, within the budget, for administration and deploys.

        It is made anew with the server's own settings, goes before calls when connections are scarce, and at the end
        of the ``with`` statement its backend is gone, or is being looked after.

        :raises GatewayError: as ``lease``
        """
        timeout = self._wait_timeout if wait_timeout_seconds is None else wait_timeout_seconds
        self._check_open()
        connection = self._connector.dedicated(database, monotonic() + timeout)
        try:
            yield connection
        finally:
            self._connector.end(connection)

    def forget(self, database: str) -> None:
        """Close every idle connection to *database*, in all workers; this process's are gone when it returns."""
        with self._lock:
            pool = self._pools.pop(database, None)
        if pool is not None:
            self._retire(pool)
        self._budget.close_idle(database_key(database))
        deadline = monotonic() + CLOSE_SECONDS
        for link in self._watcher.links():
            connection = link.connection()
            if link.deadline < float("inf") and (connection is None or connection.database == database):
                link.gone.wait(max(0.0, deadline - monotonic()))

    def changed(self, database: str) -> None:
        """Let every worker know that something was deployed to *database*."""
        self._budget.changed(database_key(database))

    def changes(self, database: str) -> int:
        """A number that becomes another one whenever a worker says ``changed``; rarely also for no reason."""
        return self._budget.changes(database_key(database))

    def statistics(self) -> PoolStatistics:
        """The state of the budget now. Asks nothing of PostgreSQL."""
        connections, databases = self._budget.existing(held_only=self._connector.outage.known)
        with self._lock:
            counts = self._past.copy()
            pools = list(self._pools.values())
        for pool in pools:
            counts.update(pool.requests())
        return PoolStatistics(
            active_pools=databases,
            total_connections=connections,
            max_total_connections=self._limits.total + 1,
            hits=counts["requests_num"] - counts["requests_queued"],
            misses=counts["requests_queued"],
        )

    def has_lost_connections(self) -> bool:
        """Whether a worker has lost a connection of which it is not known what has become of it. Cheap."""
        return self._budget.has_lost()

    def pool_of(self, database: str) -> TenantPool:
        """The pool of a database, made now if there is none."""
        pool = self._pools.get(database)
        if pool is None:
            pool = self._make_pool(database)
        pool.used_at = monotonic()
        return pool

    def _check_open(self) -> None:
        if not self._opened:
            raise ConnectionFailed("the gateway is stopping", retry_after=1)

    def _make_pool(self, database: str) -> TenantPool:
        self._check_open()
        pool = TenantPool(
            database,
            connector=self._connector,
            budget=self._budget,
            submit=self._tasks.submit,
            max_size=self._limits.total,
            wait_timeout_seconds=self._wait_timeout,
            max_lifetime_seconds=self._max_lifetime,
            clean=self._reset,
            needs_cleaning=self._needs_reset,
        )
        with self._lock:
            self._check_open()
            if (known := self._pools.get(database)) is not None:
                return known
            retired = self._oldest_unused() if len(self._pools) >= self._max_pools else []
            for oldest in retired:
                del self._pools[oldest.name]
            pool.open()
            self._pools[database] = pool
        for oldest in retired:
            self._retire(oldest)
        return pool

    def _oldest_unused(self) -> list[TenantPool]:
        """One, or where there are very many, so many at once that this is seldom needed."""
        unused = (pool for pool in self._pools.values() if not pool.in_use)
        return nsmallest(1 + len(self._pools) // EMPTY_POOLS * 100, unused, key=lambda pool: pool.used_at)

    def _retire(self, pool: TenantPool) -> None:
        pool.close()
        with self._lock:
            self._past.update(pool.requests())

    def _exists(self, database: str) -> bool:
        """Whether the server has the database.

        :raises GatewayError: it cannot be asked
        """
        for _ in range(2):  # an idle connection may turn out to be dead
            try:
                with self.lease(self._connector.maintenance, wait_timeout_seconds=LOOKUP_SECONDS) as connection:
                    row = connection.execute(self._queries["database_exists"], [database]).fetchone()
                    return bool(row and row[0])
            except psycopg.Error as error:
                cause = str(error)
        raise failure(cause)

    def _evict(self, slot: int) -> None:
        self._close_if_idle(self._watcher.connection_of(slot))

    def _on_lost(self, connection: CountedConnection | None) -> None:
        self._close_if_idle(connection)
        self._reaper.wanted()

    def _want_reaping(self) -> None:
        self._reaper.wanted()

    def _close_if_idle(self, connection: CountedConnection | None) -> None:
        pool = self._pools.get(connection.database) if connection is not None else None
        if pool is not None:
            pool.close_idle(lambda candidate: candidate is connection)

    def _sweep(self) -> None:
        """Close what is idle for too long, and pools that have nothing left; look for orphans."""
        now = monotonic()
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.close_idle(partial(pool.is_stale, now, self._idle_timeout))
            if pool.idle_count or pool.in_use or pool.used_at > now - self._idle_timeout:
                continue
            with self._lock:
                unused = not pool.in_use and self._pools.get(pool.name) is pool
                if unused:
                    del self._pools[pool.name]
            if unused:
                self._retire(pool)
        self._reaper.wanted()


def allow_descriptors(count: int) -> None:
    """Raise the soft limit of open files by *count*, as far as the hard limit lets: a connection has two of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1024 + count
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))

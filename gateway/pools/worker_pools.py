"""The pools of one worker process, within a budget shared by all workers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from heapq import nsmallest
from time import monotonic, sleep
from typing import Final, cast

import psycopg
from psycopg_pool import PoolClosed

from gateway.errors import ConnectionFailed
from gateway.events import ConnectionEvicted
from gateway.pools.budget import Budget
from gateway.pools.connection import CountedConnection
from gateway.pools.connector import Connector
from gateway.pools.occupancy import Occupancy, PoolStatistics
from gateway.pools.options import PoolOptions
from gateway.pools.orphans import Reaper
from gateway.pools.outage import failure
from gateway.pools.pool import TenantPool
from gateway.pools.table import SharedTable, database_key
from gateway.pools.tasks import TaskThreads
from gateway.pools.watcher import Watcher, allow_descriptors
from gateway.steps import Steps, run
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
CLOSE_SECONDS: Final = 5.0  #: how long closing waits for leases to end, and then backends
CLOSE_POLL_SECONDS: Final = 0.01
LOOKUP_SECONDS: Final = 1.0  #: the wait limit for the gateway's own queries while a request waits
EMPTY_POOLS: Final = 2000  #: kept, some 5 kB each, where the budget alone limits how many have a connection
SWEEP_SECONDS: Final = 2.0  #: between two checks for connections that are idle for too long, and for orphans


class WorkerPools:
    """A pool per database, the budget of the process, and the threads that check both."""

    def __init__(self, options: PoolOptions) -> None:
        """Join the budget and start the threads.

        :raises OSError: the file of the budget cannot be used
        """
        self._limits = limits = options.limits
        allow_descriptors(2 * limits.total)
        self._options = options
        # An empty pool costs almost nothing; to create it again costs half as much as a call.
        few = options.max_pools <= limits.total
        self._max_pools = options.max_pools if few else max(options.max_pools, EMPTY_POOLS)
        self._pools: dict[str, TenantPool] = {}
        self._closing = False
        self._lock = threading.Lock()  # held for the dictionary of pools only; closing happens outside
        self._past: Counter[str] = Counter()  # statistics of removed pools
        self._table = SharedTable(options.slots_path)
        self.budget = Budget(self._table, limits, evict=self._evict, reap=self._start_reaper)
        self._watcher = Watcher(
            pipe=self._table.pipe,
            budget=self.budget,
            on_lost=self._on_lost,
            sweep=self._sweep,
            sweep_seconds=min(SWEEP_SECONDS, options.idle_timeout_seconds / 2),
        )
        self._connector = Connector(options, budget=self.budget, watcher=self._watcher, exists=self._exists)
        self._reaper = Reaper(
            budget=self.budget, connection=self._connector.observer, query=_QUERIES["backends_still_there"]
        )
        self._tasks = TaskThreads()
        self._watcher.start()
        self._reaper.start()

    def close(self) -> None:
        """Refuse new leases, close each connection when it is given back, stop the threads and leave the budget.

        A connection that is not given back within CLOSE_SECONDS becomes an orphan. A second call does nothing.
        """
        if self._closing:
            return
        self._closing = True
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        deadline = monotonic() + CLOSE_SECONDS
        while self.budget.own_slots() and monotonic() < deadline:
            sleep(CLOSE_POLL_SECONDS)
        self._tasks.stop()
        self._reaper.stop()
        self._watcher.stop()
        self._table.close()

    def take_idle(self, database: str) -> CountedConnection | None:
        """Lease an idle connection until it is given back; return None if there is none."""
        pool = self._pools.get(database)
        if pool is None:
            return None
        pool.used_at = monotonic()
        return pool.take_idle()

    def lease_steps(self, database: str, timeout: float) -> Steps[CountedConnection]:
        """Lease a connection until it is returned to its pool; wait for it up to *timeout* seconds.

        :raises GatewayError: as ``ConnectionRegistry.lease``
        :raises ClientGone: the client of the work has disconnected
        """
        while True:
            try:
                return (yield from self.pool_of(database).lease_steps(timeout))
            except PoolClosed:  # it was removed to make room for another one; while closing, pool_of raises
                continue

    def give_back(self, connection: CountedConnection) -> None:
        """Return a leased connection to its pool. Never waits."""
        if connection.database != self._connector.maintenance:
            self.budget.call_ended()
        cast(TenantPool, connection._pool).give_back(connection)

    @contextmanager
    def dedicated(self, database: str, timeout: float) -> Iterator[CountedConnection]:
        """Open a connection outside the pools, see ``ConnectionRegistry.dedicated``."""
        self._check_open()
        connection = self._connector.dedicated(database, monotonic() + timeout)
        try:
            yield connection
        finally:
            self._connector.end(connection)

    def forget(self, database: str) -> None:
        """Close every idle connection to *database*, in all workers; those of this process before it returns."""
        with self._lock:
            pool = self._pools.pop(database, None)
        if pool is not None:
            self._retire(pool)
        self.budget.close_idle(database_key(database))
        deadline = monotonic() + CLOSE_SECONDS
        for link in self._watcher.links():
            connection = link.connection()
            if link.deadline < float("inf") and (connection is None or connection.database == database):
                link.gone.wait(max(0.0, deadline - monotonic()))

    def statistics(self) -> PoolStatistics:
        """Return the state of the budget. Does not query PostgreSQL."""
        connections, databases = self.budget.existing(held_only=self._connector.outage.known)
        with self._lock:
            counts = self._past.copy()
            pools = list(self._pools.values())
        for pool in pools:
            counts.update(pool.requests())
        return PoolStatistics(
            active_pools=databases,
            total_connections=connections,
            max_total_connections=self._options.max_total_connections,
            hits=counts["requests_num"] - counts["requests_queued"],
            misses=counts["requests_queued"],
        )

    @property
    def refused(self) -> bool:
        """Return whether PostgreSQL has refused the last connection to an existing database."""
        return self._connector.outage.refuses

    def occupancy(self) -> Occupancy:
        """Return the holders of connections of the budget, and the waiters, over all workers."""
        return self.budget.occupancy()

    def pool_of(self, database: str) -> TenantPool:
        """Return the pool of a database, creating it if needed."""
        pool = self._pools.get(database)
        if pool is None:
            pool = self._make_pool(database)
        pool.used_at = monotonic()
        return pool

    def _check_open(self) -> None:
        if self._closing:
            raise ConnectionFailed("the gateway is stopping", retry_after=1)

    def _make_pool(self, database: str) -> TenantPool:
        self._check_open()
        pool = TenantPool(
            database,
            options=self._options,
            connector=self._connector,
            budget=self.budget,
            submit=self._tasks.submit,
            most_connections=self._limits.of_database(database_key(database)),
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
        """Return the pool that was unused for longest; if there are very many pools, a hundred at a time."""
        unused = (pool for pool in self._pools.values() if not pool.in_use)
        return nsmallest(1 + len(self._pools) // EMPTY_POOLS * 100, unused, key=lambda pool: pool.used_at)

    def _retire(self, pool: TenantPool) -> None:
        pool.close()
        with self._lock:
            self._past.update(pool.requests())

    def _exists(self, database: str) -> bool:
        """Return whether the server has the database.

        :raises GatewayError: the server cannot be queried
        """
        for _ in range(2):  # an idle connection may be broken
            try:
                connection = run(self.lease_steps(self._connector.maintenance, LOOKUP_SECONDS))
                try:
                    row = connection.execute(_QUERIES["database_exists"], [database]).fetchone()
                finally:
                    self.give_back(connection)
                return bool(row and row[0])
            except psycopg.Error as error:
                cause = str(error)
        raise failure(cause)

    def _evict(self, slot: int) -> None:
        connection = self._watcher.connection_of(slot)
        if connection is not None and self._close_if_idle(connection):
            self._options.events.emit(ConnectionEvicted(connection.database))

    def _on_lost(self, connection: CountedConnection | None) -> None:
        self._close_if_idle(connection)
        self._reaper.start()

    def _start_reaper(self) -> None:
        self._reaper.start()

    def _close_if_idle(self, connection: CountedConnection | None) -> bool:
        """Close *connection* if it is idle, and return whether it was."""
        pool = self._pools.get(connection.database) if connection is not None else None
        return pool is not None and pool.close_idle(lambda candidate: candidate is connection) > 0

    def _sweep(self) -> None:
        """Close connections that were idle for too long, remove empty pools, and check for orphans."""
        now = monotonic()
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.recheck()
            pool.close_idle(partial(pool.is_stale, now, self._options.idle_timeout_seconds))
            if pool.idle_count or pool.in_use or pool.used_at > now - self._options.idle_timeout_seconds:
                continue
            with self._lock:
                unused = not pool.in_use and self._pools.get(pool.name) is pool
                if unused:
                    del self._pools[pool.name]
            if unused:
                self._retire(pool)
        self._reaper.start()

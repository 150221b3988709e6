"""The connections of one worker process to all databases: their settings before the fork, the interface after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from gateway.errors import ConnectionFailed
from gateway.pools.connection import CountedConnection
from gateway.pools.occupancy import Occupancy, PoolStatistics
from gateway.pools.options import PoolOptions
from gateway.pools.pool import TenantPool
from gateway.pools.table import database_key
from gateway.pools.worker_pools import WorkerPools
from gateway.steps import Steps, run


class Lease:
    """A lease of a pooled connection, for a ``with`` statement."""

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
    """All connections of this process. Created before the fork without any; opened in the worker."""

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._worker_pools: WorkerPools | None = None

    def open(self) -> None:
        """Join the budget and start the threads. In the worker, once.

        :raises OSError: the file of the budget cannot be used
        """
        self._worker_pools = WorkerPools(self._options)

    def close(self) -> None:
        """Refuse new leases, close each connection when it is given back, stop the threads and leave the budget.

        A connection that is not given back within some seconds becomes an orphan.
        """
        if self._worker_pools is not None:
            self._worker_pools.close()

    @property
    def worker_pools(self) -> WorkerPools:
        """The pools.

        :raises ConnectionFailed: they are not open yet
        """
        if self._worker_pools is None:
            raise ConnectionFailed("the gateway is starting", retry_after=1)
        return self._worker_pools

    def lease(self, database: str, *, wait_timeout_seconds: float | None = None) -> Lease:
        """Lease a pooled autocommit connection, for a ``with`` statement in one thread.

        :raises PoolExhausted: none became free within the wait limit
        :raises ConnectionFailed: PostgreSQL is unreachable, or refuses the connection
        :raises DatabaseNotFound: the server has no such database
        """
        return Lease(self, database, self._seconds(wait_timeout_seconds))

    def take_idle(self, database: str) -> CountedConnection | None:
        """Lease an idle connection until :meth:`give_back`; return None if there is none."""
        return self.worker_pools.take_idle(database)

    def lease_steps(self, database: str, wait_timeout_seconds: float | None = None) -> Steps[CountedConnection]:
        """Lease such a connection until :meth:`give_back`, for work written as steps.

        :raises GatewayError: as :meth:`lease`
        :raises ClientGone: the client of the work has disconnected
        """
        return self.worker_pools.lease_steps(database, self._seconds(wait_timeout_seconds))

    def give_back(self, connection: CountedConnection) -> None:
        """Return a leased connection to its pool. Never waits."""
        self.worker_pools.give_back(connection)

    @contextmanager
    def dedicated(self, database: str, *, wait_timeout_seconds: float | None = None) -> Iterator[CountedConnection]:
        """Open a separate autocommit connection, within the budget, for administration and deploys.

        It is new, has the server's own settings, and has precedence over calls when connections are scarce. At the end
        of the ``with`` statement its backend has ended, or is checked as an orphan.

        :raises GatewayError: as ``lease``
        """
        with self.worker_pools.dedicated(database, self._seconds(wait_timeout_seconds)) as connection:
            yield connection

    def forget(self, database: str) -> None:
        """Close every idle connection to *database*, in all workers; those of this process before it returns."""
        self.worker_pools.forget(database)

    def changed(self, database: str) -> None:
        """Record a deploy to *database*, for all workers."""
        self.worker_pools.budget.changed(database_key(database))

    def changes(self, database: str) -> int:
        """Return a number that changes with each :meth:`changed` of any worker, and rarely for another database's."""
        return self.worker_pools.budget.changes(database_key(database))

    def statistics(self) -> PoolStatistics:
        """Return the state of the budget. Does not query PostgreSQL."""
        return self.worker_pools.statistics()

    def occupancy(self) -> Occupancy:
        """Return the holders of connections of the budget, and the waiters. Does not query PostgreSQL."""
        return self.worker_pools.occupancy()

    def connections_are_refused(self) -> bool:
        """Return whether PostgreSQL has recently refused this process's last connection to an existing database."""
        return self.worker_pools.refused

    def has_lost_connections(self) -> bool:
        """Return whether a worker has lost a connection whose backend may still run. Cheap."""
        return self.worker_pools.budget.has_lost()

    def pool_of(self, database: str) -> TenantPool:
        """Return the pool of a database, creating it if needed."""
        return self.worker_pools.pool_of(database)

    def _seconds(self, wait_timeout_seconds: float | None) -> float:
        return self._options.wait_timeout_seconds if wait_timeout_seconds is None else wait_timeout_seconds

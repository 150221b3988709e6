"""The connection pool of one database: psycopg's, with connections within the budget that all workers share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, cast

from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed

from gateway.errors import GatewayError
from gateway.events import ConnectionLeased, LeaseWaited
from gateway.pools.budget import Budget
from gateway.pools.connection import CountedConnection, Link
from gateway.pools.connector import Connector
from gateway.pools.options import PoolOptions
from gateway.pools.table import database_key
from gateway.pools.threadless_pool import ThreadlessPool
from gateway.pools.turn import Turn
from gateway.pools.waiter import Waiter, none_became_free
from gateway.steps import Steps, run

MOST_QUEUED: Final = 0.3  #: the share of leases that wait above which the pool grows without further delay
QUEUED_WEIGHT: Final = 0.05  #: of the last lease in that share, a moving average
NO_ROOM_SHARE: Final = -1.0  #: the share after the budget had no slot; it takes some twenty waits to exceed MOST_QUEUED


class TenantPool(ThreadlessPool):
    """One worker's connections to one database.

    psycopg_pool keeps the idle connections, their age, the queue of waiting threads and the statistics. Unlike there, a
    thread that needs a connection takes a slot of the budget and connects itself, one thread of a pool at a time. So an
    error reaches the request immediately, and 200 pools need no threads. A connection that ends is replaced only when
    one is needed.
    """

    def __init__(
        self,
        database: str,
        *,
        options: PoolOptions,
        connector: Connector,
        budget: Budget,
        submit: Callable[[Callable[[], None]], None],
        most_connections: int,
    ) -> None:
        """Create a closed pool without connections; ``open`` it.

        :param submit: runs a task in another thread
        :param most_connections: limit of connections to the database, over all workers
        """
        super().__init__(
            connector.pooled_conninfo(database),
            connection_class=CountedConnection,
            kwargs={"at_once": connector.at_once, "login": connector.scram_login_to(database)},
            min_size=0,
            max_size=most_connections,
            open=False,
            name=database,
            timeout=options.wait_timeout_seconds,
            max_lifetime=options.max_lifetime_seconds,
            reset=options.clean,
            num_workers=1,
        )
        self.used_at = monotonic()
        self._queued_share = 0.0  # of the leases since the last connection was made; under the pool's lock
        self._key = database_key(database)
        self._connector = connector
        self._budget = budget
        self._submit = submit
        self._needs_cleaning = options.needs_cleaning
        self._events = options.events

    def is_stale(self, now: float, idle_seconds: float, connection: CountedConnection) -> bool:
        """Return whether a connection has been idle for *idle_seconds*, or its lifetime has ended."""
        link = connection.link
        idle = link is not None and self._budget.idle_since(link.slot) < now - idle_seconds
        return idle or connection._expire_at < now

    def _pop_idle(self) -> CountedConnection | None:
        """Return the idle connection that was used last, so that unneeded ones age and are closed. Under the lock."""
        while self._pool:
            connection = self._pool.pop()
            if not connection.closed and connection.link is not None and connection.link.busy():
                return connection
            self._nconns -= 1
            connection.close()
        return None

    def getconn(self, timeout: float | None = None) -> CountedConnection:
        """Wait for a connection in this thread."""
        return run(self.lease_steps(self.timeout if timeout is None else timeout))

    def putconn(self, conn: CountedConnection) -> None:
        """Return a connection to the pool."""
        self.give_back(conn)

    def lease_steps(self, timeout: float) -> Steps[CountedConnection]:
        """Return a connection, until :meth:`give_back`; wait for it in turn, up to *timeout* seconds.

        :raises GatewayError: none is idle, and none can be made
        :raises ClientGone: the client of the work has disconnected
        :raises PoolClosed: the pool was closed
        """
        with self._lock:
            connection = self.take_idle() if self._pool else None
            waiter = self._enqueue() if connection is None else None
        if waiter is None:
            assert connection is not None
            return connection
        turn = Turn(self, waiter, waiter.arrival + timeout)
        try:
            connection = turn.result((yield turn))
        except BaseException:
            self._stats[self._REQUESTS_ERRORS] += 1
            if (given := turn.connection or waiter.withdraw()) is not None:  # it arrived meanwhile
                self._keep(given)
            raise
        finally:
            self._leave_queue(waiter)
            self._events.emit(LeaseWaited(monotonic() - waiter.arrival, connection is not None))
        connection._pool = self
        self._events.emit(ConnectionLeased(self.name, was_idle=False))
        return connection

    def take_idle(self) -> CountedConnection | None:
        """Lease an idle connection until :meth:`give_back`; return None if there is none."""
        with self._lock:
            connection = self._pop_idle()
            if connection is None:
                return None
            self._stats[self._REQUESTS_NUM] += 1
            self._queued_share *= 1.0 - QUEUED_WEIGHT
        connection._pool = self
        self._events.emit(ConnectionLeased(self.name, was_idle=True))
        return connection

    def _enqueue(self) -> Waiter[CountedConnection]:
        """Append a waiter to the queue for a returned connection or, at its front, for permission to make one.

        Under the lock.

        :raises PoolClosed: the pool was closed
        """
        if self._closed:
            raise PoolClosed(self.name)
        self._stats[self._REQUESTS_NUM] += 1
        self._stats[self._REQUESTS_QUEUED] += 1
        self._queued_share += QUEUED_WEIGHT * (1.0 - self._queued_share)
        waiter: Waiter[CountedConnection] = Waiter(key=self._key)
        self._waiting.append(waiter)
        if not self._growing:
            self._let_next_connect()
        return waiter

    def _leave_queue(self, waiter: Waiter[CountedConnection]) -> None:
        if waiter.conn is not None and not waiter.may_connect:
            return  # it was removed with the connection
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if waiter.may_connect:
                self._let_next_connect()

    def wait_in_turn(self, waiter: Waiter[CountedConnection], deadline: float) -> CountedConnection:
        """Return a connection: wait for a returned one in this thread, or make one at the front of the queue."""
        while not waiter.may_connect:
            if (connection := waiter.wait_for_change(deadline - monotonic())) is not None:
                return connection
            if monotonic() >= deadline and (given := waiter.withdraw()) is not None:
                return given
            if waiter.error is not None:
                raise none_became_free()
        if (connection := waiter.wait_for_change(0)) is not None:
            return connection
        return self._grow(waiter, deadline)

    def _let_next_connect(self, *, even_if_full: bool = False) -> None:
        """Let the next in the queue make a connection, unless one is returned first. Under the lock."""
        self._growing = bool(self._waiting) and (even_if_full or self._nconns < self._max_size)
        if self._growing:
            first = cast(Waiter[CountedConnection], self._waiting[0])
            first.may_connect = True
            first.wake()

    def recheck(self) -> None:
        """Let a waiter connect even if the pool is full: a connection that is never returned still counts."""
        with self._lock:
            if not self._growing:
                self._let_next_connect(even_if_full=True)

    def _grow(self, waiter: Waiter[CountedConnection], deadline: float) -> CountedConnection:
        self._connector.outage.admit()
        slot = self._budget.acquire(waiter, deadline, self._connector.outage.check)
        if slot is None:
            assert waiter.conn is not None
            with self._lock:
                self._queued_share = NO_ROOM_SHARE
            return waiter.conn
        make = partial(self._connect, max(1.0, deadline - monotonic()))
        try:
            connection = self._connector.connect(make, self.name, slot)
        except GatewayError as error:
            self._fail_all(error)
            raise
        with self._lock:
            self._nconns += 1
            self._queued_share = 0.0  # counted anew with one more connection
        return connection

    @property
    def needs_more(self) -> bool:
        """Whether to connect without waiting for a returned connection: none is in use, or many leases wait."""
        return not self.in_use_count or self._queued_share > MOST_QUEUED

    def _fail_all(self, error: GatewayError) -> None:
        """Fail all waiters of a pool without connections: each would connect in turn, and get the same error."""
        with self._lock:
            if self._nconns:
                return
            waiting = list(self._waiting)
        for other in waiting:
            other.fail(error)

    def give_back(self, conn: CountedConnection) -> None:
        """Return a leased connection to the pool; another thread cleans it if necessary. Never waits."""
        status = conn.pgconn.transaction_status
        clean = self._reset is None or not self._needs_cleaning(conn)
        if clean and (status == TransactionStatus.IDLE or (self._reset and status == TransactionStatus.ACTIVE)):
            self._keep(conn)
        elif status == TransactionStatus.UNKNOWN:
            self._stats[self._RETURNS_BAD] += 1
            self._discard(conn)
        else:
            self._submit(partial(self._clean_and_keep, conn))

    def _clean_and_keep(self, conn: CountedConnection) -> None:
        self._reset_connection(conn)
        self._keep(conn)

    def _keep(self, conn: CountedConnection) -> None:
        """Put a clean connection back, unless it is broken, too old, or needed as a slot elsewhere."""
        conn._pool = None
        link = conn.link
        is_old = conn._created_at <= self._drained_at or conn._expire_at <= monotonic()
        with self._lock:
            if link is not None and not (is_old or conn.lost or self._closed or self._must_close(link)):
                while self._waiting:
                    if self._waiting.popleft().set(conn):
                        return
                if link.idle():
                    self._pool.append(conn)
                    return
        self._discard(conn)

    def _must_close(self, link: Link) -> bool:
        """Return whether a returned connection must be closed: for a waiter of another pool, or to leave its database.

        Under the lock.
        """
        if self._budget.closes_on_return(link.slot):
            return True
        if not self._budget.contended:
            return False
        front = cast("Waiter[CountedConnection] | None", next(iter(self._waiting), None))
        return self._budget.must_make_room(link.slot, front)

    def _discard(self, conn: CountedConnection) -> None:
        conn._pool = None
        with self._lock:
            self._nconns -= 1
            if not self._growing:
                self._let_next_connect()
        conn.close()

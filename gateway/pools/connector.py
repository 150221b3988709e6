"""Connecting: on a slot of the budget, and not during an outage; errors say why a connection was refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, timeout_from_conninfo
from psycopg.pq import TransactionStatus

from gateway.errors import ConnectionRefused, DatabaseNotFound, GatewayError, PoolExhausted
from gateway.pools.budget import Budget
from gateway.pools.connection import CountedConnection, ThrottledConnection
from gateway.pools.conninfo import (
    APPLICATION_NAME,
    DEDICATED_APPLICATION_NAME,
    conninfo_of_database,
    conninfo_of_server,
    maintenance_database,
    one_address,
    refusal,
)
from gateway.pools.options import PoolOptions
from gateway.pools.outage import Outage, failure
from gateway.pools.scram import ScramLogin, scram_login
from gateway.pools.table import database_key
from gateway.pools.throttle import Throttle
from gateway.pools.waiter import Waiter
from gateway.pools.watcher import Watcher

#: Deploys have deadlines of their own: the time-outs that a role or a database has for its applications do not apply.
DEDICATED_OPTIONS: Final = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
#: A server that does not know a setting refuses the connection. Its version is known after the first one.
DEDICATED_OPTIONS_SINCE_17: Final = {**DEDICATED_OPTIONS, "transaction_timeout": "0"}
_TRANSACTION_TIMEOUT_SINCE: Final = 170000
#: The observer's backend ends within two seconds even if its worker is killed and the network hides that.
OBSERVER_OPTIONS: Final = {"statement_timeout": "1000", "idle_session_timeout": "1000"}
END_SECONDS: Final = 5.0  #: to wait for the end of a dedicated connection's backend
CANCEL_SECONDS: Final = 1.0  #: for cancelling a statement whose result is not needed
C = TypeVar("C", bound=CountedConnection)

_log: Final = logging.getLogger(__name__)


class Connector:
    """The only place where this process connects to PostgreSQL."""

    def __init__(
        self, options: PoolOptions, *, budget: Budget, watcher: Watcher, exists: Callable[[str], bool]
    ) -> None:
        """Create it without a connection.

        :param exists: whether the server has a database; raises GatewayError if that cannot be queried
        """
        conninfo = options.conninfo
        dedicated = partial(conninfo_of_server, conninfo, application_name=DEDICATED_APPLICATION_NAME)
        self.maintenance = maintenance_database(conninfo)
        self.outage = Outage()
        self.at_once = one_address(conninfo)  #: see ``CountedConnection.connect``
        self._pooled = conninfo_of_server(
            conninfo, application_name=APPLICATION_NAME, session_options=options.session_options
        )
        self._dedicated = dedicated(session_options=DEDICATED_OPTIONS)
        self._dedicated_since_17 = dedicated(session_options=DEDICATED_OPTIONS_SINCE_17)
        self._observing = dedicated(session_options=OBSERVER_OPTIONS)
        self._is_17 = False  # whether the server of the last connection knows DEDICATED_OPTIONS_SINCE_17
        self._seconds = timeout_from_conninfo(conninfo_to_dict(self._dedicated))
        self._budget = budget
        self._throttle = Throttle(budget.calls_run, options.parallel_deploy_statements)
        self._watcher = watcher
        self._exists = exists
        self._login_to = options.login_to
        given = conninfo_to_dict(conninfo).get("password")
        self._scram = scram_login(None if given is None else str(given))
        self._scram_of_roles: dict[str, ScramLogin | None] = {}  # by password

    def scram_login_to(self, database: str) -> ScramLogin | None:
        """Return the login of connections to *database*, shared by all with the same password."""
        password = self._login_to(database).get("password")
        if password is None:
            return self._scram
        return self._scram_of_roles.setdefault(password, scram_login(password))

    def pooled_conninfo(self, database: str) -> str:
        """Return the conninfo with which a pool of *database* connects."""
        return conninfo_of_database(self._pooled, database, self._login_to(database))

    def connect(self, make: Callable[[], CountedConnection], database: str, slot: int) -> CountedConnection:
        """Make a connection with *make* on *slot*, which is freed when that fails.

        :raises ConnectionFailed: PostgreSQL cannot be reached, or refuses the connection
        :raises DatabaseNotFound: the server has no such database
        """
        try:
            connection = make()
            connection.database = database
            self._watcher.watch(connection, slot)
        except psycopg.Error as error:
            self._watcher.free_later(slot)
            raise self._explain(error, database) from error
        except BaseException:
            self._watcher.free_later(slot)
            raise
        self.outage.ended()
        self._is_17 = connection.pgconn.server_version >= _TRANSACTION_TIMEOUT_SINCE
        return connection

    def dedicated(self, database: str, deadline: float) -> CountedConnection:
        """Make a connection for a deploy outside the pools, after waiting in turn for a slot.

        :param deadline: for the slot, on the clock of ``time.monotonic``
        :raises GatewayError: as ``connect``, and PoolExhausted
        """
        self.outage.admit()
        waiter: Waiter[CountedConnection] = Waiter(key=database_key(database), urgent=True)
        slot = self._budget.acquire(waiter, deadline, self.outage.check)
        assert slot is not None  # a waiter that is in no pool's queue gets no connection
        is_17 = self._is_17
        server = self._dedicated_since_17 if is_17 else self._dedicated
        connection = self.connect(partial(self._make_throttled, database, server), database, slot)
        if is_17 == self._is_17:
            return connection
        self.end(connection)  # the first connection of this process, or after an upgrade of the server
        return self.dedicated(database, deadline)

    @contextmanager
    def observer(self) -> Iterator[CountedConnection]:
        """Yield a connection to the maintenance database in the slot that is reserved for checking orphans.

        :raises PoolExhausted: another worker has it
        :raises ConnectionFailed: as ``connect``
        """
        self.outage.admit()
        slot = self._budget.take_observer_slot()
        if slot is None:
            raise PoolExhausted("another worker is checking lost connections, or was when it was killed")
        make = partial(self._make, self.maintenance, self._observing, CountedConnection)
        connection = self.connect(make, self.maintenance, slot)
        try:
            yield connection
        finally:
            self.end(connection)

    def _make_throttled(self, database: str, server: str) -> CountedConnection:
        connection = self._make(database, server, ThrottledConnection)
        connection.throttle = self._throttle
        return connection

    def _make(self, database: str, server: str, kind: type[C]) -> C:
        return kind.connect(
            conninfo_of_database(server, database, self._login_to(database)),
            connect_timeout=self._seconds,
            at_once=self.at_once,
            login=self.scram_login_to(database),
        )

    def end(self, connection: CountedConnection) -> None:
        """Close a dedicated connection, and return when its backend has ended or is treated as an orphan."""
        if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):  # without it the backend detects the closed socket, a little later
                connection.cancel_safe(timeout=CANCEL_SECONDS)
        connection.close()
        if connection.link is not None:
            connection.link.gone.wait(END_SECONDS)

    def _explain(self, error: psycopg.Error, database: str) -> GatewayError:
        """Return the error for a refused connection: server unreachable, no such database, or another reason.

        libpq does not return the SQLSTATE of a refused connection, and its text may be in any language. So the server
        is queried through the maintenance database; only if that cannot be reached either, the server is unreachable.
        """
        cause = refusal(error)
        if database == self.maintenance or isinstance(error, psycopg.errors.ConnectionTimeout):
            _log.warning("PostgreSQL cannot be reached: %s", cause)
            self.outage.began(cause)
            return failure(cause)
        try:
            known = self._exists(database)
        except GatewayError:
            return failure(cause)
        if known:
            self.outage.refused()
            _log.warning("PostgreSQL refuses connections to one database: %s", cause)
            return ConnectionRefused(failure(cause).message, cause=cause, retry_after=1)
        return DatabaseNotFound("the database does not exist", database=database)

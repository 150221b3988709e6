"""The databases of the server and their owners, by their stamps."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from gateway.databases.catalog import Connections, DatabaseRow, read_named, read_rows, refusals
from gateway.databases.roles import PlatformRoles
from gateway.databases.stamps import ManagedDatabase, Stamp, answers_to, stamp_prefix
from gateway.errors import DatabaseNameConflict, DatabaseNotFound, DatabaseNotMoved, DatabaseNotRecorded
from gateway.naming import RESERVED_PREFIX, DatabaseOwner, owner_facts
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_REMEMBERED_SECONDS: Final = 30.0  #: how long a stamp that was removed by hand may still be used
_REMEMBERED_MOST: Final = 20_000  #: owners remembered per process, about 0.5 kB each


class DatabaseDirectory:
    """The databases of this server that have a stamp.

    The stamp of a database is cached together with the database's oid. A connection is used for a cached
    owner only if its database has that oid (:meth:`is_open_on`), so a database that was dropped and created again by
    another owner under the same name is never used instead of the old one. Absence is not cached.
    """

    def __init__(
        self, connections: Connections, *, maintenance_database: str, roles: PlatformRoles | None = None
    ) -> None:
        """Create the directory; opens no connection.

        :param roles: which own the databases of their platforms, and log in to them; None without PLATFORM_ROLES
        """
        self._roles = roles
        self._connections = connections
        self._maintenance_database = maintenance_database
        # Both are changed by single operations only, which threads cannot see half done.
        self._remembered: dict[DatabaseOwner, tuple[float, ManagedDatabase]] = {}
        self._oids: WeakKeyDictionary[psycopg.Connection[Any], int] = WeakKeyDictionary()

    def find(self, owner: DatabaseOwner) -> ManagedDatabase:
        """Return the database of exactly this owner, read from the server.

        :raises DatabaseNotFound: it does not exist
        :raises DatabaseNotRecorded: a database of this name has no stamp
        :raises DatabaseNameConflict: a database of this name belongs to another owner
        """
        with refusals("look up a database", **owner_facts(owner)), self._session() as session:
            row = read_named(session, owner.database_name)
        return self._reachable(owned(row, owner, roles=self._roles))

    def owner_of(self, name: str) -> DatabaseOwner | None:
        """Return the owner of the database *name*; None if there is none, or it has no stamp."""
        with refusals("look up a database"), self._session() as session:
            row = read_named(session, name)
        if row is None or row.stamp is None or not _owns(self._roles, row, row.stamp):
            return None
        return row.stamp.owner

    def named(self, name: str) -> ManagedDatabase:
        """Return the database *name*, of any owner.

        :raises DatabaseNotFound: it does not exist, or is not an application's
        :raises DatabaseNotRecorded: it has no stamp
        """
        with refusals("look up a database"), self._session() as session:
            row = read_named(session, name)
        if row is None or row.is_half_dropped or name.startswith(RESERVED_PREFIX):
            raise DatabaseNotFound(f"there is no database {name!r}", database=name)
        if row.stamp is None:
            raise DatabaseNotRecorded(f"the database {name!r} has no recorded owner", database=name)
        return row.managed(row.stamp)

    def remembered(self, owner: DatabaseOwner) -> ManagedDatabase | None:
        """Return the cached result of :meth:`find_for_call`, or None."""
        known = self._remembered.get(owner)
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def find_for_call(self, owner: DatabaseOwner) -> ManagedDatabase:
        """Return the database for calls of *owner*, also a v2 database named ``{schema}_{id}``; cached.

        :raises DatabaseNotFound, DatabaseNameConflict: as for :meth:`find`
        """
        if (known := self.remembered(owner)) is not None:
            return known
        with refusals("look up a database", **owner_facts(owner)), self._session() as session:
            row = read_named(session, owner.database_name)
        database = self._reachable(owned(row, owner, also_as_tenant=True, roles=self._roles))
        if len(self._remembered) >= _REMEMBERED_MOST:
            self._remembered.clear()
        self._remembered[owner] = (time.monotonic() + _REMEMBERED_SECONDS, database)
        return database

    def forget(self, owner: DatabaseOwner) -> None:
        """Remove *owner* from the cache, because its cached database has turned out to be another one."""
        self._remembered.pop(owner, None)

    def was_asked(self, connection: psycopg.Connection[Any]) -> bool:
        """Return whether :meth:`is_open_on` needs no query."""
        return connection in self._oids

    def is_open_on(self, connection: psycopg.Connection[Any], database: ManagedDatabase) -> bool:
        """Return whether *connection* is to *database* itself and not to a later one of its name.

        The server is queried once per connection, which stays in its database even if that is renamed.
        """
        oid = self._oids.get(connection)
        if oid is None:
            with refusals("identify the database of a connection", database=database.name):
                oid = self._oids[connection] = _oid_of_database(connection)
        return oid == database.oid

    def of_platform(self, platform: str, *, sizes: bool = False) -> tuple[ManagedDatabase, ...]:
        """Return every database of *platform*, ordered by name.

        :param sizes: return their sizes, too; each takes the server a millisecond
        """
        return tuple(found for found in self._stamped(platform, sizes=sizes) if found.owner.platform == platform)

    def all(self, *, sizes: bool = False) -> tuple[ManagedDatabase, ...]:
        """Return every database with a stamp, as :meth:`of_platform`."""
        return self._stamped(None, sizes=sizes)

    def unstamped(self) -> tuple[str, ...]:
        """Return the names of databases without a stamp, except the maintenance database and the gateway's own."""
        with refusals("list databases"), self._session() as session:
            rows = read_rows(session, "unstamped_databases", {"prefix": stamp_prefix()})
        names = (row.name for row in rows if not row.name.startswith(RESERVED_PREFIX))
        return tuple(name for name in names if name != self._maintenance_database)

    def _stamped(self, platform: str | None, *, sizes: bool) -> tuple[ManagedDatabase, ...]:
        with refusals("list databases"), self._session() as session:
            rows = read_rows(session, "stamped_databases", {"prefix": stamp_prefix(platform), "sizes": sizes})
        stamped = ((row, row.stamp) for row in rows)
        found = (row.managed(stamp) for row, stamp in stamped if stamp is not None and _owns(self._roles, row, stamp))
        return tuple(map(self._reachable, found))

    def _reachable(self, database: ManagedDatabase) -> ManagedDatabase:
        """Return *database*, after recording the role for connections to it."""
        if self._roles is not None and self._roles.remember(database.name, database.owner.platform):
            self._connections.forget(database.name)  # another platform has its name now
        return database

    def _session(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return self._connections.lease(self._maintenance_database)


def _oid_of_database(connection: psycopg.Connection[Any]) -> int:
    """Return the oid of the session's database.

    It is queried with libpq alone, because psycopg's first cursor on a connection would double the cost.
    """
    result = connection.pgconn.exec_(_QUERIES["path_in_database"])
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    return int((result.get_value(0, 0) or b"").split(b"/")[-2])


def owned(
    row: DatabaseRow | None, owner: DatabaseOwner, *, roles: PlatformRoles | None, also_as_tenant: bool = False
) -> ManagedDatabase:
    """Return the database in *row*, if it is *owner*'s.

    :param roles: if not None, the platform's role must own it
    :param also_as_tenant: a v2 database may be named by the tenant id made of its schema and id
    :raises DatabaseNotFound, DatabaseNotRecorded, DatabaseNameConflict: as for :meth:`DatabaseDirectory.find`
    """
    facts = owner_facts(owner)
    if row is None or row.is_half_dropped:
        raise missing_database(owner)
    if row.stamp is None:
        raise DatabaseNotRecorded(_conflict(owner), **facts)
    if row.stamp.owner == owner or (also_as_tenant and answers_to(row.stamp.owner, owner)):
        if not _owns(roles, row, row.stamp):
            raise DatabaseNotMoved(
                f"the database {owner.database_name!r} is not owned by its platform's role, and with PLATFORM_ROLES "
                "only that may use it: move it with the command platform-roles",
                **facts,
            )
        return row.managed(row.stamp)
    raise DatabaseNameConflict(_conflict(owner), **facts)


def missing_database(owner: DatabaseOwner) -> DatabaseNotFound:
    """Return the error for a request to a database that does not exist."""
    route = "/database/create" if owner.kind == "schema" else "/register"
    return DatabaseNotFound(
        f"the database {owner.database_name!r} does not exist; POST {route} creates it", **owner_facts(owner)
    )


def _owns(roles: PlatformRoles | None, row: DatabaseRow, stamp: Stamp) -> bool:
    """Return whether the role of the stamp's platform owns the database, because an owner can write any stamp."""
    return roles is None or row.role == roles.role_of(stamp.owner.platform)


def _conflict(owner: DatabaseOwner) -> str:
    return (
        f"the database {owner.database_name!r} exists with another owner, or no recorded one. If other names "
        "map to the same database name, choose another name; if it was created outside this gateway, adopt it with "
        "POST /register or the command adopt"
    )

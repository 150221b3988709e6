"""Whether others than a migration have written rows of its database while it ran."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_ALONE_SECONDS: Final = 5.0  #: until the other sessions of a database have ended
_POLL_SECONDS: Final = 0.05


@dataclass(slots=True, kw_only=True)
class WrittenRows:
    """The number of rows written to each table, by oid, before a migration and by it, as PostgreSQL counts them.

    :ivar before: with the file of each table; None if it is not known
    :ivar own: what the migration has written; None until it is about to commit
    """

    before: Mapping[int, tuple[int, int]] | None
    own: dict[int, int] | None = field(default=None)

    @classmethod
    def now(cls, connection: psycopg.Connection[Any]) -> WrittenRows:
        """Begin to watch the database of *connection*."""
        return cls(before=_counts(connection))

    def before_commit(self, connection: psycopg.Connection[Any]) -> None:
        """Count the rows that the transaction of the migration, which is open on *connection*, has written.

        They are not counted if others have truncated a table since, or have written, or may have, to one that it drops.
        """
        if self.before is None:
            return
        files = {oid: file for oid, (_, file) in self.before.items()}
        parameters = {"tables": list(files), "files": list(files.values())}
        truncated = connection.execute(_QUERIES["truncated_by_others"], parameters).fetchone()
        own = dict(connection.execute(_QUERIES["writes_of_transaction"], parameters).fetchall())
        dropped = connection.execute(_QUERIES["writes_to_dropped"], parameters).fetchall()
        untouched = all(self.before[oid][0] == count for oid, count in dropped)
        if truncated is None and untouched and not (dropped and _has_others(connection)):
            self.own = own

    @property
    def is_known(self) -> bool:
        """Return whether the rows were counted before the migration and in it, and so those of others are known."""
        return self.before is not None and self.own is not None

    def mark(self, connection: psycopg.Connection[Any]) -> str | None:
        """Return the mark of :func:`read_mark` after the migration; None if others have written rows, or may have."""
        mark = read_mark(connection)  # first, so that later writes are found by one of the two
        return None if mark is None or self.by_others(connection) else mark

    def by_others(self, connection: psycopg.Connection[Any]) -> bool:
        """Return whether others have written rows, or may have."""
        now = _counts(connection)
        if self.before is None or self.own is None or now is None:
            return True
        before = {oid: count for oid, (count, _) in self.before.items()}
        return any(count != before.get(oid, 0) + self.own.get(oid, 0) for oid, (count, _) in now.items())


def read_mark(connection: psycopg.Connection[Any]) -> str | None:
    """Return a text that changes when rows, large objects or sequences are written, or another deploy is recorded.

    None if that is not known, because other sessions are connected to the database of *connection*.
    """
    if not _wait_until_alone(connection):
        return None
    row = connection.execute(_QUERIES["mark_of_rows"]).fetchone()
    return str(row[0]) if row else None


def _counts(connection: psycopg.Connection[Any]) -> Mapping[int, tuple[int, int]] | None:
    """Return the number of rows ever written to each table, and its file, by oid; None if they are not known."""
    if not _wait_until_alone(connection):
        return None
    rows = connection.execute(_QUERIES["writes"]).fetchall()
    return {oid: (count, file) for oid, count, file in rows}


def _wait_until_alone(connection: psycopg.Connection[Any]) -> bool:
    """Wait until no other session is connected to the database, and return False after a timeout.

    A session reports its counts up to ten seconds late, and all of them when it ends.
    """
    deadline = time.monotonic() + _ALONE_SECONDS
    while _has_others(connection):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _has_others(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(_QUERIES["others_here"]).fetchone()
    return row is None or bool(row[0])

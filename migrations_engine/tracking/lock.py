"""The advisory lock that admits one deploy of a database at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from migrations_engine.errors import DeployLockTimeout
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_POLL_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2)  #: pauses between attempts; the last one repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The state of a database for a deploy that is not a repetition."""

    tracked: bool  #: the tracking tables exist, in their present form
    empty: bool  #: there are no relations and types but those of the system
    database_comment: str | None  #: it names the owner, and no deploy may change it


def take_deploy_lock(
    connection: psycopg.Connection[Any], *, search_path: str, lock_timeout_ms: int, wait_seconds: float
) -> bool:
    """Take the lock for the open transaction of *connection*, and apply the settings of a deploy.

    Return whether the database has a tracking table. The lock ends with the transaction.

    :raises DeployLockTimeout: another deploy held the lock for longer than *wait_seconds*
    """
    deadline = time.monotonic() + wait_seconds
    statement = lock_statement(connection, search_path=search_path, lock_timeout_ms=lock_timeout_ms)
    for pause in _pauses():
        row = connection.execute(statement).fetchone()
        assert row is not None
        locked, *_, has_tables = row
        if locked:
            return bool(has_tables)
        if time.monotonic() + pause > deadline:
            raise DeployLockTimeout(
                f"another deploy of this database is running and did not finish within {wait_seconds:g} seconds; "
                "nothing was changed, the same request can be repeated"
            )
        time.sleep(pause)
    raise AssertionError


def lock_statement(connection: psycopg.Connection[Any], *, search_path: str, lock_timeout_ms: int) -> bytes:
    """Return the statement that tries to take the lock for the open transaction.

    It returns whether the lock was free, three settings, and whether the database has a tracking table.
    """
    parameters = {"search_path": search_path, "lock_timeout_ms": f"{lock_timeout_ms}ms"}
    return psycopg.ClientCursor(connection).mogrify(_QUERIES["lock"], parameters).encode()


def read_probe(connection: psycopg.Connection[Any]) -> Probe:
    """Read the state of the database. The lock must be held."""
    with connection.cursor(row_factory=class_row(Probe)) as cursor:
        probe = cursor.execute(_QUERIES["probe"]).fetchone()
    assert probe is not None
    return probe


@contextmanager
def lock_kept(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the deploy lock during the block, also between transactions. The open transaction has it already."""
    connection.execute(_QUERIES["lock_session"])
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(_QUERIES["unlock_session"])


def _pauses() -> Iterator[float]:
    yield from _POLL_SECONDS
    while True:
        yield _POLL_SECONDS[-1]

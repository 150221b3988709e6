"""One deploy of a database at a time: advisory locks, polled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from migrations_engine.errors import DeployLockTimeout
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_POLL_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2)  #: the pauses between tries; the last one repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the first statement of a deploy learns besides holding the lock."""

    server_version: int  #: ``server_version_num``: 160004
    tracked: bool  #: the tracking tables exist, in their present form
    empty: bool  #: there is no relation and no type but the system's own
    database_comment: str | None  #: which says whose the database is, and which no deploy may change


def take_deploy_lock(
    connection: psycopg.Connection[Any], *, search_path: str, lock_timeout_ms: int, wait_seconds: float
) -> Probe:
    """Begin a deploy in the transaction that is open on *connection*: take the lock and set the transaction up.

    The lock ends with the transaction. A free lock costs one statement.

    :raises DeployLockTimeout: another deploy held the lock for longer than *wait_seconds*
    """
    deadline = time.monotonic() + wait_seconds
    parameters = {"search_path": search_path, "lock_timeout_ms": f"{lock_timeout_ms}ms"}
    for pause in _pauses():
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_QUERIES["probe"], parameters).fetchone()
        if row is not None and row["locked"]:
            return Probe(**{known.name: row[known.name] for known in fields(Probe)})
        if time.monotonic() + pause > deadline:
            raise DeployLockTimeout(
                f"another deploy of this database is running and did not finish within {wait_seconds:g} seconds; "
                "nothing was changed, the same request can be repeated"
            )
        time.sleep(pause)
    raise AssertionError


@contextmanager
def lock_kept(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Keep the deploy lock over the transactions of the block, the first of which has taken it already."""
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

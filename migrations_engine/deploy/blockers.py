"""Finds the sessions that hold locks which a deploy needs, and waits for them without blocking other sessions.

A statement that waits for a strong lock blocks all later ones on its table. So it waits for a short time only; then the
deploy is rolled back, and tried again when the blocking transactions have ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from migrations_engine.errors import DeployLockTimeout, EngineError
from migrations_engine.queries import load_queries

_log: Final = logging.getLogger(__name__)
_QUERIES: Final = load_queries(__package__)
_POLL_SECONDS: Final = 0.05
_NAMED_AT_MOST: Final = 5
_WAIT_AT_MOST_MS: Final = 1000  #: limit of the wait of one attempt, during which it blocks the application
_PATIENCE: Final = 4  #: lock timeouts before a deploy fails

Connect = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that holds a lock, or waits for one before the deploy."""

    pid: int  #: 0 for a prepared transaction
    transaction: str  #: as in ``pg_locks``
    application: str
    role: str
    state: str  #: ``active``, ``idle in transaction`` …
    transaction_seconds: int  #: age of its transaction
    query_seconds: int  #: age of its last query

    def __str__(self) -> str:
        return (
            f"pid {self.pid} (application {self.application!r}, role {self.role!r}, {self.state}, transaction "
            f"{self.transaction_seconds} s old, last query {self.query_seconds} s old)"
        )


class Blockers:
    """The sessions that block the deploy on *connection*.

    :param connect: opens another connection to the same server, and closes it after the block
    """

    def __init__(self, connection: psycopg.Connection[Any], connect: Connect) -> None:
        self._pid = connection.info.backend_pid
        self._connect = connect
        self._found: tuple[Blocker, ...] = ()

    def __str__(self) -> str:
        """Return the blocking sessions, for a message; empty if none was found."""
        return ", ".join(map(str, self._found[:_NAMED_AT_MOST]))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look for blocking sessions during the block."""
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,), name="lock watcher", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def wait_until_gone(self, deadline: float) -> bool:
        """Wait until the blocking transactions have ended. Return False if *deadline* passes first.

        If no session was found, pause for a short time.
        """
        time.sleep(_POLL_SECONDS)
        if not self._found:
            return time.monotonic() < deadline
        parameters = {"transactions": [blocker.transaction for blocker in self._found]}
        with self._connect() as other:
            while time.monotonic() < deadline:
                if other.execute(_QUERIES["transactions_open"], parameters).fetchone() == (False,):
                    return True
                time.sleep(_POLL_SECONDS)
        return False

    def _watch(self, ended: threading.Event) -> None:
        try:
            with self._connect() as other:
                while not ended.wait(_POLL_SECONDS):
                    with other.cursor(row_factory=class_row(Blocker)) as cursor:
                        found = cursor.execute(_QUERIES["blockers"], {"pid": self._pid}).fetchall()
                    self._found = tuple(found) or self._found
        except Exception:  # noqa: BLE001 - a deploy does not fail because blockers cannot be found
            _log.warning("the holders of the locks that a deploy waits for could not be found", exc_info=True)


class LockWait:
    """The attempts of one deploy that needs locks which the application holds.

    :param timeout_ms: limit of the wait for one lock; the deploy fails after a multiple of it
    :param connect: as for :class:`Blockers`
    """

    def __init__(self, connection: psycopg.Connection[Any], timeout_ms: int, connect: Connect) -> None:
        self._brief_ms = min(timeout_ms, _WAIT_AT_MOST_MS)
        self._patience_seconds = _PATIENCE * timeout_ms / 1000
        self._deadline: float | None = None  # since the first lock timeout
        self._blockers = Blockers(connection, connect)

    @contextmanager
    def attempt(self) -> Iterator[int]:
        """Run an attempt of the deploy in the block, and yield its lock timeout. Later ones look for blockers."""
        with self._blockers.watched() if self._deadline is not None else nullcontext():
            yield self._brief_ms

    def goes_on(self) -> bool:
        """Wait after a lock timeout until another attempt may succeed. Return False if the time is over."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience_seconds
            return True
        return self._blockers.wait_until_gone(self._deadline)

    def explained(self, exc: EngineError, *, changed: bool) -> DeployLockTimeout:
        """Return the error of a failed deploy with the blocking sessions.

        :param changed: a part of the deploy was committed
        """
        who = str(self._blockers)
        return DeployLockTimeout(
            f"{exc.message}; {f'the lock is held by {who}' if who else 'no session was found that holds it for long'}. "
            f"{'T' if changed else 'Nothing was changed, t'}he same request can be repeated",
            file=exc.file,
            line=exc.line,
            server=exc.server,
        )

"""Outages of the server, as this process has detected them by connecting."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Final

from gateway.errors import ConnectionFailed

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 1.0  #: between attempts, and so about the delay after the end of an outage
REFUSAL_SECONDS: Final = 60.0  #: for which a refused connection is reported, if none is made meanwhile


class Outage:
    """During an outage, one request after each pause tries to connect; all others are refused immediately."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cause: str | None = None  # None: no outage is known
        self._pause = FIRST_PAUSE_SECONDS
        self._next_attempt = 0.0
        self._refused_at = float("-inf")

    @property
    def refuses(self) -> bool:
        """Return whether the server has refused the last connection to an existing database, within REFUSAL_SECONDS.

        It usually has too many connections; idle ones still work.
        """
        return monotonic() - self._refused_at < REFUSAL_SECONDS

    @property
    def known(self) -> bool:
        """Whether the last attempt to connect has failed."""
        return self._cause is not None

    def admit(self) -> None:
        """Check that the caller may try to connect.

        :raises ConnectionFailed: the server is unreachable, and the pause has not ended or another thread tries
        """
        if self._cause is None:
            return
        with self._lock:
            if self._cause is None:
                return
            if monotonic() < self._next_attempt:
                raise failure(self._cause)
            self._next_attempt = monotonic() + self._pause

    def check(self) -> None:
        """Check that no outage is known.

        :raises ConnectionFailed: the server is unreachable
        """
        if (cause := self._cause) is not None:
            raise failure(cause)

    def began(self, cause: str) -> None:
        """Record that the server could not be reached."""
        with self._lock:
            if self._cause is not None:
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._cause = cause
            self._next_attempt = monotonic() + self._pause

    def refused(self) -> None:
        """Record that the server has refused a connection to an existing database."""
        self._refused_at = monotonic()

    def ended(self) -> None:
        """Record that a connection was made."""
        self._refused_at = float("-inf")
        if self._cause is not None:
            with self._lock:
                self._cause = None
                self._pause = FIRST_PAUSE_SECONDS


def failure(cause: str) -> ConnectionFailed:
    """Return the error for a connection that failed because of *cause*."""
    return ConnectionFailed("PostgreSQL cannot be reached or refuses the connection", cause=cause, retry_after=1)

"""What this process knows of a server that cannot be reached, so that not every request has to find out."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Final

from gateway.errors import ConnectionFailed

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 1.0  #: so that service is back about a second after the server is


class Outage:
    """While the server is away, one request after a pause tries to connect; all others are refused at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cause: str | None = None  # None: the server can be reached, as far as we know
        self._pause = FIRST_PAUSE_SECONDS
        self._next_attempt = 0.0

    def admit(self) -> None:
        """Return if the caller should try to connect.

        :raises ConnectionFailed: the server is away, and it is not time to try again or somebody else is trying
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
        """Like ``admit`` for one who only waits, and will not try.

        :raises ConnectionFailed: the server is away
        """
        if (cause := self._cause) is not None:
            raise failure(cause)

    def began(self, cause: str) -> None:
        """The server could not be reached."""
        with self._lock:
            if self._cause is not None:
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._cause = cause
            self._next_attempt = monotonic() + self._pause

    def ended(self) -> None:
        """The server was reached."""
        if self._cause is not None:
            with self._lock:
                self._cause = None
                self._pause = FIRST_PAUSE_SECONDS


def failure(cause: str) -> ConnectionFailed:
    """The error for a connection that could not be made because of *cause*."""
    return ConnectionFailed("PostgreSQL cannot be reached or refuses the connection", cause=cause, retry_after=1)

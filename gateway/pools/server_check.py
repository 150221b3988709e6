"""Checks whether PostgreSQL answers, within a time limit even if it hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final

from gateway.errors import GatewayError

CHECK_SECONDS: Final = 0.7  #: timeout of a query; an answer about health is due within a second
FRESH_SECONDS: Final = 0.5  #: how long an answer is cached, so that many checks cost PostgreSQL little

_log: Final = logging.getLogger(__name__)


class ServerCheck:
    """Queries the server, one query at a time, in a thread that may hang as long as the server does."""

    def __init__(self, ask: Callable[[], object], *, doubts: Callable[[], bool] = lambda: False) -> None:
        """Create a check that has not run yet.

        :param ask: returns when PostgreSQL has answered; raises a GatewayError if it cannot be reached
        :param doubts: returns whether a cached result must be discarded; cheap
        """
        self._ask = ask
        self._doubts = doubts
        self._lock = Lock()
        self._asking: Event | None = None
        self._answered_at = float("-inf")
        self._answer = False

    def is_connected(self) -> bool:
        """Return whether PostgreSQL answers within CHECK_SECONDS, or has done so within FRESH_SECONDS."""
        with self._lock:
            if time.monotonic() < self._answered_at + FRESH_SECONDS and not (self._answer and self._doubts()):
                return self._answer
            if self._asking is None:
                self._asking = Event()
                Thread(target=self._run, args=(self._asking,), name="server-check", daemon=True).start()
            asking = self._asking
        if asking.wait(CHECK_SECONDS):
            return self._answer
        with self._lock:
            if self._asking is asking:  # cache the timeout, so that the next check does not wait
                self._answer, self._answered_at = False, time.monotonic()
        return False

    def _run(self, asking: Event) -> None:
        answer = False
        try:
            self._ask()
            answer = True
        except GatewayError as exc:
            _log.warning("PostgreSQL does not answer: %s", exc)
        except Exception:  # noqa: BLE001 - logged; the thread must end with a result
            _log.exception("the check whether PostgreSQL answers has failed")
        finally:
            with self._lock:
                self._answer, self._answered_at, self._asking = answer, time.monotonic(), None
            asking.set()

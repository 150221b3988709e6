"""Deploys leave room for calls: while calls run, few of their statements run at a time, with pauses between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final

#: How long a statement counts. A longer one may be waiting for a lock that one of the others holds.
TURN_SECONDS: Final = 0.05
PAUSE: Final = 0.5  #: after a statement, of its own time


class Throttle:
    """Limits the statements of deploys of one process while calls run."""

    def __init__(self, calls_run: Callable[[], bool], most: int) -> None:
        """Limit nothing until *calls_run* returns True, and then allow *most* statements at a time."""
        self._calls_run = calls_run
        self._most = most
        self._condition = threading.Condition()
        self._turns: dict[object, float] = {}  # until when each counts; under the condition

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Run the block, a statement, in turn with those of other threads, and pause; at once if no calls run."""
        if not self._calls_run():
            yield
            return
        turn = self._take()
        began = monotonic()
        try:
            yield
            sleep(PAUSE * min(monotonic() - began, TURN_SECONDS))
        finally:
            self._end(turn)

    def _take(self) -> object:
        """Wait until fewer than *most* statements count, and return the next turn."""
        with self._condition:
            while (remaining := self._seconds_to_wait()) > 0:
                self._condition.wait(remaining)
            turn = object()
            self._turns[turn] = monotonic() + TURN_SECONDS
        return turn

    def _seconds_to_wait(self) -> float:
        ends = sorted(self._turns.values())
        return ends[-self._most] - monotonic() if len(ends) >= self._most else 0.0

    def _end(self, turn: object) -> None:
        with self._condition:
            del self._turns[turn]
            self._condition.notify()

"""Waiting for what will happen, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0  #: no machine needs so long for anything that is waited for


def wait_until(condition: Callable[[], T], *, seconds: float = PATIENCE_SECONDS, pause_seconds: float = 0.01) -> T:
    """Poll *condition* until it is true, and return its result.

    :raises AssertionError: it has not become true in time
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s"
        time.sleep(pause_seconds)
    return found

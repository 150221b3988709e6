"""Rate limits of platforms, counted over all workers of the gateway.

The counters are in an unnamed file that is mapped into memory before the workers are forked. All workers, and
those that replace them, share it; it is deleted when the gateway ends.
"""

from __future__ import annotations

import fcntl
import mmap
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from math import ceil
from typing import Any, Final

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from gateway.environment import key_name_of
from gateway.errors import RateLimited
from gateway.events import Events, RequestRefusedByRate

_COUNTERS: Final = 4096  #: windows that can be open at once; a platform has one
_TRIED: Final = 16  #: the places of the table that a key may use
_WORD: Final = 8


class SharedCounters(Storage):
    """Counters of open windows, shared by the workers that are forked afterwards.

    Invariant: every access is under the lock of the file, which the kernel releases if its holder dies. The threads of
    a process use a lock of their own in addition, because a process holds the lock of a file as a whole.
    """

    STORAGE_SCHEME: Final = ["gateway"]  # type: ignore[misc]  # the library's own name for where it finds storages
    base_exceptions = OSError

    def __init__(self) -> None:
        super().__init__()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open while the gateway runs
        self._file.truncate(3 * _WORD * _COUNTERS)
        view = memoryview(mmap.mmap(self._file.fileno(), 3 * _WORD * _COUNTERS))
        size = _WORD * _COUNTERS
        self._keys: memoryview[Any] = view[:size].cast("Q")
        self._counts: memoryview[Any] = view[size : 2 * size].cast("Q")
        self._ends: memoryview[Any] = view[2 * size :].cast("d")  # on the clock of time.monotonic; of 0: free
        self._threads = threading.Lock()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add *amount* to the window of *key*, which starts now if none is open, and return its count."""
        with self._locked() as now:
            place = self._place(_number(key), now)
            if self._keys[place] != _number(key) or self._ends[place] <= now:
                self._keys[place], self._counts[place], self._ends[place] = _number(key), 0, now + expiry
            self._counts[place] += amount
            return int(self._counts[place])

    def get(self, key: str) -> int:
        """Return the count of the window of *key*, 0 if none is open."""
        with self._locked() as now:
            place = self._place(_number(key), now)
            return int(self._counts[place]) if self._is_open(place, key, now) else 0

    def get_expiry(self, key: str) -> float:
        """Return when the window of *key* ends, on the clock of ``time.time``."""
        with self._locked() as now:
            place = self._place(_number(key), now)
            return time.time() + (self._ends[place] - now if self._is_open(place, key, now) else 0)

    def clear(self, key: str) -> None:
        """End the window of *key*."""
        with self._locked() as now:
            place = self._place(_number(key), now)
            if self._is_open(place, key, now):
                self._ends[place] = 0.0

    def reset(self) -> int:
        """End all windows, and return the number of places."""
        with self._locked():
            for place in range(_COUNTERS):
                self._ends[place] = 0.0
        return _COUNTERS

    def check(self) -> bool:
        """Return True: the counters can always be used."""
        return True

    def _is_open(self, place: int, key: str, now: float) -> bool:
        return bool(self._keys[place] == _number(key) and self._ends[place] > now)

    def _place(self, number: int, now: float) -> int:
        """Return the place of a key's window, else a free place, else the place with the smallest count."""
        places = [(number + step) % _COUNTERS for step in range(_TRIED)]
        for place in places:
            if self._keys[place] == number:
                return place
        return min(places, key=lambda place: self._counts[place] if self._ends[place] > now else -1)

    @contextmanager
    def _locked(self) -> Iterator[float]:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield time.monotonic()
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


class RateLimits:
    """The limits of requests for each platform, over all clients."""

    def __init__(self, default: str | None, of_platforms: Mapping[str, str], *, events: Events) -> None:
        """Create the counters. Must be called before the workers are forked.

        :param default: the limit of platforms without a limit of their own, like ``100/second``
        :param of_platforms: limits by ``key_name_of`` the platform
        :param events: where refusals are emitted
        """
        self._events = events
        self._default = parse(default) if default else None
        self._own: dict[str, RateLimitItem] = {name: parse(limit) for name, limit in of_platforms.items()}
        self._limiter = FixedWindowRateLimiter(SharedCounters())

    def count(self, platform: str) -> None:
        """Count a request that names *platform*.

        :raises RateLimited: the limit of the current window is reached
        """
        name = key_name_of(platform)
        limit = self._own.get(name, self._default)
        if limit is None or self._limiter.hit(limit, name):
            return
        self._events.emit(RequestRefusedByRate(name if name in self._own else "other"))
        seconds = max(1, ceil(self._limiter.get_window_stats(limit, name).reset_time - time.time()))
        raise RateLimited(
            f"the rate limit of {limit} is reached; try again in {seconds} s", platform=platform, retry_after=seconds
        )


def _number(key: str) -> int:
    """Return an integer of eight bytes for a key, never 0."""
    return int.from_bytes(blake2b(key.encode(), digest_size=_WORD).digest(), "little") or 1

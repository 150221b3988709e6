"""Rate limits of platforms, counted over all workers of the gateway.

The counters are in a file without a name, mapped into memory before the workers are forked: all of them, and those that
replace them, count in the same place, and it is gone with the gateway.
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

from gateway.errors import RateLimited
from gateway.events import RequestRefusedByRate, emit
from gateway.settings import key_name_of

_COUNTERS: Final = 4096  #: windows that can be open at once; a platform has one
_TRIED: Final = 16  #: places in which a window may be
_WORD: Final = 8


class SharedCounters(Storage):
    """Counters of open windows, for the workers that are forked after it was made.

    Invariant: every look and every write is under the lock of the file, which the kernel frees when its holder dies;
    the threads of one process take turns by a lock of their own, because a process has the file's lock as a whole.
    """

    STORAGE_SCHEME: Final = ["gateway"]  # type: ignore[misc]  # the library's own name for where it finds storages
    base_exceptions = OSError

    def __init__(self) -> None:
        super().__init__()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the gateway runs
        self._file.truncate(3 * _WORD * _COUNTERS)
        view = memoryview(mmap.mmap(self._file.fileno(), 3 * _WORD * _COUNTERS))
        size = _WORD * _COUNTERS
        self._keys: memoryview[Any] = view[:size].cast("Q")
        self._counts: memoryview[Any] = view[size : 2 * size].cast("Q")
        self._ends: memoryview[Any] = view[2 * size :].cast("d")  # on the clock of time.monotonic; of 0: free
        self._threads = threading.Lock()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count *amount* more in the window of *key*, which begins now if none is open, and return its count."""
        with self._locked() as now:
            place = self._place(_number(key), now)
            if self._keys[place] != _number(key) or self._ends[place] <= now:
                self._keys[place], self._counts[place], self._ends[place] = _number(key), 0, now + expiry
            self._counts[place] += amount
            return int(self._counts[place])

    def get(self, key: str) -> int:
        """Return the count in the window of *key*, 0 if none is open."""
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
        """End all windows, and return how many there can be."""
        with self._locked():
            for place in range(_COUNTERS):
                self._ends[place] = 0.0
        return _COUNTERS

    def check(self) -> bool:
        """Return that the counters can be used, as they always can."""
        return True

    def _is_open(self, place: int, key: str, now: float) -> bool:
        return bool(self._keys[place] == _number(key) and self._ends[place] > now)

    def _place(self, number: int, now: float) -> int:
        """Where the window of a key is; else where it can be: a free place, or that of the smallest count."""
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

    def __init__(self, default: str | None, of_platforms: Mapping[str, str]) -> None:
        """Count from now on; before the workers are forked.

        :param default: of every platform that has no limit of its own, like ``100/second``
        :param of_platforms: by ``key_name_of`` the platform
        """
        self._default = parse(default) if default else None
        self._own: dict[str, RateLimitItem] = {name: parse(limit) for name, limit in of_platforms.items()}
        self._limiter = FixedWindowRateLimiter(SharedCounters())

    def count(self, platform: str) -> None:
        """Count a request that names *platform*.

        :raises RateLimited: the platform has sent as many as it may until the window ends
        """
        name = key_name_of(platform)
        limit = self._own.get(name, self._default)
        if limit is None or self._limiter.hit(limit, name):
            return
        emit(RequestRefusedByRate(name if name in self._own else "other"))
        seconds = max(1, ceil(self._limiter.get_window_stats(limit, name).reset_time - time.time()))
        raise RateLimited(
            f"the platform has sent more than {limit}; try again in {seconds} s", platform=platform, retry_after=seconds
        )


def _number(key: str) -> int:
    """Eight bytes that stand for a key, and are not 0."""
    return int.from_bytes(blake2b(key.encode(), digest_size=_WORD).digest(), "little") or 1

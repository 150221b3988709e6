"""Slots that are freed ahead of need, so that requests need not wait for the end of a backend."""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.pools.snapshot import TableSnapshot

PRESSURE_COUNT: Final = 8  #: slots taken within PRESSURE_SECONDS that show that there are more databases than slots
PRESSURE_SECONDS: Final = 1.0
SPARE_SHARE: Final = 25  #: under pressure, one slot in so many is freed ahead of need; at least one
MOST_SPARE: Final = 8  #: slots that are likely to be needed while a backend ends
PAUSE_SECONDS: Final = 5.0  #: back-off after a wrong speculative eviction


class SpareSlots:
    """Decides whether requests of this process close connections ahead of need."""

    def __init__(self, total: int) -> None:
        """Keep a share of *total* slots free while there are more databases than slots.

        :ivar count: the number of these slots
        """
        self.count: Final = max(1, min(MOST_SPARE, total // SPARE_SHARE))
        self._taken: deque[float] = deque(maxlen=PRESSURE_COUNT)  # when one of the last slots was taken
        self._closed: deque[int] = deque(maxlen=2 * self.count)  # the databases that have lost a connection
        self._paused_until = 0.0

    def to_close(self, snapshot: TableSnapshot, key: int) -> list[int]:
        """Return the slots to close after one was taken for the database *key*.

        Empty while there is a slot for each database in use: a closed connection would be needed again immediately.
        """
        lacking = self.count - (snapshot.free - 1)
        if lacking <= 0:
            return []
        if key in self._closed:
            self._paused_until = snapshot.at + PAUSE_SECONDS
        self._taken.append(snapshot.at)
        pressed = len(self._taken) == PRESSURE_COUNT and snapshot.at - self._taken[0] < PRESSURE_SECONDS
        if not pressed or snapshot.at < self._paused_until:
            return []
        victims = snapshot.to_close(lacking - snapshot.ending)
        self._closed.extend(snapshot.databases[slot] for slot in victims)
        return victims

"""The states of this worker's slots in the shared table, and the counters of deploys."""

from __future__ import annotations

from time import monotonic
from typing import Final

from gateway.pools.table import BUSY, CHANGE_COUNTERS, CLOSING, FREE, IDLE, LAST_USES, LOST, ON_RETURN, SharedTable

RECENT_SECONDS: Final = 0.1  #: without the end of a call, after which none is assumed to run


class SlotStates:
    """What a worker records about its connections without a decision of the budget."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table

    # A slot's own worker writes the state of its connection without the mutex: no other worker writes it.

    def connected(self, slot: int, backend: int) -> None:
        """Mark the slot of a new connection that is leased."""
        self._table.backends[slot] = backend
        self._table.states[slot] = BUSY

    def busy(self, slot: int) -> None:
        """Mark the slot as leased."""
        self._table.states[slot] = BUSY

    def idle(self, slot: int) -> None:
        """Mark the slot as idle; it may be evicted from now on."""
        table, now = self._table, monotonic()
        table.since[slot] = table.last_uses[table.databases[slot] % LAST_USES] = now
        table.states[slot] = IDLE

    def closes_on_return(self, slot: int) -> bool:
        """Return whether the connection of a leased slot is to be closed when it is given back."""
        return self._table.requested[slot] == ON_RETURN

    def closing(self, slot: int) -> None:
        """Mark the slot as closing: PostgreSQL ends the backend."""
        self._table.states[slot] = CLOSING

    def lost(self, slot: int) -> None:
        """Mark the slot as lost: the connection has ended, and the state of the backend is unknown."""
        self._table.since[slot] = monotonic()
        self._table.states[slot] = LOST

    def idle_since(self, slot: int) -> float:
        """Return when the connection of an idle slot was returned, on the clock of ``time.monotonic``."""
        return self._table.since[slot]

    def has_lost(self) -> bool:
        """Return whether any connection is lost. Without the mutex."""
        return LOST in bytes(self._table.states[: self._table.high])

    def changed(self, key: int) -> None:
        """Record a deploy to a database."""
        with self._table.mutex:
            self._table.changes[key % CHANGE_COUNTERS] += 1

    def changes(self, key: int) -> int:
        """Return a number that changes with every deploy to a database, by any worker. Without the mutex."""
        return self._table.changes[key % CHANGE_COUNTERS]

    def call_ended(self) -> None:
        """Record the end of a call. Without the mutex."""
        self._table.last_call[0] = monotonic()

    def calls_run(self) -> bool:
        """Return whether a call of any worker has ended within the last RECENT_SECONDS. Without the mutex."""
        return monotonic() - self._table.last_call[0] < RECENT_SECONDS

    def own_slots(self) -> int:
        """Return the number of slots of this process."""
        table = self._table
        return sum(
            table.states[slot] not in (FREE, LOST) and table.owners[slot] == table.generation
            for slot in range(table.high)
        )

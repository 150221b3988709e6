"""The budget of connections: which waiter gets a slot of the shared table, and which connection is evicted.

Every decision is made under the table's mutex from one snapshot of it; its consequences (closing a connection, waking a
thread, notifying another worker) follow after the mutex is released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import compress
from time import monotonic
from typing import Any, Final

from gateway.pools.eviction import share_of_returning
from gateway.pools.occupancy import Occupancy
from gateway.pools.slot_states import SlotStates
from gateway.pools.snapshot import Limits, TableSnapshot, Ticket
from gateway.pools.spare_slots import SpareSlots
from gateway.pools.table import (
    BUSY,
    CLOSING,
    CONNECTING,
    FREE,
    LAST_USES,
    LOST,
    MAX_SLOTS,
    OBSERVER,
    ON_RETURN,
    SharedTable,
)
from gateway.pools.waiter import Waiter, none_became_free

RECHECK_SECONDS: Final = 0.25  #: between two checks of a waiter that no worker wakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A slot whose connection no process holds, while its backend may still run."""

    slot: int
    is_observer: bool  #: it was the connection for checking others
    backend: int  #: the backend's process id; 0 if the connection was never completed
    since: float  #: when it was found, on the clock of ``time.monotonic``


class Budget(SlotStates):
    """The budget of all workers, for one of them."""

    def __init__(
        self, table: SharedTable, limits: Limits, *, evict: Callable[[int], None], reap: Callable[[], None]
    ) -> None:
        """Create the budget of a process without connections.

        :param evict: closes the connection of a slot of this process if it is idle
        :param reap: called when there are orphans to check; returns at once
        :raises ValueError: more connections than the table can count
        """
        if limits.total >= MAX_SLOTS:
            raise ValueError(f"at most {MAX_SLOTS} connections can be counted, not {limits.total + 1}")
        super().__init__(table)
        self._limits = limits
        self._evict = evict
        self._reap = reap
        self._waiters: dict[int | None, Waiter[Any]] = {}  # ticket → its waiter, of this process; under the mutex
        self._spare_slots = SpareSlots(limits.total)  # under the mutex

    @property
    def contended(self) -> bool:
        """Return whether any worker waits for a connection."""
        return self._table.waiting > 0

    def acquire(self, waiter: Waiter[Any], deadline: float, check: Callable[[], None]) -> int | None:
        """Wait in turn for a slot, and return it. Return None if a connection was passed to *waiter* meanwhile.

        :param deadline: on the clock of ``time.monotonic``
        :param check: raises when waiting has become pointless
        :raises PoolExhausted: the deadline has passed
        """
        try:
            while True:
                slot = self._take(waiter)
                if slot is not None:
                    if waiter.withdraw() is None:
                        return slot
                    self.free(slot)
                    return None
                remaining = deadline - monotonic()
                if remaining <= 0:
                    if waiter.withdraw() is not None:
                        return None
                    raise none_became_free()
                if waiter.wait_for_change(min(remaining, RECHECK_SECONDS)) is not None:
                    return None
                check()
        finally:
            if waiter.ticket is not None:
                self._leave_queue(waiter)

    def free(self, slot: int) -> None:
        """Free the slot for the next waiter: the backend has ended, or there never was one."""
        with self._table.mutex:
            self._table.free_slot(slot)
            chosen = self._next_in_turn()
        self._notify(*chosen)

    def must_make_room(self, slot: int, front: Waiter[Any] | None) -> bool:
        """Return whether the connection of *slot*, just returned, must be closed for a waiter elsewhere.

        :param front: the longest waiter for this connection in its own pool, if any
        """
        if self._suffices_for_waiters(self._table.databases[slot]):
            return False
        with self._table.mutex:
            snapshot = self._snapshot()
        ticket = snapshot.in_need(snapshot.databases[slot], self._table.generation)
        if ticket is None or front is None:
            return ticket is not None
        return snapshot.goes_before(ticket, self._ticket_of(front))

    def _suffices_for_waiters(self, key: int) -> bool:
        """Return whether free slots and ending connections suffice for all waiters, and none waits for the database.

        Without the mutex, and much cheaper than a snapshot: while a connection ends for a waiter, those returned
        meanwhile are kept.
        """
        table = self._table
        states = bytes(table.states[: table.high])
        soon = self._limits.total - len(states) + states.count(FREE) + states.count(CLOSING)
        return table.waiting <= soon and not table.has_ticket_of(key)

    def handle_notification(self) -> None:
        """Close the idle connections that other workers have requested, and wake the waiters whose turn it is."""
        table = self._table
        for slot in compress(range(table.high), table.requested):
            if table.owners[slot] == table.generation and table.states[slot] != FREE:
                self._evict(slot)
                if table.requested[slot] != ON_RETURN:
                    table.requested[slot] = 0.0
        if self.contended:
            with table.mutex:
                waiters, _ = self._next_in_turn()
            self._notify(waiters, ())

    def close_idle(self, key: int) -> None:
        """Have every worker close its idle connections to a database, and those in use when they are given back."""
        with self._table.mutex:
            snapshot = self._snapshot()
            for slot in snapshot.slots(BUSY, key=key):
                self._table.requested[slot] = ON_RETURN
            victims = snapshot.idle(key=key)
            workers = self._request_evictions(snapshot, victims)
        self._evict_all(snapshot, victims, workers)

    def existing(self, *, held_only: bool) -> tuple[int, int]:
        """Return the number of connections over all workers, and the number of their databases.

        :param held_only: without those that are lost, or being made: while the server is away, neither exist
        """
        with self._table.mutex:
            snapshot = self._snapshot()
        absent = (FREE, CONNECTING, LOST) if held_only else (FREE,)
        keys = [key for key, state in zip(snapshot.databases, snapshot.states, strict=True) if state not in absent]
        return len(keys), len(set(keys) - {OBSERVER})

    def occupancy(self) -> Occupancy:
        """Return the holders of connections, and the waiters."""
        with self._table.mutex:
            snapshot = self._snapshot()
        return Occupancy.of(snapshot)

    def orphans(self) -> list[Orphan]:
        """Return the slots without a running worker, and mark them as lost with the time."""
        table = self._table
        with table.mutex:
            snapshot = self._snapshot()
            for slot in (found := snapshot.orphans()):
                if snapshot.states[slot] != LOST:
                    self.lost(slot)
            return [
                Orphan(
                    slot=slot,
                    is_observer=snapshot.databases[slot] == OBSERVER,
                    backend=table.backends[slot],
                    since=table.since[slot],
                )
                for slot in found
            ]

    def free_orphan(self, orphan: Orphan) -> None:
        """Free the slot of an orphan whose backend has ended, unless another worker has done so."""
        with self._table.mutex:
            if self._table.states[orphan.slot] != LOST or self._table.backends[orphan.slot] != orphan.backend:
                return
            self._table.free_slot(orphan.slot)
            chosen = self._next_in_turn()
        self._notify(*chosen)

    def take_observer_slot(self) -> int | None:
        """Return the slot that is reserved for checking orphans, for one worker at a time; None while it is taken.

        The check needs a connection; if orphans have all other slots, only this one is free for it.
        """
        with self._table.mutex:
            snapshot = self._snapshot()
            if snapshot.per_database[OBSERVER]:
                return None
            return self._table.take_slot(OBSERVER, snapshot.at)

    def _take(self, waiter: Waiter[Any]) -> int | None:
        """Return a slot, if it is the waiter's turn and one is free; else assign a ticket and start an eviction."""
        table = self._table
        with table.mutex:
            snapshot = self._snapshot()
            if waiter.ticket is None and snapshot.free <= self._spare_slots.count:
                self._note_return(snapshot, waiter.key)
            ahead = snapshot.ahead_of(self._ticket_of(waiter))
            slot, victims = None, []
            if not snapshot.has_share(waiter.key):
                victims = snapshot.to_close(1 - len(snapshot.slots(CLOSING, key=waiter.key)), key=waiter.key)
            elif ahead < snapshot.free:
                self._drop_ticket(waiter)
                slot = table.take_slot(waiter.key, snapshot.at)
                victims = self._spare_slots.to_close(snapshot, waiter.key)
            else:
                victims = snapshot.to_close(ahead + 1 - snapshot.free - snapshot.ending)
            if slot is None:
                self._add_ticket(waiter)
            workers = self._request_evictions(snapshot, victims)
        self._evict_all(snapshot, victims, workers)
        if slot is None and snapshot.orphans():
            self._reap()
        return slot

    def _note_return(self, snapshot: TableSnapshot, key: int) -> None:
        """Record whether a database that needs its first connection was used recently."""
        if not snapshot.per_database[key]:
            away = snapshot.at - self._table.last_uses[key % LAST_USES]
            self._table.returning[0] = share_of_returning(snapshot.returning, away, snapshot.longest_idle)

    def _leave_queue(self, waiter: Waiter[Any]) -> None:
        """Leave the queue without a slot; it may be the turn of the next waiter now."""
        with self._table.mutex:
            self._drop_ticket(waiter)
            chosen = self._next_in_turn()
        self._notify(*chosen)

    def _add_ticket(self, waiter: Waiter[Any]) -> None:
        if waiter.ticket is None:
            waiter.ticket = self._table.add_ticket(waiter.key, waiter.arrival, urgent=waiter.urgent)
            if waiter.ticket is not None:
                self._waiters[waiter.ticket] = waiter

    def _drop_ticket(self, waiter: Waiter[Any]) -> None:
        if waiter.ticket is not None:
            del self._waiters[waiter.ticket]
            self._table.remove_ticket(waiter.ticket)
            waiter.ticket = None

    def _ticket_of(self, waiter: Waiter[Any]) -> Ticket:
        return Ticket(
            number=waiter.ticket,
            owner=self._table.generation,
            key=waiter.key,
            arrival=waiter.arrival,
            urgent=waiter.urgent,
        )

    def _snapshot(self) -> TableSnapshot:
        return TableSnapshot.of(self._table, self._limits)

    def _request_evictions(self, snapshot: TableSnapshot, victims: list[int]) -> set[int]:
        """Mark the slots as requested; return the other workers that own some of them."""
        for slot in victims:
            self._table.requested[slot] = snapshot.at
        return {snapshot.living[snapshot.owners[slot]] for slot in victims} - {self._table.worker}

    def _evict_all(self, snapshot: TableSnapshot, victims: list[int], workers: set[int]) -> None:
        for slot in victims:
            if snapshot.owners[slot] == self._table.generation:
                self._evict(slot)
                self._table.requested[slot] = 0.0
        self._notify((), workers)

    def _next_in_turn(self) -> tuple[list[Waiter[Any]], set[int]]:
        """Return the waiters that may take a slot now: own waiters, and the workers of the others. Under the mutex."""
        if not self.contended or self._table.used > self._limits.total:
            return [], set()
        snapshot = self._snapshot()
        chosen = snapshot.queue()[: snapshot.free]
        ours = [self._waiters[ticket.number] for ticket in chosen if ticket.number in self._waiters]
        return ours, {snapshot.living[ticket.owner] for ticket in chosen} - {self._table.worker}

    def _notify(self, waiters: Iterable[Waiter[Any]], workers: Iterable[int]) -> None:
        for waiter in waiters:
            waiter.wake()
        for worker in workers:
            self._table.notify(worker)

"""The budget of connections: decisions about the shared table, who gets a slot and which connection is evicted.

Every decision is made under the table's mutex from one snapshot of it; its consequences (closing a connection, waking a
thread, notifying another worker) follow after the mutex is released.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from time import monotonic
from typing import Any, Final

from gateway.errors import PoolExhausted
from gateway.pools.snapshot import Limits, TableSnapshot, Ticket, share_of_returning
from gateway.pools.table import (
    BUSY,
    CHANGE_COUNTERS,
    CLOSING,
    CONNECTING,
    FREE,
    IDLE,
    LAST_USES,
    LOST,
    MAX_SLOTS,
    OBSERVER,
    SharedTable,
)
from gateway.pools.waiter import Waiter

STATE_NAMES: Final = {
    CONNECTING: "connecting", BUSY: "busy", IDLE: "idle", CLOSING: "closing", LOST: "lost",
}  # fmt: skip
RECHECK_SECONDS: Final = 0.25  #: after which a waiter checks by itself, in case no worker wakes it
PRESSURE_COUNT: Final = 8  #: so many of the last slots taken within PRESSURE_SECONDS: more databases than slots
PRESSURE_SECONDS: Final = 1.0
SPARE_SHARE: Final = 25  #: under pressure one slot of so many is made free ahead of need, at least one
MOST_SPARE: Final = 8  #: as many as are likely to be needed while a backend ends
CALM_SECONDS: Final = 5.0  #: for which nothing is closed ahead of need after it was needed again at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A slot whose connection no process has, while its backend may live on."""

    slot: int
    is_observer: bool  #: it was the connection for looking after others
    backend: int  #: the backend's process id; 0 when the connection was never finished
    since: float  #: when that was found out, on the clock of ``time.monotonic``


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """The state of the budget, over all workers. Databases are identified by their ``database_key``.

    :ivar connections: number for each database and state, by key and name of the state
    :ivar waiting: for how many seconds each ticket of a database has waited
    :ivar workers: number of running workers
    """

    connections: Mapping[tuple[int, str], int]
    waiting: Mapping[int, tuple[float, ...]]
    workers: int

    def by_state(self) -> dict[str, int]:
        """Return how many connections there are in each state, of all states."""
        counts = dict.fromkeys(STATE_NAMES.values(), 0)
        for (_, state), count in self.connections.items():
            counts[state] += count
        return counts


class Budget:
    """The one budget of all workers, as this process sees and uses it."""

    def __init__(
        self, table: SharedTable, limits: Limits, *, evict: Callable[[int], None], reap: Callable[[], None]
    ) -> None:
        """Nothing is taken yet.

        :param evict: close the connection of a slot of ours if it is idle
        :param reap: there are orphans to look after; returns at once
        :raises ValueError: more connections than the table can count
        """
        if limits.total >= MAX_SLOTS:
            raise ValueError(f"at most {MAX_SLOTS} connections can be counted, not {limits.total + 1}")
        self._table = table
        self._limits = limits
        self._evict = evict
        self._reap = reap
        self._waiters: dict[int | None, Waiter[Any]] = {}  # ticket → its waiter, of this process; under the mutex
        self._spare = max(1, min(MOST_SPARE, limits.total // SPARE_SHARE))
        # Under the mutex: when one of the last slots was taken, which databases lost a connection for the next, and
        # until when none does.
        self._spent: deque[float] = deque(maxlen=PRESSURE_COUNT)
        self._closed_ahead: deque[int] = deque(maxlen=2 * self._spare)
        self._calm_until = 0.0

    # A slot's own worker writes the state of its connection without the mutex: no other worker writes it.

    def connected(self, slot: int, backend: int) -> None:
        """Mark the slot of a new connection that is leased."""
        self._table.backends[slot] = backend
        self._table.states[slot] = BUSY

    def busy(self, slot: int) -> None:
        """Mark it as leased."""
        self._table.states[slot] = BUSY

    def idle(self, slot: int) -> None:
        """Mark it as idle; it may be evicted from now on."""
        table, now = self._table, monotonic()
        table.since[slot] = table.last_uses[table.databases[slot] % LAST_USES] = now
        table.states[slot] = IDLE

    def closing(self, slot: int) -> None:
        """Mark it as closing: PostgreSQL ends the backend."""
        self._table.states[slot] = CLOSING

    def lost(self, slot: int) -> None:
        """Mark it as lost: the connection has ended, and the state of the backend is unknown."""
        self._table.since[slot] = monotonic()
        self._table.states[slot] = LOST

    def idle_since(self, slot: int) -> float:
        """When its connection was put back, on the clock of ``time.monotonic``. Only for a slot that is idle."""
        return self._table.since[slot]

    @property
    def contended(self) -> bool:
        """Return whether any worker waits for a connection."""
        return self._table.waiting > 0

    def acquire(self, waiter: Waiter[Any], deadline: float, still_there: Callable[[], None]) -> int | None:
        """Wait in turn for a slot. None when a connection was given to *waiter* meanwhile, which it keeps.

        :param deadline: on the clock of ``time.monotonic``
        :param still_there: raises when waiting has become pointless
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
                    raise PoolExhausted("no connection became free within the wait limit", retry_after=1)
                if waiter.wait_for_news(min(remaining, RECHECK_SECONDS)) is not None:
                    return None
                still_there()
        finally:
            if waiter.ticket is not None:
                self._give_up(waiter)

    def free(self, slot: int) -> None:
        """Free the slot for the next waiter: the backend has ended, or there never was one."""
        with self._table.mutex:
            self._table.free_slot(slot)
            chosen = self._next_in_turn()
        self._tell(*chosen)

    def yields(self, slot: int, front: Waiter[Any] | None) -> bool:
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

    def attend(self) -> None:
        """Do what other workers asked of this one: close idle connections, wake those whose turn it is."""
        table = self._table
        for slot in compress(range(table.high), table.wanted):
            if table.owners[slot] == table.generation and table.states[slot] != FREE:
                self._evict(slot)
                table.wanted[slot] = 0.0
        if self.contended:
            with table.mutex:
                waiters, _ = self._next_in_turn()
            self._tell(waiters, ())

    def close_idle(self, key: int) -> None:
        """Have every worker close its idle connections to a database."""
        with self._table.mutex:
            snapshot = self._snapshot()
            victims = snapshot.idle(key=key)
            workers = self._want(snapshot, victims)
        self._evict_all(snapshot, victims, workers)

    def existing(self, *, held_only: bool = False) -> tuple[int, int]:
        """How many connections exist over all workers, and to how many databases.

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
        taken = zip(snapshot.databases, snapshot.states, strict=True)
        waiting: dict[int, tuple[float, ...]] = {}
        for ticket in snapshot.tickets:
            waiting[ticket.key] = (*waiting.get(ticket.key, ()), snapshot.at - ticket.arrival)
        return Occupancy(
            connections=Counter((key, STATE_NAMES[state]) for key, state in taken if state != FREE),
            waiting=waiting,
            workers=len(snapshot.living),
        )

    def has_lost(self) -> bool:
        """Whether there is a connection of which nothing is known. Without the mutex."""
        return LOST in bytes(self._table.states[: self._table.high])

    def changed(self, key: int) -> None:
        """Something was deployed to a database."""
        with self._table.mutex:
            self._table.changes[key % CHANGE_COUNTERS] += 1

    def changes(self, key: int) -> int:
        """Return a number that changes with every deploy to a database, by any worker. Without the mutex."""
        return self._table.changes[key % CHANGE_COUNTERS]

    def own_slots(self) -> int:
        """How many slots this process is in charge of."""
        table = self._table
        return sum(
            table.states[slot] not in (FREE, LOST) and table.owners[slot] == table.generation
            for slot in range(table.high)
        )

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
        """Its backend is gone. Nothing happens if another worker found that out first."""
        with self._table.mutex:
            if self._table.states[orphan.slot] != LOST or self._table.backends[orphan.slot] != orphan.backend:
                return
            self._table.free_slot(orphan.slot)
            chosen = self._next_in_turn()
        self._tell(*chosen)

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
            if waiter.ticket is None and snapshot.free <= self._spare:
                self._note_return(snapshot, waiter.key)
            ahead = snapshot.ahead_of(self._ticket_of(waiter))
            slot, victims = None, []
            if not snapshot.has_share(waiter.key):
                victims = snapshot.to_close(1 - len(snapshot.slots(CLOSING, key=waiter.key)), key=waiter.key)
            elif ahead < snapshot.free:
                self._drop_ticket(waiter)
                slot = table.take_slot(waiter.key, snapshot.at)
                victims = self._ahead_of_need(snapshot, waiter.key)
            else:
                victims = snapshot.to_close(ahead + 1 - snapshot.free - snapshot.ending)
            if slot is None:
                self._add_ticket(waiter)
            workers = self._want(snapshot, victims)
        self._evict_all(snapshot, victims, workers)
        if slot is None and snapshot.orphans():
            self._reap()
        return slot

    def _note_return(self, snapshot: TableSnapshot, key: int) -> None:
        """Count the database in among those that need a first connection when there is little room."""
        if not snapshot.per_database[key]:
            away = snapshot.at - self._table.last_uses[key % LAST_USES]
            self._table.returning[0] = share_of_returning(snapshot.returning, away, snapshot.longest_idle)

    def _ahead_of_need(self, snapshot: TableSnapshot, key: int) -> list[int]:
        """Return the slots to close after one was taken for *key*, so that the next requests need not wait.

        Only while there are more databases than slots: not if connections closed in this way are needed again at once.
        """
        lacking = self._spare - (snapshot.free - 1)
        if lacking <= 0:
            return []
        if key in self._closed_ahead:
            self._calm_until = snapshot.at + CALM_SECONDS
        self._spent.append(snapshot.at)
        pressed = len(self._spent) == PRESSURE_COUNT and snapshot.at - self._spent[0] < PRESSURE_SECONDS
        if not pressed or snapshot.at < self._calm_until:
            return []
        victims = snapshot.to_close(lacking - snapshot.ending)
        self._closed_ahead.extend(snapshot.databases[slot] for slot in victims)
        return victims

    def _give_up(self, waiter: Waiter[Any]) -> None:
        """Leave the queue without a slot; it may be the turn of the next waiter now."""
        with self._table.mutex:
            self._drop_ticket(waiter)
            chosen = self._next_in_turn()
        self._tell(*chosen)

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

    def _want(self, snapshot: TableSnapshot, victims: list[int]) -> set[int]:
        """Mark the slots as requested; return the other workers that own some of them."""
        for slot in victims:
            self._table.wanted[slot] = snapshot.at
        return {snapshot.living[snapshot.owners[slot]] for slot in victims} - {self._table.worker}

    def _evict_all(self, snapshot: TableSnapshot, victims: list[int], workers: set[int]) -> None:
        for slot in victims:
            if snapshot.owners[slot] == self._table.generation:
                self._evict(slot)
                self._table.wanted[slot] = 0.0
        self._tell((), workers)

    def _next_in_turn(self) -> tuple[list[Waiter[Any]], set[int]]:
        """Return the waiters that may take a slot now: own waiters, and the workers of the others. Under the mutex."""
        if not self.contended or self._table.used > self._limits.total:
            return [], set()
        snapshot = self._snapshot()
        chosen = snapshot.queue()[: snapshot.free]
        ours = [self._waiters[ticket.number] for ticket in chosen if ticket.number in self._waiters]
        return ours, {snapshot.living[ticket.owner] for ticket in chosen} - {self._table.worker}

    def _tell(self, waiters: Iterable[Waiter[Any]], workers: Iterable[int]) -> None:
        for waiter in waiters:
            waiter.wake()
        for worker in workers:
            self._table.ring(worker)

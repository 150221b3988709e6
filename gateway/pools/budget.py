"""Who may have a connection, and who makes room: the decisions about the shared table.

Every decision is made under the table's mutex from one view of it; what follows from a decision (closing a
connection, waking a thread, ringing another worker) happens after the mutex is released.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from gateway.errors import PoolExhausted
from gateway.pools.table import BUSY, CLOSING, FREE, IDLE, LOST, MAX_SLOTS, SharedTable
from gateway.pools.waiter import Waiter

RECHECK_SECONDS: Final = 0.25  #: how long a waiter trusts that nobody died before waking it
TAKEOVER_SECONDS: Final = 1.0  #: see Budget.take_over


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The table at one moment."""

    states: bytes  #: up to the highest slot ever taken
    owners: list[int]
    databases: list[int]
    living: dict[int, int]  #: generation → number of every living worker
    used: int  #: slots that are not free: connections that exist, or may
    per_database: Counter[int]  #: connections of each database that exist
    staying: Counter[int]  #: those of them that are not on their way out

    def orphaned(self, slot: int) -> bool:
        """Whether no process is in charge of the slot's backend."""
        state = self.states[slot]
        return state == LOST or (state != FREE and self.owners[slot] not in self.living)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A slot whose connection no process has, while its backend may live on."""

    slot: int
    backend: int  #: the backend's process id; 0 when the connection was never finished
    seconds: float  #: for how long it has been known as an orphan


class Budget:
    """The one budget of all workers, as this process sees and uses it."""

    def __init__(
        self,
        table: SharedTable,
        *,
        limit: int,
        per_database: int,
        unlimited_key: int,
        evict: Callable[[int], None],
        reap: Callable[[], None],
    ) -> None:
        """Nothing is taken yet.

        :param limit: connections that may exist, all databases, all workers
        :param per_database: connections to one database, all workers
        :param unlimited_key: the maintenance database, which *per_database* does not hold for
        :param evict: close the connection of a slot of ours if it is idle
        :param reap: there are orphans to look after; returns at once
        """
        if limit > MAX_SLOTS:
            raise ValueError(f"at most {MAX_SLOTS} connections can be counted, not {limit}")
        self._table = table
        self._limit = limit
        self._per_database = per_database
        self._unlimited_key = unlimited_key
        self._evict = evict
        self._reap = reap
        self._waiters: dict[int, Waiter] = {}  # ticket → its waiter, of this process; under the mutex

    # A slot's own worker says what its connection does, without the mutex: nobody else writes there.

    def connected(self, slot: int, backend: int) -> None:
        """The connection is made, and given to somebody."""
        self._table.backends[slot] = backend
        self._table.states[slot] = BUSY

    def busy(self, slot: int) -> None:
        """It is given out."""
        self._table.states[slot] = BUSY

    def idle(self, slot: int) -> None:
        """It was put back, and may be closed to make room from now on."""
        self._table.since[slot] = monotonic()
        self._table.states[slot] = IDLE

    def closing(self, slot: int) -> None:
        """The backend was told to end."""
        self._table.since[slot] = monotonic()
        self._table.states[slot] = CLOSING

    def lost(self, slot: int) -> None:
        """The connection is no more, and nothing is known of the backend."""
        self._table.since[slot] = monotonic()
        self._table.states[slot] = LOST

    def idle_since(self, slot: int) -> float:
        """When its connection was put back, on the clock of ``time.monotonic``. Only for a slot that is idle."""
        return float(self._table.since[slot])

    @property
    def contended(self) -> bool:
        """Whether anybody on this machine waits for a connection."""
        return self._table.waiting > 0

    def acquire(self, waiter: Waiter, deadline: float, still_there: Callable[[], None]) -> int | None:
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
        """The backend is gone, or there never was one: its slot is for the next in turn."""
        with self._table.mutex:
            self._table.free_slot(slot)
            waiters, workers = self._next_in_turn()
        self._tell(waiters, workers)

    def yields(self, slot: int, front: Waiter | None) -> bool:
        """Whether the connection of *slot*, just given back, must be closed for somebody who waits elsewhere.

        :param front: who waits longest for this connection in its own pool, if anybody does
        """
        table = self._table
        with table.mutex:
            view = self._view()
            key = view.databases[slot]
            queue = self._queue(view, leaving=key)
            soon = max(0, self._limit - view.used) + view.states.count(CLOSING)
            if soon >= len(queue):
                return False
            ticket = queue[soon]
            if front is None:
                return True
            older = table.ticket_arrivals[ticket] < front.arrival
            if table.ticket_urgent[ticket]:
                return bool(older)
            other = table.ticket_databases[ticket]
            if other == key:
                mine = self._share(view, key, table.generation)
                return bool(older and self._share(view, key, table.ticket_owners[ticket]) < mine)
            share, mine = view.staying[other], view.staying[key]
            return bool((share == 0 and (older or mine > 1)) or share + 1 < mine)

    def attend(self) -> None:
        """Do what other workers asked of this one: close idle connections, wake those whose turn it is."""
        table = self._table
        mine = [slot for slot in range(table.high) if table.wanted[slot] and table.owners[slot] == table.generation]
        for slot in mine:
            if table.states[slot] != FREE:
                self._evict(slot)
                table.wanted[slot] = 0
        with table.mutex:
            waiters, _ = self._next_in_turn()
        self._tell(waiters, set())

    def close_idle(self, key: int) -> None:
        """Have every worker close its idle connections to a database."""
        with self._table.mutex:
            view = self._view()
            victims = [s for s, state in enumerate(view.states) if state == IDLE and view.databases[s] == key]
            owners = self._want(view, victims)
        self._evict_all(victims, view, owners)

    def existing(self) -> tuple[int, int]:
        """How many connections exist over all workers, and to how many databases."""
        with self._table.mutex:
            view = self._view()
        return view.used, len(view.per_database)

    def orphans(self) -> list[Orphan]:
        """The slots nobody is in charge of; from now on they count as lost, so their age is known."""
        table, now = self._table, monotonic()
        with table.mutex:
            view = self._view()
            found = [slot for slot in range(len(view.states)) if view.orphaned(slot)]
            for slot in found:
                if view.states[slot] != LOST:
                    table.since[slot] = now
                    table.states[slot] = LOST
            return [Orphan(slot=slot, backend=table.backends[slot], seconds=now - table.since[slot]) for slot in found]

    def free_orphan(self, orphan: Orphan) -> None:
        """Its backend is gone. Nothing happens if another worker found that out first."""
        with self._table.mutex:
            still = self._table.states[orphan.slot] == LOST and self._table.backends[orphan.slot] == orphan.backend
            if not still:
                return
            self._table.free_slot(orphan.slot)
            waiters, workers = self._next_in_turn()
        self._tell(waiters, workers)

    def take_over(self, key: int) -> int | None:
        """A slot to look after orphans with, when all are spent and orphans are among them.

        Looking needs a connection, and there is no room for it until somebody has looked. So one slot that has been
        lost for TAKEOVER_SECONDS is taken for gone: its sockets are closed at this end, and an idle backend ends with
        its socket, a busy one at its next look at it.
        """
        table, now = self._table, monotonic()
        with table.mutex:
            view = self._view()
            if view.used < self._limit or view.states.count(IDLE):
                return None
            lost = [s for s, state in enumerate(view.states) if state == LOST]
            oldest = min(lost, key=lambda slot: float(table.since[slot]), default=None)
            if oldest is None or now - table.since[oldest] < TAKEOVER_SECONDS:
                return None
            table.free_slot(oldest)
            return table.take_slot(key, now)

    def _take(self, waiter: Waiter) -> int | None:
        """A slot, if it is the waiter's turn and there is one; else a ticket, and room is being made."""
        table = self._table
        with table.mutex:
            view = self._view()
            queue = self._queue(view)
            free = self._limit - view.used
            ahead = self._ahead(view, queue, waiter)
            victims: list[int] = []
            if not self._has_share(view, waiter.key):
                victims = self._idle_longest(view, 1, key=waiter.key)
            elif ahead < free:
                self._drop_ticket(waiter)
                return table.take_slot(waiter.key, monotonic())
            else:
                coming = free + view.states.count(CLOSING)
                victims = self._idle_longest(view, ahead + 1 - coming)
            if waiter.ticket is None:
                waiter.ticket = table.add_ticket(waiter.key, waiter.arrival, urgent=waiter.urgent)
                if waiter.ticket is not None:
                    self._waiters[waiter.ticket] = waiter
            owners = self._want(view, victims)
            orphaned = any(view.orphaned(slot) for slot in range(len(view.states)))
        self._evict_all(victims, view, owners)
        if orphaned:
            self._reap()
        return None

    def _give_up(self, waiter: Waiter) -> None:
        """Leave the queue without a slot; whoever was behind may have its turn now."""
        with self._table.mutex:
            self._drop_ticket(waiter)
            waiters, workers = self._next_in_turn()
        self._tell(waiters, workers)

    def _drop_ticket(self, waiter: Waiter) -> None:
        if waiter.ticket is not None:
            self._waiters.pop(waiter.ticket, None)
            self._table.remove_ticket(waiter.ticket)
            waiter.ticket = None

    def _view(self) -> View:
        table, high = self._table, self._table.high
        states, databases = bytes(table.states[:high]), table.databases[:high].tolist()
        existing = [(key, state) for key, state in zip(databases, states, strict=True) if state != FREE]
        return View(
            states=states,
            owners=table.owners[:high].tolist(),
            databases=databases,
            living=table.living(),
            used=len(existing),
            per_database=Counter(key for key, _ in existing),
            staying=Counter(key for key, state in existing if state not in (CLOSING, LOST)),
        )

    def _has_share(self, view: View, key: int, leaving: int | None = None) -> bool:
        """Whether one more connection to the database is within its limit, once one to *leaving* is gone."""
        return key == self._unlimited_key or view.per_database[key] - (key == leaving) < self._per_database

    def _rank(self, view: View, key: int, arrival: float, *, urgent: bool) -> tuple[int, float]:
        """Administration first, then databases with the fewest connections, and among equals the longest wait."""
        return (-1 if urgent else view.staying[key], arrival)

    def _queue(self, view: View, leaving: int | None = None) -> list[int]:
        """The tickets that could use a slot, in turn."""
        table = self._table
        ranked = sorted(
            (self._rank(view, key, table.ticket_arrivals[ticket], urgent=bool(table.ticket_urgent[ticket])), ticket)
            for ticket in table.tickets(view.living)
            if self._has_share(view, key := table.ticket_databases[ticket], leaving)
        )
        return [ticket for _, ticket in ranked]

    def _ahead(self, view: View, queue: list[int], waiter: Waiter) -> int:
        """How many go before *waiter*."""
        if waiter.ticket in queue:
            return queue.index(waiter.ticket)
        table, rank = self._table, self._rank(view, waiter.key, waiter.arrival, urgent=waiter.urgent)
        return sum(
            self._rank(
                view,
                table.ticket_databases[ticket],
                table.ticket_arrivals[ticket],
                urgent=bool(table.ticket_urgent[ticket]),
            )
            < rank
            for ticket in queue
        )

    def _share(self, view: View, key: int, owner: int) -> int:
        """How many connections one worker has to a database."""
        return sum(
            1
            for slot, state in enumerate(view.states)
            if state not in (FREE, CLOSING, LOST) and view.databases[slot] == key and view.owners[slot] == owner
        )

    def _idle_longest(self, view: View, count: int, *, key: int | None = None) -> list[int]:
        """The *count* slots to close, longest idle first; those asked for already are part of the count."""
        table = self._table
        idle = [
            slot
            for slot, state in enumerate(view.states)
            if state == IDLE and view.owners[slot] in view.living and key in (None, view.databases[slot])
        ]
        asked = sum(table.wanted[slot] for slot in idle)
        if key is not None:
            asked += sum(s == CLOSING and d == key for s, d in zip(view.states, view.databases, strict=True))
        idle = sorted((slot for slot in idle if not table.wanted[slot]), key=lambda slot: float(table.since[slot]))
        return idle[: max(0, count - asked)]

    def _want(self, view: View, victims: list[int]) -> set[int]:
        """Mark the slots as asked for; gives the other workers that have some of them."""
        for slot in victims:
            self._table.wanted[slot] = 1
        return {view.living[view.owners[slot]] for slot in victims} - {self._table.worker}

    def _evict_all(self, victims: list[int], view: View, workers: set[int]) -> None:
        for slot in victims:
            if view.owners[slot] == self._table.generation:
                self._evict(slot)
                self._table.wanted[slot] = 0
        for worker in workers:
            self._table.ring(worker)

    def _next_in_turn(self) -> tuple[list[Waiter], set[int]]:
        """Those who may take a slot now: our waiters, and the workers where the others wait. Under the mutex."""
        if not self.contended:
            return [], set()
        table = self._table
        view = self._view()
        queue = self._queue(view)[: max(0, self._limit - view.used)]
        ours = [self._waiters[ticket] for ticket in queue if ticket in self._waiters]
        others = {view.living[table.ticket_owners[t]] for t in queue if table.ticket_owners[t] != table.generation}
        return ours, others

    def _tell(self, waiters: list[Waiter], workers: set[int]) -> None:
        for waiter in waiters:
            waiter.wake()
        for worker in workers:
            self._table.ring(worker)

"""One reading of the shared table, and the queries of the budget on it. Pure: nothing is changed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from time import monotonic
from typing import Final

from gateway.pools.eviction import ranks_to_close
from gateway.pools.table import CLOSING, FREE, IDLE, LOST, OBSERVER, ON_RETURN, SharedTable

#: Of each state, whether the connection stays; FREE is 0, so that states themselves say which slots have one.
_STAYING: Final = bytes(state not in (FREE, CLOSING, LOST) for state in range(256))
_IDLE: Final = bytes(state == IDLE for state in range(256))  #: the same for whether it is idle

EVICTION_SECONDS: Final = 0.2  #: within which a worker closes a connection to be evicted; it takes about 1 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections may exist, over all workers."""

    total: int  #: to all databases; one more is the observer's
    per_database: int  #: to one of them
    unlimited_key: int  #: the maintenance database, which *per_database* does not hold for

    def of_database(self, key: int) -> int:
        """Return the limit for one database."""
        return self.total if key == self.unlimited_key else min(self.per_database, self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A pool or a deploy that waits for a slot: its place in the queue of all workers."""

    number: int | None  #: in the table; None while it is not there
    owner: int  #: the generation of the worker where it waits
    key: int  #: the database
    arrival: float  #: since when, on the clock of ``time.monotonic``
    urgent: bool  #: administration


@dataclass(frozen=True, kw_only=True)
class TableSnapshot:
    """One reading of the table, made under its mutex. Its counts are cached, so it has no ``__slots__``."""

    limits: Limits
    states: bytes  #: up to the highest slot ever taken
    owners: list[int]
    databases: list[int]
    since: Sequence[float]
    requested: Sequence[float]
    at: float  #: when the table was read, on the clock of ``time.monotonic``
    living: dict[int, int]  #: generation → number of every living worker
    tickets: list[Ticket]
    returning: float = 0.0  #: see ``share_of_returning``

    @cached_property
    def per_database(self) -> Counter[int]:
        """The number of connections of each database that exist."""
        return Counter(compress(self.databases, self.states))

    @cached_property
    def staying(self) -> Counter[int]:
        """The number of connections of each database that are not ending."""
        return Counter(compress(self.databases, self.states.translate(_STAYING)))

    @classmethod
    def of(cls, table: SharedTable, limits: Limits) -> TableSnapshot:
        """Read *table*. Under its mutex."""
        high, living = table.high, table.living()
        return cls(
            limits=limits,
            states=bytes(table.states[:high]),
            owners=table.owners[:high].tolist(),
            databases=table.databases[:high].tolist(),
            since=table.since[:high].tolist(),
            requested=table.requested[:high].tolist(),
            at=monotonic(),
            living=living,
            tickets=[
                Ticket(
                    number=number,
                    owner=table.ticket_owners[number],
                    key=table.ticket_databases[number],
                    arrival=table.ticket_arrivals[number],
                    urgent=bool(table.ticket_urgent[number]),
                )
                for number in table.tickets(living)
            ],
            returning=table.returning[0],
        )

    @property
    def used(self) -> int:
        """The number of slots that are not free: connections that exist, or may exist."""
        return len(self.states) - self.states.count(FREE)

    @property
    def free(self) -> int:
        """The number of connections that may be made now, without the observer's.

        Never below zero, also if the limit was lowered by a reload.
        """
        return max(0, self.limits.total - self.used + self.per_database[OBSERVER])

    @property
    def ending(self) -> int:
        """Return the number of terminated backends that have not ended yet."""
        return self.states.count(CLOSING)

    def slots(self, state: int, *, key: int | None = None) -> list[int]:
        """Return the slots in *state*, of all databases or of one."""
        slots = [slot for slot, its_state in enumerate(self.states) if its_state == state]
        return slots if key is None else [slot for slot in slots if self.databases[slot] == key]

    def idle(self, *, key: int | None = None) -> list[int]:
        """Return the slots whose connection a running worker can close at once, of all databases or of one."""
        return [slot for slot in self.slots(IDLE, key=key) if self.owners[slot] in self.living]

    def orphans(self) -> list[int]:
        """Return the slots whose backend has no running worker."""
        return [
            slot
            for slot, state in enumerate(self.states)
            if state == LOST or (state != FREE and self.owners[slot] not in self.living)
        ]

    def has_share(self, key: int, *, leaving: int | None = None) -> bool:
        """Return whether one more connection to a database is within its limit, after one to *leaving* has ended."""
        if key == self.limits.unlimited_key:
            return True
        return self.per_database[key] - (key == leaving) < self.limits.per_database

    def rank(self, ticket: Ticket) -> tuple[int, float]:
        """Return the sort key of a ticket: administration, then databases with few connections, then long waits."""
        return (-1 if ticket.urgent else self.staying[ticket.key], ticket.arrival)

    def queue(self, *, leaving: int | None = None) -> list[Ticket]:
        """Return the tickets that could use a slot, in turn."""
        return sorted((t for t in self.tickets if self.has_share(t.key, leaving=leaving)), key=self.rank)

    def ahead_of(self, ticket: Ticket) -> int:
        """Return the number of tickets that could use a slot and go before *ticket*, which need not be in the table."""
        rank = self.rank(ticket)
        return sum(self.rank(other) < rank for other in self.queue())

    def in_need(self, key: int, worker: int) -> Ticket | None:
        """Return the first waiter for which a connection of *worker* to the database *key* must be closed.

        Waiters for which free slots and ending connections suffice do not count, nor does the connection's own pool.
        """
        soon = self.free + self.ending
        soon_here = soon if self.has_share(key) else len(self.slots(CLOSING, key=key))
        for ticket in self.queue(leaving=key):
            here = ticket.key == key
            if here and ticket.owner == worker and not ticket.urgent:
                continue
            if soon <= 0 or (here and soon_here <= 0):
                return ticket
            soon -= 1
            soon_here -= here
        return None

    def goes_before(self, ticket: Ticket, front: Ticket) -> bool:
        """Return whether a connection is closed for *ticket* although *front* waits in the connection's own pool.

        Only if that evens out the distribution, so that connections do not move back and forth: if the ticket's pool
        has none and has waited longer, or has none and this pool several, or would still have fewer than this pool.
        """
        older = ticket.arrival < front.arrival
        if ticket.urgent:
            return older
        if ticket.key == front.key:
            return older and self._of_worker(ticket) < self._of_worker(front)
        theirs, ours = self.staying[ticket.key], self.staying[front.key]
        return (theirs == 0 and (older or ours > 1)) or theirs + 1 < ours

    def _of_worker(self, ticket: Ticket) -> int:
        """Return the number of connections that the ticket's worker has to its database."""
        return sum(
            state not in (FREE, CLOSING, LOST) and key == ticket.key and owner == ticket.owner
            for state, key, owner in zip(self.states, self.databases, self.owners, strict=True)
        )

    @property
    def longest_idle(self) -> float:
        """The seconds for which the least recently used connection has been idle; 0 if none is idle."""
        return self.at - min(compress(self.since, self.states.translate(_IDLE)), default=self.at)

    def to_close(self, count: int, *, key: int | None = None) -> list[int]:
        """Return the idle slots to close so that *count* end; those requested recently are part of them.

        Those requested EVICTION_SECONDS ago are not: their worker may be stopped, or the requesting worker was killed
        before it could notify. They are requested again if nothing else is idle.

        :param key: only of this database, and then the longest idle
        """
        if count <= 0:
            return []
        requested, idle = self.requested, self.idle(key=key)
        idle.sort(key=self.since.__getitem__)
        pending = [slot for slot in idle if 0.0 < requested[slot] < ON_RETURN]
        if pending:
            idle = [slot for slot in idle if not 0.0 < requested[slot] < ON_RETURN]
            ignored = [slot for slot in pending if requested[slot] <= self.at - EVICTION_SECONDS]
            count -= len(pending) - len(ignored)
        chosen = [idle[rank] for rank in ranks_to_close(count, len(idle), self.returning if key is None else 0.0)]
        return chosen + ignored[: max(0, count - len(chosen))] if pending else chosen

"""The state of the budget in numbers, for health, metrics and operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from gateway.pools.snapshot import TableSnapshot
from gateway.pools.table import BUSY, CLOSING, CONNECTING, FREE, IDLE, LOST

STATE_NAMES: Final = {
    CONNECTING: "connecting", BUSY: "busy", IDLE: "idle", CLOSING: "closing", LOST: "lost",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """The budget over all workers of the machine, and the leases of this process."""

    active_pools: int  #: databases that have a connection
    total_connections: int  #: connections that exist, starting and ending ones included
    max_total_connections: int
    hits: int  #: leases of this process served by an idle connection
    misses: int  #: leases of this process that had to wait, or to connect


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
        """Return the number of connections in each state, zeros included."""
        counts = dict.fromkeys(STATE_NAMES.values(), 0)
        for (_, state), count in self.connections.items():
            counts[state] += count
        return counts

    @classmethod
    def of(cls, snapshot: TableSnapshot) -> Self:
        """Count the connections and the waiters of *snapshot*."""
        taken = zip(snapshot.databases, snapshot.states, strict=True)
        waiting: dict[int, tuple[float, ...]] = {}
        for ticket in snapshot.tickets:
            waiting[ticket.key] = (*waiting.get(ticket.key, ()), snapshot.at - ticket.arrival)
        return cls(
            connections=Counter((key, STATE_NAMES[state]) for key, state in taken if state != FREE),
            waiting=waiting,
            workers=len(snapshot.living),
        )

"""The decisions of the budget as pure functions of one reading of the table."""

from __future__ import annotations

import pytest

from gateway.pools.snapshot import Limits, TableSnapshot, Ticket
from gateway.pools.table import BUSY, CLOSING, FREE, IDLE, LOST

US, THEM, DEAD = 1, 2, 3
A, B, C, MAINTENANCE = 10, 11, 12, 99
NOW = 1000.0


def view_of(
    *slots: tuple, tickets: tuple = (), total: int = 4, per_database: int = 3, requested: dict | None = None
) -> TableSnapshot:
    """Slots are (state, database, owner, since), the last two optional; the workers US and THEM are alive."""
    rows = [(*slot, *(A, US, NOW)[len(slot) - 1 :]) for slot in slots]
    return TableSnapshot(
        limits=Limits(total=total, per_database=per_database, unlimited_key=MAINTENANCE),
        states=bytes(row[0] for row in rows),
        databases=[row[1] for row in rows],
        owners=[row[2] for row in rows],
        since=[row[3] for row in rows],
        requested=[(requested or {}).get(slot, 0.0) for slot in range(len(rows))],
        at=NOW,
        living={US: 0, THEM: 1},
        tickets=list(tickets),
    )


def ticket(number: int, key: int = A, *, owner: int = US, arrival: float = 0.0, urgent: bool = False) -> Ticket:
    return Ticket(number=number, owner=owner, key=key, arrival=arrival, urgent=urgent)


def numbers(tickets: list[Ticket]) -> list[int | None]:
    return [ticket.number for ticket in tickets]


def test_everything_but_free_slots_is_used():
    snapshot = view_of((FREE,), (BUSY,), (IDLE,), (CLOSING,), (LOST,), total=6)
    assert (snapshot.used, snapshot.free, snapshot.ending) == (4, 2, 1)


def test_a_lowered_limit_leaves_nothing_free_rather_than_less():
    assert view_of((BUSY,), (BUSY,), (BUSY,), total=2).free == 0


def test_orphans_are_the_lost_and_those_of_dead_workers():
    snapshot = view_of((BUSY,), (BUSY, A, DEAD), (LOST,), (FREE, A, DEAD), (IDLE, A, THEM), (CLOSING, A, DEAD))
    assert snapshot.orphans() == [1, 2, 5]


def test_the_queue_is_by_need_and_then_by_arrival():
    queue = view_of(
        (BUSY, A),
        (BUSY, A),
        (BUSY, B),
        tickets=(
            ticket(1, A, arrival=1),
            ticket(2, B, arrival=2),
            ticket(3, C, arrival=4),
            ticket(4, C, arrival=3),
            ticket(5, A, arrival=5, urgent=True),
        ),
    ).queue()
    assert numbers(queue) == [5, 4, 3, 2, 1]


def test_a_pool_with_its_share_is_not_in_the_queue_unless_one_of_its_connections_ends():
    full = view_of((BUSY, A), (IDLE, A), (CLOSING, A), tickets=(ticket(1, A), ticket(2, B)))
    assert not full.has_share(A)
    assert numbers(full.queue()) == [2]
    assert numbers(full.queue(leaving=A)) == [2, 1]


def test_the_maintenance_database_has_no_share():
    assert view_of(*[(BUSY, MAINTENANCE)] * 4).has_share(MAINTENANCE)


def test_the_longest_idle_first_and_never_busy_dead_or_requested_ones():
    snapshot = view_of(
        (IDLE, A, US, 5.0), (BUSY, A, US, 1.0), (IDLE, B, THEM, 2.0), (IDLE, B, DEAD, 0.0), (IDLE, C, US, 4.0)
    )
    assert snapshot.to_close(2) == [2, 4]
    assert snapshot.to_close(9) == [2, 4, 0]
    assert snapshot.to_close(9, key=A) == [0]
    assert snapshot.to_close(0) == snapshot.to_close(-1) == []


def test_a_recent_request_to_close_counts_and_an_old_one_does_not():
    slots = [(IDLE, A, THEM, 1.0), (IDLE, A, US, 2.0)]
    assert view_of(*slots, requested={0: NOW - 0.1}).to_close(1) == []
    assert view_of(*slots, requested={0: NOW - 1.0}).to_close(1) == [1]


def test_an_old_request_to_close_is_repeated_if_nothing_else_is_idle():
    slots = [(IDLE, A, THEM, 1.0), (IDLE, A, US, 2.0)]
    assert view_of(*slots, requested={0: NOW - 1.0}).to_close(2) == [1, 0]
    assert view_of(*slots, requested={0: NOW - 1.0, 1: NOW - 0.1}).to_close(2) == [0]
    assert view_of(*slots, requested={0: NOW - 1.0, 1: NOW - 1.0}).to_close(1) == [0]


@pytest.mark.parametrize(
    ("others", "tickets", "needy"),
    [
        pytest.param([(BUSY, B)] * 3, [], None, id="nobody waits"),
        pytest.param([(BUSY, B)] * 3, [ticket(1, C)], 1, id="nothing is free"),
        pytest.param([(FREE,)] + [(BUSY, B)] * 2, [ticket(1, C)], None, id="a free slot will do"),
        pytest.param([(CLOSING, B)] + [(BUSY, B)] * 2, [ticket(1, C)], None, id="an ending one will do"),
        pytest.param([(CLOSING, B)] * 3, [ticket(n, C, arrival=n) for n in range(5)], 3, id="one more than are ending"),
        pytest.param([(BUSY, B)] * 3, [ticket(1, A)], None, id="its own pool is served without closing"),
        pytest.param([(BUSY, B)] * 3, [ticket(1, A, owner=THEM)], 1, id="the same database in another worker"),
        pytest.param([(BUSY, B)] * 3, [ticket(1, A, urgent=True)], 1, id="its own database's administration"),
        pytest.param(
            [(BUSY, A), (BUSY, A), (FREE,)], [ticket(1, A, owner=THEM)], 1, id="no share though slots are free"
        ),
        pytest.param([(BUSY, A), (CLOSING, A), (FREE,)], [ticket(1, A, owner=THEM)], None, id="a share is coming free"),
        pytest.param([(BUSY, B)] * 3, [ticket(1, B, owner=THEM)], None, id="who has its share cannot be helped"),
    ],
)
def test_which_pool_needs_a_connection_to_be_closed(others, tickets, needy):
    found = view_of((BUSY, A), *others, tickets=tuple(tickets)).in_need(A, US)
    assert (found and found.number) == needy


FRONT = ticket(9, A, arrival=10)


@pytest.mark.parametrize(
    ("slots", "waiting", "expected"),
    [
        pytest.param([(BUSY, A)], ticket(1, B, arrival=5), True, id="none, and longer"),
        pytest.param([(BUSY, A)], ticket(1, B, arrival=15), False, id="none, but not longer, and the pool has one"),
        pytest.param([(BUSY, A)] * 2, ticket(1, B, arrival=15), True, id="none, and the pool has several"),
        pytest.param([(BUSY, A)] * 2 + [(BUSY, B)], ticket(1, B, arrival=5), False, id="would be equal the other way"),
        pytest.param([(BUSY, A)] * 3 + [(BUSY, B)], ticket(1, B, arrival=15), True, id="fewer, even then"),
        pytest.param([(BUSY, A)] * 3, ticket(1, A, owner=THEM, arrival=5), True, id="another worker with fewer"),
        pytest.param(
            [(BUSY, A), (BUSY, A, THEM)], ticket(1, A, owner=THEM, arrival=5), False, id="another, with as many"
        ),
        pytest.param([(BUSY, A)] * 3, ticket(1, A, owner=THEM, arrival=15), False, id="another worker, not longer"),
        pytest.param([(BUSY, A)], ticket(1, B, arrival=5, urgent=True), True, id="administration, longer"),
        pytest.param([(BUSY, A)] * 3, ticket(1, B, arrival=15, urgent=True), False, id="administration, not longer"),
    ],
)
def test_which_pools_have_precedence_over_the_own_pool(slots, waiting, expected):
    assert view_of(*slots).goes_before(waiting, FRONT) is expected

"""Leases that wait: their order, their wait limit, and the growth of the pool that they cause."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from gateway.errors import ClientGone, PoolExhausted
from gateway.steps import Event
from tests.gateway.pools.conftest import pid_of
from tests.support.waiting import PATIENCE_SECONDS, wait_until


def test_a_pool_with_as_many_connections_as_it_may_have_sends_no_waiter_to_make_one(make_registry, databases):
    registry, (name,) = make_registry(max_connections_per_pool=2), databases(1)
    with registry.lease(name), registry.lease(name) as connection:
        waiting = [registry.lease_steps(name) for _ in range(3)]
        turns = [next(steps) for steps in waiting]
        assert not any(turn.is_ready for turn in turns)
        connection.close()
    with pytest.raises(StopIteration) as stop:  # the first has the other connection
        waiting[0].send(Event.READY)
    assert turns[1].needs_thread  # and the second may replace the one that was closed
    assert not turns[2].is_ready
    for steps in waiting:
        steps.close()
    registry.give_back(stop.value.value)


def test_a_full_pool_whose_connection_was_never_returned_makes_another(make_registry, databases):
    registry, (name,) = make_registry(max_connections_per_pool=1, idle_timeout_seconds=0.2), databases(1)
    lease = registry.lease(name)
    connection = lease.__enter__()
    connection._closed = True  # so that psycopg does not warn of what is done on purpose
    del connection, lease
    assert pid_of(registry, name) > 0


def test_a_lease_waits_in_turn_until_the_timeout(make_registry, databases):
    registry, (name,) = make_registry(max_total_connections=1, wait_timeout_seconds=0.3), databases(1)
    with registry.lease(name), ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        with pytest.raises(PoolExhausted) as caught:
            threads.submit(pid_of, registry, name).result()
        assert time.monotonic() - began >= 0.3
    assert caught.value.facts == {"retry_after": 1}
    pid_of(registry, name)


def test_waiting_threads_get_the_connection_in_the_order_they_came(make_registry, databases):
    registry, (name,) = make_registry(max_total_connections=1), databases(1)
    order: list[int] = []

    def wait(number: int) -> None:
        with registry.lease(name):
            order.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(5)]
    pool = registry.pool_of(name)
    with registry.lease(name):
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda expected=number + 1: len(pool._waiting) == expected)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_steps_and_threads_wait_in_one_queue(make_registry, databases):
    registry, (name,) = make_registry(max_total_connections=1), databases(1)
    pool = registry.pool_of(name)
    order: list[str] = []

    def wait(who: str) -> None:
        with registry.lease(name):
            order.append(who)

    def begin(who: str) -> None:
        """Wait as the loop does, by a callback."""
        steps = registry.lease_steps(name)
        turn = next(steps)
        turn.listen(lambda: told.put((who, steps, turn)))

    told: SimpleQueue = SimpleQueue()
    threads = {who: threading.Thread(target=wait, args=(who,)) for who in ("first", "third")}
    with registry.lease(name):
        for number, who in enumerate(("first", "second", "third", "fourth")):
            if who in threads:
                threads[who].start()
            else:
                begin(who)
            wait_until(lambda expected=number + 1: len(pool._waiting) == expected)
    for expected in ("second", "fourth"):
        while (news := told.get(timeout=PATIENCE_SECONDS))[0] != expected:
            pass  # there may be two callbacks: first in the queue, and connection available
        who, steps, turn = news
        wait_until(lambda last=turn: last.is_ready and not last.needs_thread)
        with pytest.raises(StopIteration) as stop:
            steps.send(Event.READY)
        order.append(who)
        registry.give_back(stop.value.value)
    for thread in threads.values():
        thread.join()
    assert order == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize(("event", "error"), [(Event.LATE, PoolExhausted), (Event.GONE, ClientGone)])
def test_a_waiter_that_stops_leaves_its_place_to_the_next(make_registry, databases, event, error):
    registry, (name, other) = make_registry(max_total_connections=2), databases(2)
    pool = registry.pool_of(name)
    with registry.lease(other), registry.lease(name) as connection:
        leader = registry.lease_steps(name)
        assert next(leader).needs_thread  # it would connect, if there were room
        following = registry.lease_steps(name)
        turn = next(following)
        assert not turn.is_ready
        with pytest.raises(error):
            leader.send(event)
        assert turn.needs_thread
        assert len(pool._waiting) == 1
    assert not turn.needs_thread  # it was given the connection
    with pytest.raises(StopIteration) as stop:
        following.send(Event.READY)
    assert stop.value.value is connection
    registry.give_back(connection)
    assert pool.idle_count == 1


def test_a_pool_makes_a_connection_at_once_when_many_of_its_leases_have_waited(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    pool = registry.pool_of(name)

    def lease_that_waits() -> bool:
        """Wait until the leased connection is given back. Return whether another one was to be made at once."""
        with registry.lease(name):
            steps = registry.lease_steps(name)
            turn = next(steps)
            at_once = turn.needs_thread and turn.seconds_to_grow() == 0
        with pytest.raises(StopIteration) as stop:
            steps.send(Event.READY)
        registry.give_back(stop.value.value)
        return at_once

    assert not lease_that_waits()
    wait_until(lease_that_waits)
    for _ in range(30):
        with registry.lease(name):
            pass
    assert not lease_that_waits()
    assert pool.idle_count == 1


def test_a_pool_without_room_does_not_try_again_at_once_to_make_a_connection(make_registry, databases):
    registry, (name, other) = make_registry(max_total_connections=2), databases(2)
    pool = registry.pool_of(name)

    def wait_in_thread() -> None:
        with registry.lease(name):
            pass

    with registry.lease(other):
        with registry.lease(name):
            for _ in range(20):
                steps = registry.lease_steps(name)
                next(steps)
                with pytest.raises(ClientGone):
                    steps.send(Event.GONE)
            assert pool.needs_more
            thread = threading.Thread(target=wait_in_thread)
            thread.start()
            wait_until(lambda: registry.worker_pools.budget.contended)
        thread.join()
        with registry.lease(name):
            assert not pool.needs_more


def test_a_connection_passed_to_a_waiter_that_has_stopped_is_not_lost(make_registry, databases):
    registry, (name,) = make_registry(max_total_connections=1), databases(1)
    with registry.lease(name) as connection:
        steps = registry.lease_steps(name)
        next(steps)
    with pytest.raises(ClientGone):
        steps.send(Event.GONE)
    with registry.lease(name) as again:
        assert again is connection


def test_a_returned_connection_is_closed_for_a_waiter(make_registry, databases):
    registry, names = make_registry(max_total_connections=1), databases(2)
    with ThreadPoolExecutor(1) as threads:
        with registry.lease(names[0]):
            waiting = threads.submit(pid_of, registry, names[1])
            wait_until(lambda: registry.worker_pools._table.waiting)
        assert waiting.result() > 0
    assert registry.statistics().total_connections == 1

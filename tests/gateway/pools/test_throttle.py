"""Statements of deploys: few at a time while calls run, and otherwise without a limit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import psycopg
import pytest

from gateway.pools import slot_states, throttle
from gateway.pools.throttle import Throttle
from tests.support.waiting import PATIENCE_SECONDS, wait_until

HOUR = 3600.0
LONG_AGO = 60.0  #: less than the uptime of the machine, where a table without a call has 0 as its time


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


class Statement:
    """A statement that runs in a thread until :meth:`end`."""

    def __init__(self, threads: ThreadPoolExecutor, of: Throttle) -> None:
        self.began = Event()
        self._end = Event()
        self._done: Future[None] = threads.submit(self._run, of)

    def _run(self, of: Throttle) -> None:
        with of.turn():
            self.began.set()
            assert self._end.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        self._end.set()
        self._done.result(PATIENCE_SECONDS)


def waiting(of: Throttle) -> int:
    condition: Any = of._condition
    return len(condition._waiters)


@contextmanager
def running(*statements: Statement) -> Iterator[None]:
    try:
        yield
    finally:
        for one in statements:
            one.end()


def test_without_calls_statements_run_together(threads) -> None:
    free = Throttle(lambda: False, 1)
    first, second = Statement(threads, free), Statement(threads, free)
    with running(first, second):
        assert first.began.wait(PATIENCE_SECONDS)
        assert second.began.wait(PATIENCE_SECONDS)


def test_while_calls_run_a_statement_waits_for_the_one_before(threads, monkeypatch) -> None:
    monkeypatch.setattr(throttle, "TURN_SECONDS", HOUR)
    monkeypatch.setattr(throttle, "PAUSE", 0.0)
    one_at_a_time = Throttle(lambda: True, 1)
    first = Statement(threads, one_at_a_time)
    assert first.began.wait(PATIENCE_SECONDS)
    second = Statement(threads, one_at_a_time)
    with running(first, second):
        wait_until(lambda: waiting(one_at_a_time) == 1)
        assert not second.began.is_set()
        first.end()
        assert second.began.wait(PATIENCE_SECONDS)


def test_a_long_statement_delays_the_others_for_a_turn_only(threads, monkeypatch) -> None:
    monkeypatch.setattr(throttle, "TURN_SECONDS", 0.01)
    one_at_a_time = Throttle(lambda: True, 1)
    long = Statement(threads, one_at_a_time)
    assert long.began.wait(PATIENCE_SECONDS)
    after = Statement(threads, one_at_a_time)
    with running(after, long):
        assert after.began.wait(PATIENCE_SECONDS)


def test_as_many_run_at_a_time_as_the_setting_allows(threads, monkeypatch) -> None:
    monkeypatch.setattr(throttle, "TURN_SECONDS", HOUR)
    two_at_a_time = Throttle(lambda: True, 2)
    first, second = (Statement(threads, two_at_a_time) for _ in range(2))
    assert first.began.wait(PATIENCE_SECONDS)
    assert second.began.wait(PATIENCE_SECONDS)
    third = Statement(threads, two_at_a_time)
    with running(first, second, third):
        wait_until(lambda: waiting(two_at_a_time) == 1)
        assert not third.began.is_set()
        second.end()
        assert third.began.wait(PATIENCE_SECONDS)


def test_a_failed_statement_ends_its_turn(monkeypatch) -> None:
    monkeypatch.setattr(throttle, "TURN_SECONDS", HOUR)
    one_at_a_time = Throttle(lambda: True, 1)
    with pytest.raises(ValueError, match="refused"), one_at_a_time.turn():
        raise ValueError("refused")
    with one_at_a_time.turn():
        pass


def test_calls_are_noticed_by_the_process_of_the_deploys(make_registry, databases, threads, monkeypatch) -> None:
    monkeypatch.setattr(throttle, "TURN_SECONDS", HOUR)
    monkeypatch.setattr(throttle, "PAUSE", 0.0)
    monkeypatch.setattr(slot_states, "RECENT_SECONDS", LONG_AGO)
    (name,) = databases(1)
    registry = make_registry()
    with registry.dedicated(name) as first, registry.dedicated(name) as second:
        with registry.lease("postgres"):
            pass
        assert not registry.worker_pools.budget.calls_run()  # that was no call
        with registry.lease(name):
            pass
        assert registry.worker_pools.budget.calls_run()
        of = registry.worker_pools._connector._throttle
        with registry.lease(name) as holder:
            holder.execute("SELECT pg_advisory_lock(1)")
            blocked = threads.submit(first.execute, "SELECT pg_advisory_lock(1)")
            wait_until(lambda: of._turns)
            after = threads.submit(second.execute, "SELECT 1")
            wait_until(lambda: waiting(of) == 1)
            holder.execute("SELECT pg_advisory_unlock(1)")
        assert [one.result(PATIENCE_SECONDS).rowcount for one in (blocked, after)] == [1, 1]


def test_a_refused_statement_of_a_deploy_is_raised(make_registry, databases, monkeypatch) -> None:
    monkeypatch.setattr(slot_states, "RECENT_SECONDS", LONG_AGO)
    (name,) = databases(1)
    registry = make_registry()
    with registry.lease(name):
        pass
    with registry.dedicated(name) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT FROM missing")
        assert connection.execute("SELECT 1").fetchone() == (1,)

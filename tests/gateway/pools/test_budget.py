"""The budget of one worker with backends that end at once: what is closed, and what dying workers leave behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from gateway.pools.budget import Budget
from gateway.pools.snapshot import Limits
from gateway.pools.table import IDLE, ON_RETURN, SharedTable
from gateway.pools.waiter import Waiter

TOTAL, SPARE = 100, 4


class Worker:
    """Leases connections of one database after the other, and records which were closed."""

    def __init__(self, table: SharedTable) -> None:
        limits = Limits(total=TOTAL, per_database=3, unlimited_key=1000)
        self.budget = Budget(table, limits, evict=self._evict, reap=lambda: None)
        self.slots: dict[int, int] = {}
        self.closed: list[int] = []

    def use(self, database: int) -> None:
        slot = self.slots.get(database)
        if slot is None:
            taken = self.budget.acquire(Waiter(key=database), monotonic() + 1, lambda: None)
            assert taken is not None
            slot = self.slots[database] = taken
            self.budget.connected(slot, 1)
        self.budget.busy(slot)
        self.budget.idle(slot)

    def _evict(self, slot: int) -> None:
        database = next(known for known, its in self.slots.items() if its == slot)
        del self.slots[database]
        self.closed.append(database)
        self.budget.free(slot)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    for name in ("PRESSURE_SECONDS", "PAUSE_SECONDS"):  # however slow the machine is, the test is within them
        monkeypatch.setattr(f"gateway.pools.spare_slots.{name}", 3600.0)
    table = SharedTable(tmp_path / "slots")
    yield Worker(table)
    table.close()


def test_connections_are_freed_ahead_while_there_are_more_databases_than_slots(worker):
    for database in range(1, 2 * TOTAL):
        worker.use(database)
    assert len(worker.slots) == TOTAL - SPARE
    assert worker.closed == list(range(1, TOTAL + SPARE))


def test_as_many_databases_as_slots_all_keep_a_connection_also_after_there_were_more(worker):
    for database in range(1, 2 * TOTAL):
        worker.use(database)
    for _ in range(3):
        for database in range(1, TOTAL + 1):
            worker.use(database)
    before = len(worker.closed)
    for database in range(1, TOTAL + 1):
        worker.use(database)
    assert len(worker.closed) == before
    assert len(worker.slots) == TOTAL


def test_a_few_databases_more_than_before_cost_no_others(worker):
    for database in range(1, TOTAL + 1):
        worker.use(database)
    assert worker.closed == []


def test_closing_the_connections_of_a_database_leaves_out_those_of_a_killed_worker(worker):
    table = worker.budget._table
    worker.use(1)
    with table.mutex:
        left = table.take_slot(1, 0.0)
        table.owners[left], table.states[left] = table.generation + 1000, IDLE
    worker.budget.close_idle(1)
    assert worker.closed == [1]
    assert table.states[left] == IDLE  # until its backend is known to have ended


def test_a_connection_that_was_given_back_just_before_it_was_to_be_closed_is_evicted_as_others(worker):
    for database in range(1, TOTAL + 1):
        worker.use(database)
    requested = worker.budget._table.requested
    for slot in range(TOTAL):
        requested[slot] = ON_RETURN
    worker.use(TOTAL + 1)
    assert len(worker.closed) == 1


def test_a_worker_may_end_while_it_is_notified(tmp_path, monkeypatch):
    table = SharedTable(tmp_path / "slots")
    os.mkfifo(pipe := table._pipe_path(table.worker + 1))
    reader, write = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), os.write

    def write_to_no_reader(descriptor: int, data: bytes) -> int:
        os.close(reader)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_to_no_reader)
    table.notify(table.worker + 1)
    monkeypatch.undo()
    table.close()

"""Several workers on one budget: this process is one of them, the others execute commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.errors import PoolExhausted
from gateway.pools.record_locks import MUTEX
from gateway.pools.table import SharedTable
from tests.support.waiting import PATIENCE_SECONDS, wait_until

SETTINGS = {
    "max_total_connections": 3,
    "max_connections_per_pool": 2,
    "max_pools": 5,
    "idle_timeout_seconds": 60,
    "max_lifetime_seconds": 60,
    "wait_timeout_seconds": PATIENCE_SECONDS,
}


class OtherWorker:
    def __init__(self, conninfo: str, slots_path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("steered_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        settings: dict[str, Any] = {"conninfo": conninfo, "slots_path": str(slots_path)} | SETTINGS
        settings["max_total_connections"] += 1  # as make_registry does
        assert self.tell(json.dumps(settings)) == "ready"

    def tell(self, line: str) -> str:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        """Stop the process where it does not have the mutex, for which all workers would wait until it goes on."""
        while True:
            os.kill(self.process.pid, signal.SIGSTOP)
            os.waitpid(self.process.pid, os.WUNTRACED)
            locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
            if not any(pid == str(self.process.pid) and start == str(MUTEX) for *_, pid, _, start, _ in locks):
                return
            os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        self.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def other_worker(postgres_url: str, tmp_path: Path) -> Iterator[Callable[[], OtherWorker]]:
    workers: list[OtherWorker] = []

    def start() -> OtherWorker:
        workers.append(OtherWorker(postgres_url, tmp_path / "slots"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def lease_and_return(registry, database: str) -> int:
    with registry.lease(database) as connection:
        return connection.info.backend_pid


def test_the_longest_idle_connection_of_another_worker_is_evicted(
    other_worker, databases, make_registry, backends, monkeypatch
):
    monkeypatch.setattr("gateway.pools.snapshot.EVICTION_SECONDS", PATIENCE_SECONDS)
    names, other, registry = databases(4), other_worker(), make_registry(**SETTINGS)
    for name in names[:3]:
        other.tell(f"touch {name}")
    lease_and_return(registry, names[3])
    assert set(backends()) == {names[1], names[2], names[3]}
    assert registry.statistics().total_connections == 3


def test_a_busy_connection_of_another_worker_is_not_evicted(other_worker, databases, make_registry):
    names, other = databases(4), other_worker()
    registry = make_registry(**SETTINGS)
    for name in names[:3]:
        other.tell(f"hold {name}")
    with pytest.raises(PoolExhausted), registry.lease(names[3], wait_timeout_seconds=0.5):
        pass
    other.tell(f"release {names[1]}")
    lease_and_return(registry, names[3])


def test_a_connection_returned_in_another_worker_is_closed_for_a_waiter_here(other_worker, databases, make_registry):
    names, other, registry = databases(4), other_worker(), make_registry(**SETTINGS)
    for name in names[:3]:
        other.tell(f"hold {name}")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lease_and_return, registry, names[3])
        wait_until(lambda: registry.worker_pools._table.waiting)
        other.tell(f"release {names[0]}")
        assert waiting.result() > 0


def test_the_share_of_a_database_holds_over_workers(other_worker, databases, make_registry, backends):
    names, other = databases(1), other_worker()
    registry = make_registry(**SETTINGS)
    other.tell(f"hold {names[0]}")
    with registry.lease(names[0]):
        with pytest.raises(PoolExhausted), registry.lease(names[0], wait_timeout_seconds=0.5):
            pass
        assert len(backends()[names[0]]) == 2
    assert registry.statistics().total_connections == 2


def test_idle_connections_of_one_worker_do_not_use_up_the_share_of_another(other_worker, databases, make_registry):
    (name,), other, registry = databases(1), other_worker(), make_registry(**SETTINGS)
    with registry.lease(name), registry.lease(name):
        pass
    assert other.tell(f"hold {name}").isdigit()


def test_a_worker_that_does_not_answer_does_not_block_eviction_in_others(other_worker, databases, make_registry):
    names, other, registry = databases(3), other_worker(), make_registry(**SETTINGS)
    for name in names[:2]:
        other.tell(f"touch {name}")
    lease_and_return(registry, names[0])
    other.stop()
    try:
        lease_and_return(registry, names[2])
    finally:
        os.kill(other.process.pid, signal.SIGCONT)


def test_forgetting_a_database_closes_the_idle_connections_of_all_workers(
    other_worker, databases, make_registry, backends
):
    (name,), other, registry = databases(1), other_worker(), make_registry(**SETTINGS)
    other.tell(f"touch {name}")
    registry.forget(name)
    wait_until(lambda: backends() == {})


def test_forgetting_a_database_closes_connections_in_use_when_they_are_given_back(
    other_worker, databases, make_registry, backends
):
    (name,), other, registry = databases(1), other_worker(), make_registry(**SETTINGS)
    other.tell(f"hold {name}")
    registry.forget(name)
    assert backends() == {name: backends()[name]}
    other.tell(f"release {name}")
    wait_until(lambda: backends() == {})


def test_every_worker_is_notified_of_a_deploy(other_worker, make_registry):
    registry, other = make_registry(), other_worker()
    before = registry.changes("one")
    other.tell("changed another")
    assert registry.changes("one") == before
    other.tell("changed one")
    assert registry.changes("one") != before


def test_what_a_killed_worker_held_can_be_used_by_others(other_worker, databases, make_registry, admin):
    names, other = databases(4), other_worker()
    registry = make_registry(**SETTINGS)
    pids = [int(other.tell(f"hold {name}")) for name in names[:3]]
    other.process.kill()
    other.process.wait()
    lease_and_return(registry, names[3])
    wait_until(lambda: registry.statistics().total_connections == 1)
    assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)", [pids]).fetchone() == (0,)


def test_a_slot_of_a_killed_worker_stays_taken_while_its_backend_lives(
    other_worker, databases, make_registry, admin, postgres_url
):
    """The backend of a worker that is stopped, not dead, is alive for certain; its table entry is made to look dead."""
    names, other = databases(2), other_worker()
    pid = int(other.tell(f"hold {names[0]}"))
    other.stop()
    try:
        registry = make_registry(**SETTINGS)
        assert registry.statistics().total_connections == 1
        slot = next(
            slot
            for slot in range(registry.worker_pools._table.high)
            if registry.worker_pools._table.backends[slot] == pid
        )
        registry.worker_pools.budget.lost(slot)
        registry.worker_pools._reaper.start()
        wait_until(lambda: registry.statistics().total_connections == 0)
        assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() == (0,)
    finally:
        os.kill(other.process.pid, signal.SIGCONT)


def test_a_worker_that_ends_in_order_leaves_nothing(other_worker, databases, make_registry, backends):
    (name,), other, registry = databases(1), other_worker(), make_registry(**SETTINGS)
    other.tell(f"touch {name}")
    assert registry.statistics().total_connections == 1
    other.end()
    assert registry.statistics().total_connections == 0
    assert backends() == {}
    assert sorted(path.name for path in registry.worker_pools._options.slots_path.parent.iterdir()) == [
        "slots",
        "slots.1",
    ]


def test_one_process_cannot_have_the_table_twice(make_registry):
    registry = make_registry()
    with pytest.raises(OSError, match="open already"):
        SharedTable(registry.worker_pools._options.slots_path)


def test_the_table_needs_no_more_space_later(make_registry):
    """A write into a hole of the file would kill the process if the disk had become full meanwhile."""
    made = make_registry().worker_pools._options.slots_path.stat()
    assert made.st_blocks * 512 >= made.st_size


def test_a_table_of_another_layout_is_replaced_only_if_no_process_uses_it(
    other_worker, make_registry, databases, tmp_path
):
    (tmp_path / "slots").write_bytes(b"something else" * 10)
    (name,), other = databases(1), other_worker()
    assert other.tell(f"touch {name}").isdigit()
    with (tmp_path / "slots").open("r+b", buffering=0) as file:
        file.write(b"another!")
    with pytest.raises(OSError, match="another version"):
        make_registry(**SETTINGS)


def test_after_a_reboot_earlier_connections_are_treated_as_orphans(
    other_worker, databases, make_registry, monkeypatch, admin
):
    """The times in the table are then of another clock; PostgreSQL may still have its old backends."""
    (name,), other = databases(1), other_worker()
    pid = int(other.tell(f"hold {name}"))
    monkeypatch.setattr("gateway.pools.table._boot_key", lambda: 7)
    registry = make_registry(**SETTINGS)
    wait_until(lambda: registry.statistics().total_connections == 0)
    assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() == (0,)


def test_a_session_that_has_only_the_process_id_of_an_orphan_is_left_alone(make_registry, postgres_url):
    registry = make_registry(**SETTINGS)
    with registry.dedicated("postgres"):
        slot = registry.worker_pools._table.high - 1
    registry.worker_pools._table.take_slot(1, 0.0)
    registry.worker_pools.budget.lost(slot)
    time.sleep(0.05)  # the server reads its clock shortly after the query was sent
    with psycopg.connect(postgres_url, application_name="stonescriptdb-gateway of somebody else") as stranger:
        registry.worker_pools._table.backends[slot] = stranger.info.backend_pid
        registry.worker_pools._reaper.start()
        wait_until(lambda: registry.statistics().total_connections == 0)
        assert stranger.execute("SELECT 1").fetchone() == (1,)

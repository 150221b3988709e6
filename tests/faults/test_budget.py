"""The limit of connections holds at any time: over threads, workers, reloads and killed workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import PATIENCE_SECONDS, wait_until

LIMIT = 24  #: one of them for looking after lost connections
FAILURES = {"wrong", "broken", "pool_exhausted", "connection_failed"}


def test_forty_tenants_on_twenty_four_connections(start_worker, sampler, budget, databases):
    workers = [start_worker(), start_worker()]
    for worker in workers:
        worker.wait_for_every(databases)
        worker.wait_for(more=200)
    for worker in workers:
        assert FAILURES.isdisjoint(worker.stop())
    budget.use_up(LIMIT)
    assert LIMIT - 1 <= sampler.most() <= LIMIT


def test_a_reload_where_old_and_new_workers_overlap(start_worker, sampler, budget):
    old = [start_worker(), start_worker()]
    for worker in old:
        worker.wait_for(more=100)
    new = [start_worker(), start_worker()]
    for worker in old + new:
        worker.wait_for(more=100)
    outcomes = [worker.stop() for worker in old]
    for worker in new:
        worker.wait_for(more=100)
    outcomes += [worker.stop() for worker in new]
    for outcome in outcomes:
        assert FAILURES.isdisjoint(outcome)
    budget.use_up(LIMIT)
    assert LIMIT - 1 <= sampler.most() <= LIMIT


def test_workers_killed_under_load(start_worker, sampler, budget):
    steady = start_worker()
    for _ in range(4):
        victim = start_worker()
        victim.wait_for(more=50)
        victim.kill()
    last = start_worker()
    for worker in (steady, last):
        worker.wait_for(more=100)
        assert FAILURES.isdisjoint(worker.stop())
    budget.use_up(LIMIT)
    assert LIMIT - 1 <= sampler.most() <= LIMIT


def test_a_killed_worker_that_had_every_connection(start_worker, sampler, budget, own_server, databases):
    victim = start_worker(databases=databases[: LIMIT - 1], per_pool=1, query_seconds=0.001)
    victim.wait_for_every(databases[: LIMIT - 1])
    with own_server.observe() as observer:
        query = "SELECT count(*) = %s FROM pg_stat_activity WHERE datname = ANY (%s)"
        wait_until(lambda: observer.execute(query, [LIMIT - 1, databases[: LIMIT - 1]]).fetchone() == (True,))
    victim.kill()
    successor = start_worker()
    successor.wait_for(more=200)
    assert "wrong" not in successor.stop()
    budget.use_up(LIMIT)
    assert LIMIT - 1 <= sampler.most() <= LIMIT


def test_a_hundred_workers_killed_with_every_connection_in_use(sampler, budget, databases):
    limit = 8
    task = {
        "registry": budget.settings(limit=limit, per_pool=limit),
        "databases": databases[:3],
        "connections": limit - 1,
        "kills": 100,
        "early_one_in": 10,
        "seed": 1,
    }
    killer = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_worker.py"))],
        input=json.dumps(task) + "\n",
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_SECONDS,
        check=False,
    )
    assert (killer.stdout, killer.stderr) == ("100\n", "")
    assert limit - 1 <= sampler.most() <= limit
    budget.use_up(limit, per_pool=limit)


def test_one_database_never_has_more_than_its_share(start_worker, sampler, budget, databases):
    workers = [start_worker(per_pool=5, databases=databases[:1], query_seconds=0.02) for _ in range(2)]
    for worker in workers:
        worker.wait_for(more=100)
    for worker in workers:
        assert FAILURES.isdisjoint(worker.stop())
    budget.use_up(LIMIT, per_pool=5, databases=databases[:1])
    assert sampler.most_per_database() == 5


def test_a_flooding_tenant_leaves_first_connections_to_others(start_worker, sampler, budget, databases):
    small = {"limit": 8, "per_pool": 8}
    flood = [start_worker(**small, threads=24, databases=databases[:1], query_seconds=0.2) for _ in range(2)]
    for worker in flood:
        worker.wait_for(more=16)
    before = sum(worker.progress()["right"] for worker in flood)
    others = start_worker(**small, threads=4, databases=databases[1:4], query_seconds=0.01, pause_seconds=0.2)
    others.wait_for(more=20)
    meanwhile = sum(worker.progress()["right"] for worker in flood) - before
    assert FAILURES.isdisjoint(others.stop())
    # Were a call to wait for all of the flood's before it, these would have been twenty rounds of all 48.
    assert meanwhile < 20 * 48
    for worker in flood:
        assert FAILURES.isdisjoint(worker.stop())
    budget.use_up(8, per_pool=8)
    assert 7 <= sampler.most() <= 8

"""The ceiling on connections: over threads, workers, reloads and deaths, at every sampled instant."""

from __future__ import annotations

import time

LIMIT = 24


def test_forty_tenants_on_twenty_four_connections(start_worker, sampler):
    workers = [start_worker(), start_worker()]
    time.sleep(4)
    outcomes = [worker.stop() for worker in workers]
    assert sampler.most() == LIMIT
    for outcome in outcomes:
        assert outcome["right"] > 100
        assert {"wrong", "broken", "pool_exhausted", "connection_failed"}.isdisjoint(outcome)
        assert len([key for key in outcome if key.startswith("on ")]) == 40


def test_a_reload_where_old_and_new_workers_overlap(start_worker, sampler):
    old = [start_worker(), start_worker()]
    time.sleep(1)
    new = [start_worker(), start_worker()]
    time.sleep(1)
    outcomes = [worker.stop() for worker in old]
    time.sleep(1)
    outcomes += [worker.stop() for worker in new]
    assert sampler.most() == LIMIT
    for outcome in outcomes:
        assert {"wrong", "broken", "pool_exhausted", "connection_failed"}.isdisjoint(outcome)


def test_workers_killed_under_load(start_worker, sampler):
    steady = start_worker()
    for _ in range(4):
        victim = start_worker()
        time.sleep(0.7)
        victim.kill()
    last = start_worker()
    time.sleep(1)
    outcomes = [steady.stop(), last.stop()]
    assert sampler.most() == LIMIT
    for outcome in outcomes:
        assert {"wrong", "broken", "pool_exhausted", "connection_failed"}.isdisjoint(outcome)


def test_a_killed_worker_that_had_every_connection(start_worker, sampler, databases):
    victim = start_worker(query_seconds=0.001)
    time.sleep(1.5)
    victim.kill()
    successor = start_worker()
    time.sleep(4)
    outcome = successor.stop()
    assert sampler.most() == LIMIT
    assert outcome["right"] > 100
    assert "wrong" not in outcome


def test_one_database_never_has_more_than_its_share(start_worker, sampler, databases):
    workers = [start_worker(per_pool=5, databases=databases[:1], query_seconds=0.02) for _ in range(2)]
    time.sleep(2)
    outcomes = [worker.stop() for worker in workers]
    assert sampler.most_per_database == 5
    for outcome in outcomes:
        assert outcome["right"] > 50
        assert {"wrong", "broken", "pool_exhausted", "connection_failed"}.isdisjoint(outcome)


def test_a_flooding_tenant_keeps_nobody_from_a_first_connection(start_worker, sampler, databases):
    flood = [
        start_worker(limit=8, per_pool=8, threads=24, databases=databases[:1], query_seconds=0.2) for _ in range(2)
    ]
    time.sleep(1)
    others = start_worker(
        limit=8, per_pool=8, threads=4, databases=databases[1:4], query_seconds=0.01, pause_seconds=0.2
    )
    time.sleep(3)
    outcome = others.stop()
    for worker in flood:
        worker.stop()
    assert sampler.most() == 8
    assert outcome["right"] > 20
    assert {"wrong", "broken", "pool_exhausted", "connection_failed"}.isdisjoint(outcome)
    assert outcome["longest_ms"] < 4000  # a connection is waited for five seconds

"""The choice of the connection to evict, and the share of requests that find an idle one."""

from __future__ import annotations

import pytest

from benchmarks.bench_eviction import bursts, hits, longest_idle, looked_through, rotation, shifts, zipf
from gateway.pools.eviction import ROTATION_SHARE, ranks_to_close, share_of_returning


@pytest.mark.parametrize(("ratio", "least"), [(1.05, 0.9), (1.1, 0.85), (1.25, 0.75), (1.5, 0.6), (1.9, 0.4)])
def test_most_of_a_rotation_over_more_databases_than_connections_stay(ratio, least):
    assert hits(rotation(ratio), longest_idle) == 0
    assert hits(rotation(ratio), None) > least
    assert hits(rotation(ratio, disorder=0.05), None) > least - 0.05
    assert hits(rotation(ratio, repeats=3), None) > 2 / 3 + (least - 0.05) / 3


@pytest.mark.parametrize("requests", [zipf(4, 0.8), zipf(4, 1.0), zipf(2, 1.0), bursts(), shifts(), looked_through()])
def test_elsewhere_it_is_as_good_as_the_longest_idle(requests):
    assert hits(requests, None) > hits(requests, longest_idle) - 0.01


def test_databases_that_fit_all_stay():
    assert hits(rotation(1.0), None) == 1


def test_the_share_follows_returning_databases():
    share = 0.0
    for _ in range(100):
        share = share_of_returning(share, away=1.9, longest_idle=1.0)
    assert share > ROTATION_SHARE
    for _ in range(10):
        share = share_of_returning(share, away=float("inf"), longest_idle=1.0)
    assert share < ROTATION_SHARE
    for _ in range(100):
        share = share_of_returning(share, away=0.5, longest_idle=1.0)  # what is idle longest is not part of a rotation
    assert share < ROTATION_SHARE


def test_what_a_rotation_leaves_behind_is_not_kept_for_the_next_one():
    """A rotation over more databases than connections, and then one over others that fit."""
    requests = rotation(1.5) + [database + 1000 for database in rotation(1.0)] * 4
    assert hits(requests, None) > 0.9


def test_the_ranks_are_those_of_connections_that_exist():
    for share in (0.0, 1.0):
        for idle in range(12):
            for count in range(1, 14):
                ranks = list(ranks_to_close(count, idle, share))
                assert ranks == sorted(set(ranks) & set(range(idle)))
                assert len(ranks) == min(count, idle)


def test_a_rotation_with_real_connections(make_registry, databases):
    """As many as it takes to be seen for one, and then most requests find a connection."""
    registry, names = make_registry(max_total_connections=9, max_pools=20), databases(10)

    def rotate(rounds: int) -> float:
        before = registry.statistics()
        for name in names * rounds:
            with registry.lease(name) as connection:
                assert connection.info.dbname == name
        after = registry.statistics()
        return (after.hits - before.hits) / (rounds * len(names))

    rotate(6)
    assert rotate(6) > 0.5

"""Counting over processes: exactly the allowed number passes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import RateLimited
from gateway.events import Events
from gateway.security.rate_limits import RateLimits, SharedCounters

PROCESSES, THREADS, EACH = 4, 3, 40


def passed(limits: RateLimits, platform: str, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            limits.count(platform)
        except RateLimited:
            continue
        count += 1
    return count


def count_in_child(limits: RateLimits, platform: str) -> int:
    """Fork a process that counts with several threads; return the descriptor to which it writes its sum."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        with ThreadPoolExecutor(THREADS) as threads:
            sums = list(threads.map(lambda _: passed(limits, platform, EACH), range(THREADS)))
        os.write(writing, f"{sum(sums)}".encode())
        os._exit(0)
    os.close(writing)
    return reading


def test_processes_and_threads_share_one_limit() -> None:
    limits = RateLimits("100/hour", {}, events=Events())
    pipes = [count_in_child(limits, "shop") for _ in range(PROCESSES)]
    totals = []
    for pipe in pipes:
        with os.fdopen(pipe) as told:
            totals.append(int(told.read()))
    for _ in pipes:
        os.wait()
    assert sum(totals) == 100
    assert passed(limits, "shop", 1) == 0  # also in the process that all were forked from
    assert passed(limits, "cafe", 200) == 100


def test_a_killed_process_blocks_no_other() -> None:
    limits = RateLimits("100/hour", {}, events=Events())
    if (child := os.fork()) == 0:
        with limits._limiter.storage._locked():  # type: ignore[attr-defined]
            os._exit(9)
    os.waitpid(child, 0)
    assert passed(limits, "shop", 101) == 100


def test_a_platform_may_have_a_limit_of_its_own_however_it_is_written() -> None:
    limits = RateLimits("2/hour", {"MY_APP": "5/hour"}, events=Events())
    assert [passed(limits, platform, 9) for platform in ("a", "my-app", "my_app", "b")] == [2, 5, 0, 2]
    only_one = RateLimits(None, {"MY_APP": "1/hour"}, events=Events())
    assert [passed(only_one, platform, 9) for platform in ("a", "My.App")] == [9, 1]


def test_the_answer_has_the_end_of_the_window(monkeypatch) -> None:
    limits = RateLimits("3/minute", {}, events=Events())
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert passed(limits, "shop", 5) == 3
    now += 20
    with pytest.raises(RateLimited) as refused:
        limits.count("shop")
    assert refused.value.facts["retry_after"] == 40
    now += 40
    assert passed(limits, "shop", 5) == 3


def test_many_platforms_do_not_push_out_one_that_sends_much() -> None:
    counters = SharedCounters()
    for _ in range(50):
        counters.incr("busy", 3600)
    for number in range(20_000):
        counters.incr(f"platform {number}", 3600)
    assert counters.get("busy") == 50
    assert counters.get("nobody") == 0
    counters.clear("busy")
    assert counters.get("busy") == 0
    assert counters.check()
    counters.incr("busy", 3600)
    counters.reset()
    assert counters.get("busy") == 0

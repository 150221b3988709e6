from __future__ import annotations

import pytest

from gateway.errors import ConnectionFailed
from gateway.pools import outage
from gateway.pools.outage import Outage


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: ``clock[0]`` is the time."""
    now = [100.0]
    monkeypatch.setattr(outage, "monotonic", lambda: now[0])
    return now


def is_admitted(state: Outage) -> bool:
    try:
        state.admit()
    except ConnectionFailed:
        return False
    return True


def test_all_are_admitted_while_the_server_is_reachable(clock):
    state = Outage()
    assert [is_admitted(state) for _ in range(3)] == [True, True, True]
    state.check()


def test_one_is_admitted_after_each_pause_and_pauses_grow_up_to_a_second(clock):
    state = Outage()
    state.began("no route to host")
    admitted = []
    for _ in range(500):
        clock[0] += 0.01
        if is_admitted(state):
            admitted.append(clock[0])
            assert not is_admitted(state)
            state.began("no route to host")
    pauses = [round(later - earlier, 1) for earlier, later in zip([100.0, *admitted], admitted, strict=False)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_an_attempt_without_a_result_does_not_block_later_ones(clock):
    state = Outage()
    state.began("no route to host")
    clock[0] += 0.2
    assert is_admitted(state)
    clock[0] += 0.2
    assert is_admitted(state)


def test_after_a_success_all_are_admitted_and_the_next_outage_starts_with_a_short_pause(clock):
    state = Outage()
    for _ in range(5):
        state.began("no route to host")
    state.ended()
    assert [is_admitted(state) for _ in range(3)] == [True, True, True]
    state.began("no route to host")
    clock[0] += 0.11
    assert is_admitted(state)


def test_waiting_requests_receive_the_reason(clock):
    state = Outage()
    state.began("no route to host")
    clock[0] += 60
    with pytest.raises(ConnectionFailed) as caught:
        state.check()
    assert caught.value.facts == {"cause": "no route to host", "retry_after": 1}

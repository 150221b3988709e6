"""The loop survives errors of its handlers, and other threads can wake it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.serving.loop import READABLE, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.end()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


class Handler:
    """Reads and records data, and fails on request."""

    def __init__(self, end: socket.socket, seen: list[bytes], *, fails: bool = False) -> None:
        self._end, self._seen, self._fails = end, seen, fails

    def on_event(self, events: int) -> None:
        assert events & READABLE
        self._seen.append(self._end.recv(10))
        if self._fails:
            raise RuntimeError("on purpose")


def test_an_error_of_one_handler_does_not_affect_the_others(loop: Loop, pairs, caplog) -> None:
    seen: list[bytes] = []
    for number, (ours, theirs) in enumerate(pairs):
        loop.watch(ours.fileno(), Handler(ours, seen, fails=number == 0))
        theirs.send(b"%d" % number)
    loop.post(lambda: 1 / 0)
    loop.post(lambda: seen.append(b"posted"))
    loop.run_once(10)
    assert sorted(seen) == [b"0", b"1", b"2", b"posted"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2


def test_an_armed_handler_is_called_with_each_new_event(loop: Loop, pairs) -> None:
    seen: list[bytes] = []
    (ours, theirs), *_ = pairs
    theirs.send(b"0" * 15)  # before it is armed, and more than the handler reads at once
    loop.arm(ours.fileno(), Handler(ours, seen), READABLE)
    for number in (1, 2):
        loop.run_once(0)
        loop.run_once(0)
        assert len(seen) == number
        theirs.send(b"%d" % number)
    loop.disarm(ours.fileno())
    theirs.send(b"3")
    loop.run_once(0)
    assert seen == [b"0" * 10, b"0" * 5 + b"1"]


def test_what_had_no_handler_is_seen_when_it_is_armed(loop: Loop, pairs) -> None:
    seen: list[bytes] = []
    (ours, theirs), *_ = pairs
    loop.arm(ours.fileno(), Handler(ours, seen), READABLE)
    loop.disarm(ours.fileno())
    assert loop.arm_again(ours.fileno(), Handler(ours, seen))
    loop.disarm(ours.fileno())
    theirs.send(b"x")
    loop.run_once(0)
    assert not loop.arm_again(ours.fileno(), Handler(ours, seen))
    loop.arm(ours.fileno(), Handler(ours, seen), READABLE)
    loop.run_once(0)
    assert seen == [b"x"]
    assert loop.arm_again(ours.fileno(), Handler(ours, seen))


def test_another_thread_wakes_the_loop(loop: Loop) -> None:
    done: list[bool] = []
    thread = threading.Thread(target=loop.post, args=(lambda: done.append(True),))
    thread.start()
    while not done:
        loop.run_once(60)
    thread.join()

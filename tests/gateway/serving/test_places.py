"""The places of workers, and the handover of clients between them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.serving.places import Places


@contextmanager
def another_process(work: Callable[[], None]) -> Iterator[None]:
    """A child that has done *work*, and lives on until it is no longer needed."""
    (done, tell), (end, wait) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(wait)
        work()
        os.write(tell, b"x")
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    assert os.read(done, 1) == b"x"
    yield
    os.close(wait)
    os.waitpid(child, 0)


def test_a_place_is_taken_as_long_as_its_worker_lives() -> None:
    places = Places(2)
    with another_process(lambda: places.take(1)):
        assert not places.is_taken(0)
        assert places.is_taken(1)
        with another_process(lambda: places.take(1)):  # the new one in a reload
            assert places.is_taken(1)
        assert places.is_taken(1)
    assert not places.is_taken(1)


def test_a_stopping_worker_leaves_its_place() -> None:
    places = Places(1)

    def work() -> None:
        places.take(0)
        places.leave(0)

    with another_process(work):
        assert not places.is_taken(0)


@pytest.mark.parametrize(
    ("taken", "given"), [([], 0), ([0], 1), ([1, 2], 0), ([0, 1, 2], 0), ([0, 1, 2, 0], 1), ([0, 1, 2, 0, 2], 1)]
)
def test_a_new_worker_gets_the_place_with_fewest(taken: list[int], given: int) -> None:
    assert Places(3).next_place(taken) == given


def test_deploys_have_a_place_of_their_own_and_databases_are_spread_over_the_others() -> None:
    places = Places(4)
    assert places.for_deploys == 3
    assert {places.home(f"tenant_{number}") for number in range(100)} == {0, 1, 2}
    assert places.home("one") == places.home("one")
    alone = Places(1)
    assert (alone.for_deploys, list(alone.for_calls), alone.home("any")) == (0, [0], 0)


def test_a_client_is_handed_over_with_its_data_and_waits_for_its_new_worker() -> None:
    places = Places(2)
    end, accepted = socket.socketpair()

    def work() -> None:
        assert places.send(1, accepted, b"a request")

    with end, accepted:
        with another_process(work):
            pass  # it has ended before the client was taken
        accepted.close()
        received = places.receive(1)
        assert received is not None
        connection, data = received
        assert data == b"a request"
        with connection:
            connection.send(b"answer")
            assert end.recv(10) == b"answer"
        assert places.receive(1) is None


def test_a_queue_without_a_reader_becomes_full() -> None:
    places = Places(2)
    end, accepted = socket.socketpair()
    with end, accepted:
        sent = 0
        while places.send(1, accepted, b"x" * 100_000):
            sent += 1
            assert sent < 1000
        assert sent > 0

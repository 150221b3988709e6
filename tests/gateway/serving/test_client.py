"""Clients in the loop: how their connections end, and answers that do not fit into a socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from gateway.serving.client import Client, State
from gateway.serving.loop import Loop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


class Owner:
    """Records the calls of a client."""

    def __init__(self) -> None:
        self.abandoned_clients: list[Client] = []
        self.closed_clients: list[Client] = []

    def received(self, client: Client) -> None:
        """Leave the client as it is: its request is not there as a whole."""

    def abandoned(self, client: Client) -> None:
        self.abandoned_clients.append(client)

    def closed(self, client: Client) -> None:
        self.closed_clients.append(client)


class Connected:
    """A client in a loop of its own, and its other end."""

    def __init__(self) -> None:
        self.loop, self.owner = Loop(), Owner()
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            self.end = socket.create_connection(server.getsockname())
            accepted, address = server.accept()
        self.client = Client(accepted, address=address, server=None, loop=self.loop, owner=self.owner, idle_seconds=60)

    def run_until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.loop.run_once(10)


@pytest.fixture
def connected() -> Iterator[Connected]:
    connected = Connected()
    yield connected
    connected.client.close()
    connected.end.close()
    connected.loop.end()


@pytest.mark.parametrize(
    ("ends", "sends", "said_it_was_the_last", "state"),
    [
        pytest.param(False, b"", True, State.CLOSED, id="it has said that this was all"),
        pytest.param(True, b"", True, State.CLOSED, id="it has closed its end"),
        pytest.param(False, b"", False, State.LINGERING, id="it may send more"),
        pytest.param(False, b"more", True, State.LINGERING, id="it has sent more than it said"),
    ],
)
def test_a_client_that_has_ended_its_sending_is_closed_at_once(
    connected: Connected, ends: bool, sends: bytes, said_it_was_the_last: bool, state: State
) -> None:
    connected.client.begin()
    connected.end.sendall(sends)
    if ends:
        connected.end.shutdown(socket.SHUT_WR)
    connected.client.part(at_once=said_it_was_the_last)
    assert connected.client.state is state
    assert connected.owner.closed_clients == [connected.client] * (state is State.CLOSED)


def test_a_lingering_client_gets_the_answer_and_is_closed_when_it_closes(connected: Connected) -> None:
    connected.client.begin()
    connected.end.sendall(b"x" * 100_000)  # closing with unread data would discard the answer
    connected.client.answer(ANSWER, last=True)
    assert connected.client.state is State.LINGERING
    assert connected.end.recv(1000) == ANSWER
    connected.end.close()
    connected.run_until(lambda: connected.client.state is State.CLOSED)


def test_an_answer_larger_than_the_socket_is_sent_as_it_is_taken(connected: Connected) -> None:
    connected.client.begin()
    answer = bytes(range(256)) * 100_000
    connected.client.answer(answer, last=True)
    assert connected.client.state is State.WRITING
    received = b""
    connected.end.setblocking(False)
    while len(received) < len(answer):
        connected.loop.run_once(0.001)
        try:
            received += connected.end.recv(2**20)
        except BlockingIOError:
            continue
    assert received == answer
    assert connected.client.state in (State.CLOSED, State.LINGERING)


def test_a_client_that_has_ended_its_sending_gets_the_whole_answer(connected: Connected) -> None:
    connected.client.begin()
    connected.end.shutdown(socket.SHUT_WR)
    connected.run_until(lambda: connected.client.ended)
    assert connected.end.recv(100) == b"H"
    assert connected.client.state is State.BUSY
    connected.client.answer(ANSWER, last=False)
    received = b"H" + b"".join(iter(lambda: connected.end.recv(1000), b""))
    assert received == ANSWER
    assert connected.owner.abandoned_clients == []


def test_a_client_that_closes_its_socket_is_noticed(connected: Connected) -> None:
    connected.client.begin()
    connected.end.close()
    connected.run_until(lambda: connected.client.state is State.GONE)
    assert connected.owner.abandoned_clients == [connected.client]
    assert connected.owner.closed_clients == []  # the call may still use the socket
    connected.client.answer(ANSWER, last=False)
    assert connected.owner.closed_clients == [connected.client]


def test_what_is_sent_ahead_waits_for_its_turn_and_is_not_read_without_end(connected: Connected) -> None:
    connected.client.begin()
    connected.end.setblocking(False)
    sent = 0
    try:
        while True:
            sent += connected.end.send(b"x" * 10_000)
            connected.loop.run_once(0)
    except BlockingIOError:
        pass
    assert len(connected.client.data) < sent
    connected.client.answer(ANSWER, last=False)
    assert connected.client.state is State.WAITING
    before = len(connected.client.data)
    connected.run_until(lambda: len(connected.client.data) > before)

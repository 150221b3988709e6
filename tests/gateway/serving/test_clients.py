"""A worker's room for clients, and their arrival."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

from gateway.serving.arrivals import Listener
from gateway.serving.client import State
from gateway.serving.clients import Clients
from gateway.serving.loop import Loop


class Host:
    """A worker that stops listening when it must."""

    listening = True

    def stop_listening(self) -> None:
        self.listening = False


class FewClients(Clients):
    """Has room for two clients, and takes no request."""

    def __init__(self) -> None:
        self.host = self._host = Host()
        self._loop, self._clients = Loop(), {}
        self._most_clients, self._idle_seconds = 2, 60
        self.requests: list[bytes] = []

    def received(self, client) -> None:
        self.requests.append(client.data)


def test_at_the_limit_the_client_with_the_earliest_deadline_is_closed() -> None:
    clients = FewClients()
    with ExitStack() as stack:
        ends = []
        for number in range(4):
            end, accepted = (stack.enter_context(one) for one in socket.socketpair())
            ends.append(end)
            if number == 1:
                end.send(b"P")  # so it has less time than one that has sent nothing
            clients.accept(accepted, ("127.0.0.1", number), None)
            if number == 2:
                next(iter(clients._clients)).begin()  # the first: a client that is being answered stays
        assert ends[1].recv(1) == b""
        assert ends[2].recv(1) == b""
        assert [client.state for client in clients._clients] == [State.BUSY, State.WAITING]
        list(clients._clients)[1].begin()
        clients.make_room()
        assert not clients.host.listening


def test_what_a_client_has_sent_before_it_was_accepted_is_read_at_once() -> None:
    clients = FewClients()
    with socket.create_server(("127.0.0.1", 0)) as server, closing(Listener(server, clients)) as listener:
        silent, address = socket.create_connection(server.getsockname()), server.getsockname()
        with silent, socket.create_connection(address) as talking:
            talking.sendall(b"GET /")
            for _ in range(2):
                listener.on_event(0)
            assert clients.requests == [b"GET /"]
            accepted = list(clients._clients)
            assert [client.peer for client in accepted] == ["127.0.0.1"] * 2
            assert [client.address for client in accepted] == [silent.getsockname(), talking.getsockname()]
            silent.sendall(b"PUT /")
            clients._loop.run_once(10)
            assert clients.requests == [b"GET /", b"PUT /"]
            for client in accepted:
                assert client.socket.family is socket.AF_INET
                client.close()
    clients._loop.end()


def test_a_listener_whose_client_has_been_taken_by_another_worker_accepts_none() -> None:
    clients = FewClients()
    with socket.create_server(("127.0.0.1", 0)) as server, closing(Listener(server, clients)) as listener:
        listener.on_event(0)
        assert not clients
    clients._loop.end()

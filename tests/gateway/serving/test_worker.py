"""A worker's room for clients."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from gateway.serving.client import State
from gateway.serving.loop import Loop
from gateway.serving.worker import Worker


class SmallWorker(Worker):
    """Has room for two clients, and takes no request."""

    def __init__(self) -> None:
        self._most_clients, self._idle_seconds = 2, 60
        self._loop, self._clients, self._listeners, self._listening = Loop(), {}, [], True

    def received(self, _client) -> None:
        pass


def test_at_the_limit_the_client_with_the_earliest_deadline_is_closed() -> None:
    worker = SmallWorker()
    with ExitStack() as stack:
        ends = []
        for number in range(4):
            end, accepted = (stack.enter_context(one) for one in socket.socketpair())
            ends.append(end)
            worker.accept(accepted, ("127.0.0.1", number), None)
            if number == 1:
                end.send(b"P")  # from now on, it has less time than one that has sent nothing
                worker._loop.run_once(1)
            if number == 2:
                next(iter(worker._clients)).begin()  # the first: a client that is being answered stays
        assert ends[1].recv(1) == b""
        assert ends[2].recv(1) == b""
        assert [client.state for client in worker._clients] == [State.BUSY, State.WAITING]
        list(worker._clients)[1].begin()
        worker.make_room()
        assert not worker._listening

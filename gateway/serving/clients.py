"""The clients of a worker, and the assignment of each request: to the loop, a thread, or the worker of its place."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from gunicorn.http.errors import LimitRequestHeaders

from gateway.routes import Work
from gateway.services import Services
from gateway.serving.calls import Calls
from gateway.serving.client import Client, State
from gateway.serving.heads import MAX_BODY_BYTES, HeadReader, has_bare_newline, work_of
from gateway.serving.loop import Loop
from gateway.serving.places import Places
from gateway.serving.threads import Threads
from gateway.serving.wsgi import Answered, answer_unreadable, serve

MAX_HEAD_BYTES: Final = 64 * 1024  #: of a request line and its headers
STOP_SECONDS: Final = 2.0  #: for which a stopping worker accepts requests on open connections

_HEALTH_THREADS: Final = 8  #: started when first needed; each request is answered within a second


class Host(Protocol):
    """The worker, as gunicorn creates it.

    :ivar alive: set to False to stop the worker
    :ivar nr: the number of requests so far, which ends the worker at ``max_requests``
    """

    alive: bool
    nr: int
    max_requests: int
    cfg: Any
    wsgi: Any
    places: Places
    place: int

    def stop_listening(self) -> None:
        """Accept no clients until the next tick."""


class Clients:
    """The clients of one worker. For the loop's thread.

    Invariants:

    1. The loop never waits for a client, a thread or PostgreSQL. A client gets a thread when the whole head of its
       request was received, so one that sends a byte and waits needs none.
    2. Requests for health, deploys, and everything else have threads of their own, so that none waits for another
       kind: health is answered when all calls wait for PostgreSQL, and calls while many deploys run.
    3. A request that belongs to another place (see ``places.py``) is handed over to it once, and stays there.
    """

    def __init__(self, host: Host, loop: Loop, services: Services) -> None:
        """Start without clients, and without threads."""
        settings, self._events = services.settings, services.events
        self._host = host
        self._loop = loop
        self._clients: dict[Client, None] = {}
        self._most_clients: int = host.cfg.worker_connections
        self._idle_seconds: float = host.cfg.keepalive
        self._heads = HeadReader()
        self._served: set[int] = set()
        self._serves_all_calls = False
        self._health = Threads("health", _HEALTH_THREADS, float("inf"), self._events)
        self._deploys = Threads("deploy", settings.threads, settings.deploy_wait_timeout_seconds, self._events)
        self._others = Threads("request", settings.request_threads, settings.pool_wait_timeout_seconds, self._events)
        self._calls = Calls(loop, self._others, host.wsgi.wsgi_app, is_stopping=self._is_stopping)

    def __len__(self) -> int:
        """Return the number of clients."""
        return len(self._clients)

    def _is_stopping(self) -> bool:
        return not self._host.alive

    def serve(self, places: set[int]) -> None:
        """Answer requests of these places; those of others are handed over."""
        self._served = places
        self._serves_all_calls = places.issuperset(self._host.places.for_calls)

    def run_once(self, seconds: float) -> None:
        """Wait for events, at most *seconds*, and handle them."""
        if self._calls.has_delayed:
            self._loop.run_once(min(seconds, self._calls.seconds_of_delay()))
            self._calls.resume_delayed()
        else:
            self._loop.run_once(seconds)

    def end_overdue(self, now: float) -> None:
        """Refuse tasks, end calls and close connections whose deadline has passed."""
        for threads in (self._others, self._deploys, self._health):
            threads.refuse_overdue(now)
        self._calls.end_overdue(now)
        for client in [client for client in self._clients if client.deadline < now]:
            client.close()

    def hurry(self) -> None:
        """Disconnect clients that send nothing within STOP_SECONDS, because the worker stops."""
        until = monotonic() + STOP_SECONDS
        for client in self._clients:
            if client.state is State.WAITING:
                client.deadline = min(client.deadline, until)

    def seconds_to_deadline(self) -> float:
        """Return the seconds until the first deadline of a client has passed."""
        first = min((client.deadline for client in self._clients), default=float("inf"))
        return max(0.0, first - monotonic() + 0.001)

    def shut_down(self) -> None:
        """End the threads after their present tasks."""
        for threads in (self._health, self._deploys, self._others):
            threads.shut_down()

    def accept(self, connection: socket.socket, address: Any, server: Any) -> None:  # noqa: ANN401 - a socket's address
        """Read the request of a new client, or wait for it."""
        if len(self._clients) >= self._most_clients:
            self.make_room()
        self._add(connection, address, server).receive()

    def _add(self, connection: socket.socket, address: Any, server: Any) -> Client:  # noqa: ANN401
        client = Client(
            connection,
            address=address,
            server=server,
            loop=self._loop,
            owner=self,
            idle_seconds=self._idle_seconds,
        )
        self._clients[client] = None
        return client

    def take_over(self, place: int) -> None:
        """Answer the requests that other workers have read for *place*."""
        while (received := self._host.places.receive(place)) is not None:
            connection, data = received
            try:
                client = self._add(connection, connection.getpeername(), connection.getsockname())
            except OSError:  # the client has disconnected meanwhile
                connection.close()
                continue
            client.data = data
            self._read(client, may_move=False)

    def make_room(self) -> None:
        """Close the waiting client with the earliest deadline; without one, stop accepting until the next tick."""
        waiting = (client for client in self._clients if client.state is State.WAITING)
        first = min(waiting, key=lambda client: client.deadline, default=None)
        if first is None:
            self._host.stop_listening()
        else:
            first.close()

    def closed(self, client: Client) -> None:
        """Remove a client whose connection was closed."""
        del self._clients[client]

    def abandoned(self, client: Client) -> None:
        """Cancel the call of a client that has disconnected."""
        self._calls.abandon(client)

    def received(self, client: Client) -> None:
        """Answer the request if it was received, here or at its place.

        :raises Exception: the request cannot be handled because of a fault of the gateway; the client is not left
            waiting
        """
        try:
            self._read(client, may_move=True)
        except Exception:
            client.close()
            raise

    def _read(self, client: Client, *, may_move: bool) -> None:
        data = client.data
        end = data.find(b"\r\n\r\n")
        if end < 0 and not has_bare_newline(data):
            if len(data) > MAX_HEAD_BYTES:
                client.leave()
                too_large = LimitRequestHeaders(f"more than {MAX_HEAD_BYTES} bytes")  # type: ignore[no-untyped-call]
                answer_unreadable(client, too_large, self._events)
                client.part(at_once=False)
            return
        head = self._heads.read(data[:end]) if end >= 0 else None
        if head is not None and head.length <= MAX_BODY_BYTES:
            begin = end + 4
            end = begin + head.length
            if end <= len(data):
                body = data[begin:end]
                if self._serves_all_calls or not (may_move and self._hand_over(client, self._home_of_call(body))):
                    self._count()
                    client.data = data[end:]
                    self._calls.begin(client, head, body)
                return
            if not client.ended:  # else a thread refuses the incomplete request
                return
        work = work_of(data)
        if not (may_move and self._hand_over(client, self._home_of(work))):
            self._count()
            client.leave()
            threads = {Work.HEALTH: self._health, Work.DEPLOY: self._deploys}.get(work, self._others)
            threads.submit(partial(self._answer, client), partial(self._refuse, client))

    def _home_of_call(self, body: bytes) -> int:
        """Return the place of a call."""
        database = self._calls.home_of(body)
        return self._host.place if database is None else self._host.places.home(database)

    def _home_of(self, work: Work) -> int:
        """Return the place of a request that is no call."""
        return self._host.places.for_deploys if work is Work.DEPLOY else self._host.place

    def _hand_over(self, client: Client, place: int) -> bool:
        """Hand a client over to the worker at *place*, unless that is this one, or the place is vacant."""
        places = self._host.places
        if place in self._served or not places.is_taken(place):
            return False
        if not places.send(place, client.socket, client.data):
            return False
        client.give_away()
        return True

    def _count(self) -> None:
        host = self._host
        host.nr += 1
        if host.nr >= host.max_requests:
            host.alive = False

    def _answer(self, client: Client) -> None:
        """Answer a request, in a thread."""
        answered = Answered(last=True)
        try:
            answered = serve(self._host.cfg, self._host.wsgi, client, self._events, stopping=self._is_stopping)
        finally:
            self._loop.post(partial(self._answered, client, answered))

    def _answered(self, client: Client, answered: Answered) -> None:
        if answered.last:
            client.part(at_once=answered.drained)
        else:
            client.come_back(answered.ahead)
            if self._is_stopping():
                client.deadline = min(client.deadline, monotonic() + STOP_SECONDS)

    def _refuse(self, client: Client, answer: bytes) -> None:
        """Send *answer* to a client that no thread has taken, and close its connection."""
        with suppress(OSError):
            client.socket.send(client.rest_of(answer), socket.MSG_DONTWAIT)
        client.part(at_once=False)

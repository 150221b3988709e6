"""A gunicorn worker: an event loop that has all clients, and threads that answer what the loop does not."""

from __future__ import annotations

import logging
import os
import select
import socket
from contextlib import suppress
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any, Final

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.base import Worker as BaseWorker

from gateway.pools.watcher import allow_descriptors
from gateway.routes import Work
from gateway.services import Services
from gateway.serving.arrivals import Inbox, Listener
from gateway.serving.calls import Calls
from gateway.serving.client import Client, State
from gateway.serving.heads import MAX_BODY_BYTES, HeadReader, has_bare_newline, work_of
from gateway.serving.loop import READABLE, Loop
from gateway.serving.places import Places
from gateway.serving.service_manager import ServiceManager
from gateway.serving.signals import release_signals
from gateway.serving.threads import Threads
from gateway.serving.wsgi import Answered, answer_unreadable, serve

_log: Final = logging.getLogger(__name__)

MAX_HEAD_BYTES: Final = 64 * 1024  #: of a request line and its headers
STOP_SECONDS: Final = 2.0  #: for which a stopping worker accepts requests on open connections
TICK_SECONDS: Final = 0.5  #: between two checks of deadlines

_HEALTH_THREADS: Final = 8  #: started when first needed; each request is answered within a second


class Worker(BaseWorker):
    """A worker whose main thread is an event loop.

    Invariants:

    1. The loop never waits for a client, a thread or PostgreSQL. A client gets a thread when the whole head of its
       request was received, so one that sends a byte and waits needs none.
    2. Requests for health, deploys, and everything else have threads of their own, so that none waits for another
       kind: health is answered when all calls wait for PostgreSQL, and calls while many deploys run.
    3. A request that belongs to another place (see ``places.py``) is handed over to it once, and stays there.

    :ivar places: those of this gateway; set before the fork, as ``place``, which is this worker's own
    :ivar service_manager: of this gateway; set before the fork
    """

    service_manager: ServiceManager
    places: Places
    place: int

    def run(self) -> None:
        """Serve until a signal says to stop; gunicorn calls this."""
        services: Services = self.app.wsgi().extensions["gateway"]
        settings = services.settings
        self._events = services.events
        allow_descriptors(2 * settings.max_total_connections + self.cfg.worker_connections)
        self._loop = Loop()
        self._clients: dict[Client, None] = {}
        self._most_clients: int = self.cfg.worker_connections
        self._idle_seconds: float = self.cfg.keepalive
        self._heads = HeadReader()
        self._listening = False
        self._has_all_calls = False
        self._inboxes: set[int] = set()
        self._vacant: set[int] = set()
        self._health = Threads("health", _HEALTH_THREADS, float("inf"), self._events)
        self._deploys = Threads("deploy", settings.threads, settings.deploy_wait_timeout_seconds, self._events)
        self._others = Threads("request", settings.request_threads, settings.pool_wait_timeout_seconds, self._events)
        self._calls = Calls(self._loop, self._others, self.wsgi.wsgi_app, is_stopping=lambda: not self.alive)
        self._listeners = [Listener(listener, self) for listener in self.sockets]
        self._loop.watch(self.PIPE[0], self)  # which every signal makes readable
        self.places.take(self.place)
        self._work_at({self.place})
        next_tick = 0.0
        while self.alive:
            self._run_once(TICK_SECONDS)
            if (now := monotonic()) >= next_tick:
                next_tick = now + TICK_SECONDS
                self._tick(now)
        self._stop()

    def _run_once(self, seconds: float) -> None:
        if self._calls.has_delayed:
            self._loop.run_once(min(seconds, self._calls.seconds_of_delay()))
            self._calls.resume_delayed()
        else:
            self._loop.run_once(seconds)

    def on_event(self, events: int) -> None:  # noqa: ARG002 - there is only one
        """Empty the pipe after a signal, whose handler has run."""
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _tick(self, now: float) -> None:
        self.notify()  # type: ignore[no-untyped-call]
        if self.ppid != os.getppid():
            _log.info("the master is gone; stopping")
            self.alive = False
        for threads in (self._others, self._deploys, self._health):
            threads.refuse_overdue(now)
        self._calls.end_overdue(now)
        for client in [client for client in self._clients if client.deadline < now]:
            client.close()
        if self.alive:
            self._work_at({self.place} | self._vacant_places())

    def _vacant_places(self) -> set[int]:
        """Return the places that this worker has to serve, because they were vacant at the last check and now."""
        others = [place for place in range(self.places.count) if place != self.place]
        before, self._vacant = self._vacant, {place for place in others if not self.places.is_taken(place)}
        is_first = all(place in self._vacant for place in others if place < self.place)
        return before & self._vacant if is_first else set()

    def _work_at(self, places: set[int]) -> None:
        """Serve *places*: take the clients handed over to them, and accept clients if one of them is for calls."""
        for place in places ^ self._inboxes:
            if place in places:
                self._loop.watch(self.places.queue(place), Inbox(place, self))
            else:
                self._loop.forget(self.places.queue(place))
        self._inboxes = places
        self._has_all_calls = places.issuperset(self.places.for_calls)
        accepts = not places.isdisjoint(self.places.for_calls)
        if accepts and not self._listening:
            self._listen()
        elif not accepts:
            self._unlisten()

    def _stop(self) -> None:
        """Answer running requests, and those that clients may have begun to send."""
        self.places.leave(self.place)
        for place in self._inboxes:
            self.take_over(place)
        self._work_at(set())
        now = monotonic()
        for client in self._clients:
            if client.state is State.WAITING:
                client.deadline = min(client.deadline, now + STOP_SECONDS)
        until = now + self.cfg.graceful_timeout
        while self._clients and monotonic() < until and not self._stop_now:
            self._run_once(min(TICK_SECONDS, self._next_deadline()))
            self._tick(monotonic())
        for threads in (self._health, self._deploys, self._others):
            threads.shut_down()
        for listener in self._listeners:
            listener.socket.close()

    def _next_deadline(self) -> float:
        first = min((client.deadline for client in self._clients), default=float("inf"))
        return max(0.0, first - monotonic() + 0.001)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        """Stop when the clients have been answered."""
        self.alive = False

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        """Stop without waiting for clients.

        The base class leaves from wherever the main thread is just then, which may be with a lock that others need on
        their way out.
        """
        self.alive = False
        self._stop_now = True

    def init_signals(self) -> None:
        """Listen to signals, and to those that have waited for it."""
        self._stop_now = False
        super().init_signals()  # type: ignore[no-untyped-call]
        release_signals()

    def _listen(self) -> None:
        for listener in self._listeners:
            self._loop.watch(listener.socket.fileno(), listener, READABLE | select.EPOLLEXCLUSIVE)
        self._listening = True

    def _unlisten(self) -> None:
        if self._listening:
            for listener in self._listeners:
                self._loop.forget(listener.socket.fileno())
        self._listening = False

    def accept(self, connection: socket.socket, address: Any, server: Any) -> None:  # noqa: ANN401 - a socket's address
        """Begin to wait for the requests of a new client."""
        if len(self._clients) >= self._most_clients:
            self.make_room()
        self._add(connection, address, server)

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
        """Answer the requests that other workers have read."""
        while (received := self.places.receive(place)) is not None:
            connection, data = received
            try:
                client = self._add(connection, connection.getpeername(), connection.getsockname())
            except OSError:  # the client has gone meanwhile
                connection.close()
                continue
            client.data = data
            self._read(client, may_move=False)

    def make_room(self) -> None:
        """Close the waiting client with the earliest deadline; without one, stop accepting until the next tick."""
        waiting = (client for client in self._clients if client.state is State.WAITING)
        first = min(waiting, key=lambda client: client.deadline, default=None)
        if first is None:
            self._unlisten()
        else:
            first.close()

    def closed(self, client: Client) -> None:
        """Forget a client."""
        del self._clients[client]

    def abandoned(self, client: Client) -> None:
        """Cancel the call of a client that is gone."""
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
                if self._has_all_calls or not (may_move and self._hand_over(client, self._home_of_call(body))):
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
        return self.place if database is None else self.places.home(database)

    def _home_of(self, work: Work) -> int:
        """Return the place of a request that is no call."""
        return self.places.for_deploys if work is Work.DEPLOY else self.place

    def _hand_over(self, client: Client, place: int) -> bool:
        """Hand a client over to the worker at *place*, unless that is this one, or the place is vacant."""
        if place in self._inboxes or not self.places.is_taken(place):
            return False
        if not self.places.send(place, client.socket, client.data):
            return False
        client.give_away()
        return True

    def _count(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False

    def _answer(self, client: Client) -> None:
        """Answer a request, in a thread."""
        answered = Answered(last=True)
        try:
            answered = serve(self.cfg, self.wsgi, client, self._events, stopping=lambda: not self.alive)
        finally:
            self._loop.post(partial(self._answered, client, answered))

    def _answered(self, client: Client, answered: Answered) -> None:
        if answered.last:
            client.part(at_once=answered.drained)
        else:
            client.come_back(answered.ahead)
            if not self.alive:
                client.deadline = min(client.deadline, monotonic() + STOP_SECONDS)

    def _refuse(self, client: Client, answer: bytes) -> None:
        """Send *answer* to a client that no thread has taken, and close its connection."""
        with suppress(OSError):
            client.socket.send(client.rest_of(answer), socket.MSG_DONTWAIT)
        client.part(at_once=False)

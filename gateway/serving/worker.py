"""A gunicorn worker whose main thread is an event loop: its start, its places, its deadlines and its stop."""

from __future__ import annotations

import logging
import os
import select
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import Final, cast

from gunicorn.workers.base import Worker as BaseWorker

from gateway.api.requests import EXTENSION
from gateway.pools.watcher import allow_descriptors
from gateway.services import Services
from gateway.serving.arrivals import Inbox, Listener
from gateway.serving.clients import Clients
from gateway.serving.loop import READABLE, Loop
from gateway.serving.places import Places
from gateway.serving.service_manager import ServiceManager
from gateway.serving.signals import release_signals

_log: Final = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5  #: between two checks of deadlines


class Worker(BaseWorker):
    """A worker whose main thread is an event loop, which never waits for a client, a thread or PostgreSQL.

    :ivar places: the places of this gateway; set before the fork
    :ivar place: this worker's own place; set before the fork
    :ivar service_manager: of this gateway; set before the fork
    """

    service_manager: ServiceManager
    places: Places
    place: int

    @property
    def services(self) -> Services:
        """The services of this process."""
        return cast(Services, self.app.wsgi().extensions[EXTENSION])

    def run(self) -> None:
        """Serve until a signal to stop; gunicorn calls this."""
        services = self.services
        allow_descriptors(2 * services.settings.max_total_connections + self.cfg.worker_connections)
        self._loop = Loop()
        self._clients = Clients(self, self._loop, services)
        self._listeners = [Listener(listener, self._clients) for listener in self.sockets]
        self._listening = False
        self._inboxes: set[int] = set()
        self._vacant: set[int] = set()
        self._loop.watch(self.PIPE[0], self)  # every signal makes it readable
        self.places.take(self.place)
        self._work_at({self.place})
        next_tick = 0.0
        while self.alive:
            self._clients.run_once(TICK_SECONDS)
            if (now := monotonic()) >= next_tick:
                next_tick = now + TICK_SECONDS
                self._tick(now)
        self._stop()

    def on_event(self, events: int) -> None:  # noqa: ARG002 - there is only one
        """Empty the pipe after a signal, whose handler has run."""
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _tick(self, now: float) -> None:
        self.notify()  # type: ignore[no-untyped-call]
        if self.ppid != os.getppid():
            _log.info("the master is gone; stopping")
            self.alive = False
        self._clients.end_overdue(now)
        if self.alive:
            self._work_at({self.place} | self._vacant_places())

    def _vacant_places(self) -> set[int]:
        """Return the places to serve besides the own one: those vacant at the last check and now.

        Only the running worker with the lowest place serves them.
        """
        others = [place for place in range(self.places.count) if place != self.place]
        before, self._vacant = self._vacant, {place for place in others if not self.places.is_taken(place)}
        is_first = all(place in self._vacant for place in others if place < self.place)
        return before & self._vacant if is_first else set()

    def _work_at(self, places: set[int]) -> None:
        """Serve *places*: take the clients handed over to them, and accept clients if one of them is for calls."""
        for place in places ^ self._inboxes:
            if place in places:
                self._loop.watch(self.places.queue(place), Inbox(place, self._clients))
            else:
                self._loop.forget(self.places.queue(place))
        self._inboxes = places
        self._clients.serve(places)
        accepts = not places.isdisjoint(self.places.for_calls)
        if accepts and not self._listening:
            self._listen()
        elif not accepts:
            self.stop_listening()

    def _stop(self) -> None:
        """Answer running requests, and those that clients may have begun to send."""
        self.places.leave(self.place)
        for place in self._inboxes:
            self._clients.take_over(place)
        self._work_at(set())
        until = monotonic() + self.cfg.graceful_timeout
        self._clients.hurry()
        while self._clients and monotonic() < until and not self._stop_now:
            self._clients.run_once(min(TICK_SECONDS, self._clients.seconds_to_deadline()))
            self._tick(monotonic())
        self._clients.shut_down()
        for listener in self._listeners:
            listener.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        """Stop when the clients have been answered."""
        self.alive = False

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        """Stop without waiting for clients.

        The base class would exit from any point of the main thread, possibly with a lock that other threads need to
        end.
        """
        self.alive = False
        self._stop_now = True

    def init_signals(self) -> None:
        """Set the handlers of signals, and release the signals that were held back."""
        self._stop_now = False
        super().init_signals()  # type: ignore[no-untyped-call]
        release_signals()

    def _listen(self) -> None:
        for listener in self._listeners:
            self._loop.watch(listener.fileno(), listener, READABLE | select.EPOLLEXCLUSIVE)
        self._listening = True

    def stop_listening(self) -> None:
        """Accept no clients until the next tick."""
        if self._listening:
            for listener in self._listeners:
                self._loop.forget(listener.fileno())
        self._listening = False

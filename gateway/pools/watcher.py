"""The thread that waits for backends to end, and for notifications of other workers.

It keeps a duplicate of every connection's socket, registered for one event only: the server has closed its end. A
backend does not close its socket; the exit of its process does. So after the event the backend is no longer listed in
``pg_stat_activity``. While a connection is used, there are no events and no work.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from gateway.pools.budget import Budget
from gateway.pools.connection import CountedConnection, Link

QUARANTINE_SECONDS: Final = 0.25  #: for which a refused connection's slot is kept, until its backend has ended

_EVENTS: Final = getattr(select, "EPOLLRDHUP", 0)  # errors and hang-ups are always reported
_log: Final = logging.getLogger(__name__)


class Watcher:
    """One thread per process, with one epoll for all of its connections and its pipe."""

    def __init__(
        self,
        *,
        pipe: int,
        budget: Budget,
        on_lost: Callable[[CountedConnection | None], None],
        sweep: Callable[[], None],
        sweep_seconds: float,
    ) -> None:
        """Create a watcher without connections.

        :param pipe: the descriptor that other workers make readable
        :param on_lost: called with a connection that ended without being closed, to remove it from its pool and to
            check its backend; None if it was garbage-collected
        :param sweep: called every *sweep_seconds*
        """
        self._pipe = pipe
        self._budget = budget
        self._on_lost = on_lost
        self._sweep = sweep
        self._sweep_seconds = sweep_seconds
        self._epoll = select.epoll()
        self._epoll.register(pipe, select.EPOLLIN)
        self._links: dict[int, Link] = {}  # descriptor → link
        self._by_slot: dict[int, Link] = {}
        self._refused: deque[tuple[float, int]] = deque()  # when to free, slot
        self._abandoned: deque[Link] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pool-watcher", daemon=True)

    def start(self) -> None:
        """Start the thread. Once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Another worker checks the backends that have not ended."""
        self._stopping = True
        self._wake()
        self._thread.join()
        for link in list(self._links.values()):
            link.end()
        self._epoll.close()

    def watch(self, connection: CountedConnection, slot: int) -> None:
        """Watch a new connection, whose slot is *slot*."""
        link = Link(connection, slot, self._budget)
        connection.link = link
        self._by_slot[slot] = self._links[link.socket.fileno()] = link
        weakref.finalize(connection, self._abandon, link).atexit = False
        self._budget.connected(slot, connection.pgconn.backend_pid)
        self._epoll.register(link.socket, _EVENTS)

    def connection_of(self, slot: int) -> CountedConnection | None:
        """Return the connection of an own slot, unless it has ended."""
        link = self._by_slot.get(slot)
        return None if link is None or link.ended else link.connection()

    def free_later(self, slot: int) -> None:
        """Free *slot* after QUARANTINE_SECONDS: the server may have started a backend for a connection that failed."""
        self._refused.append((monotonic() + QUARANTINE_SECONDS, slot))
        self._wake()

    def links(self) -> list[Link]:
        """Return the links of all connections that have not ended."""
        return list(self._links.values())

    def _abandon(self, link: Link) -> None:
        # Called by the garbage collector, in any thread and at any time: no lock may be taken here.
        if not link.ended:
            self._abandoned.append(link)
            self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is full, and so readable
            os.write(self._pipe, b"!")

    def _run(self) -> None:
        next_sweep = monotonic() + self._sweep_seconds
        while not self._stopping:
            try:
                until = min([next_sweep, *(when for when, _ in list(self._refused)[:1])])
                for descriptor, _ in self._epoll.poll(max(0.0, until - monotonic())):
                    if descriptor == self._pipe:
                        self._on_notification()
                    else:
                        self._end(self._links[descriptor])
                self._free_refused()
                if monotonic() >= next_sweep:
                    next_sweep = monotonic() + self._sweep_seconds
                    self._end_overdue()
                    self._sweep()
            except Exception:  # noqa: BLE001 - the thread must continue: nothing else frees the worker's slots
                _log.exception("the watcher of connections continues after an error")

    def _on_notification(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._pipe, 4096)
        while self._abandoned:
            self._abandoned.popleft().close(lambda: None, orderly=False)
        self._budget.handle_notification()

    def _end(self, link: Link) -> None:
        self._epoll.unregister(link.socket)
        del self._links[link.socket.fileno()]
        if self._by_slot.get(link.slot) is link:
            del self._by_slot[link.slot]
        try:
            if link.end():
                self._budget.free(link.slot)
            else:
                self._on_lost(link.connection())
        finally:
            link.gone.set()

    def _end_overdue(self) -> None:
        now = monotonic()
        for link in self.links():
            if link.deadline < now:
                _log.warning("a backend did not end in time; it is checked as an orphan")
                self._end(link)

    def _free_refused(self) -> None:
        now = monotonic()
        while self._refused and self._refused[0][0] <= now:
            self._budget.free(self._refused.popleft()[1])


def allow_descriptors(count: int) -> None:
    """Raise the soft limit of open files to 1024 + *count*, or to the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1024 + count
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))

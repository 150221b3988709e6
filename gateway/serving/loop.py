"""The event loop of a worker: one thread that waits for events on all sockets, and for tasks from other threads."""

from __future__ import annotations

import logging
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Final, Protocol

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
BROKEN: Final = select.EPOLLERR | select.EPOLLHUP  #: always reported

_log: Final = logging.getLogger(__name__)
_MOST_EVENTS: Final = 256  #: taken at once


class EventHandler(Protocol):
    """The handler of events on a descriptor."""

    def on_event(self, events: int) -> None:
        """Handle *events*."""


class Loop:
    """An epoll with a handler per descriptor, and a queue of tasks from other threads.

    All methods but :meth:`post` must be called in the thread that has created it.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, EventHandler] = {}
        self._missed: set[int] = set()  # descriptors with events that had no handler
        self._posted: deque[Callable[[], None]] = deque()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wakeup, READABLE)
        self._thread = get_ident()

    def watch(self, descriptor: int, handler: EventHandler, events: int = READABLE) -> None:
        """Call *handler* with the events on a descriptor, repeatedly until they are handled (level-triggered)."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Change the watched events; with 0, only errors and hang-ups are reported."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching a descriptor, which must still be open."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def close(self, connection: socket.socket) -> None:
        """Close a watched socket that no other process has. This also removes it from the epoll."""
        del self._handlers[connection.fileno()]
        connection.close()

    def arm(self, descriptor: int, handler: EventHandler, events: int) -> None:
        """Call *handler* with present and new *events* on a descriptor until :meth:`disarm`: edge-triggered.

        The descriptor may be closed without :meth:`forget`.
        """
        self._handlers[descriptor] = handler
        self._missed.discard(descriptor)
        try:
            self._epoll.modify(descriptor, events | select.EPOLLET)
        except FileNotFoundError:
            self._epoll.register(descriptor, events | select.EPOLLET)

    def arm_again(self, descriptor: int, handler: EventHandler) -> bool:
        """Call *handler* with new events on a descriptor that is still registered by :meth:`arm`. Takes no system call.

        Return False if there were events without a handler, so that :meth:`arm` must be called instead.
        """
        if descriptor in self._missed:
            return False
        self._handlers[descriptor] = handler
        return True

    def disarm(self, descriptor: int) -> None:
        """Undo :meth:`arm`. The descriptor remains registered until it is closed."""
        self._handlers.pop(descriptor, None)

    def post(self, task: Callable[[], None]) -> None:
        """Run *task* soon in the loop's thread. From any thread."""
        self._posted.append(task)
        if get_ident() == self._thread:
            return
        with suppress(BlockingIOError, ValueError, OSError):  # the counter is full, or the loop has ended
            os.eventfd_write(self._wakeup, 1)

    def run_once(self, seconds: float) -> None:
        """Wait for events, at most *seconds*, call their handlers, and run posted tasks.

        An error of a handler or task is logged and does not affect the others.
        """
        for descriptor, events in self._epoll.poll(0 if self._posted else seconds, _MOST_EVENTS):
            handler = self._handlers.get(descriptor)
            if handler is not None:
                try:
                    handler.on_event(events)
                except Exception:  # noqa: BLE001 - logged
                    _log.exception("an event in the loop was not handled")
            elif descriptor == self._wakeup:
                os.eventfd_read(self._wakeup)
            else:
                self._missed.add(descriptor)
        while self._posted:
            try:
                self._posted.popleft()()
            except Exception:  # noqa: BLE001 - logged
                _log.exception("a task of the loop failed")

    def end(self) -> None:
        """Close the epoll. Tasks that are posted later are not run."""
        self._epoll.close()
        os.close(self._wakeup)

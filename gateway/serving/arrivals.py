"""Clients that arrive at a worker: through a listening socket, or handed over by another worker."""

from __future__ import annotations

import errno
import socket
from typing import Any, Final, Protocol

_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)


class Host(Protocol):
    """The worker that takes the clients."""

    def accept(self, connection: socket.socket, address: Any, server: Any) -> None:  # noqa: ANN401 - a socket's address
        """Wait for the requests of a new client."""

    def make_room(self) -> None:
        """Close a client's connection, or stop accepting for a short time."""

    def take_over(self, place: int) -> None:
        """Answer the requests that other workers have read for *place*."""


class Listener:
    """A socket that clients connect to."""

    def __init__(self, listener: socket.socket, host: Host) -> None:
        listener.setblocking(False)
        self.socket = listener
        self._address = listener.getsockname()
        self._kind = int(listener.family), int(listener.type), listener.proto
        self._host = host

    def on_event(self, events: int) -> None:  # noqa: ARG002 - there is only one
        """Accept a client."""
        try:
            # accept() itself converts the family and the type to their enumerations each time.
            descriptor, address = self.socket._accept()  # type: ignore[attr-defined]
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.ECONNABORTED):
                return
            if exc.errno not in _NO_DESCRIPTOR:
                raise
            self._host.make_room()
            return
        self._host.accept(socket.socket(*self._kind, fileno=descriptor), address, self._address)


class Inbox:
    """The queue of a place."""

    def __init__(self, place: int, host: Host) -> None:
        self._place = place
        self._host = host

    def on_event(self, events: int) -> None:  # noqa: ARG002 - there is only one
        """Take a client that another worker has handed over."""
        self._host.take_over(self._place)

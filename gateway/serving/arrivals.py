"""New clients of a worker: through a listening socket, or handed over by another worker."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final, Protocol

_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)


class Acceptor(Protocol):
    """The clients of the worker."""

    def accept(self, connection: socket.socket, address: Any, server: Any) -> None:  # noqa: ANN401 - a socket's address
        """Read the request of a new client, or wait for it."""

    def make_room(self) -> None:
        """Close a client's connection, or stop accepting for a short time."""

    def take_over(self, place: int) -> None:
        """Answer the requests that other workers have read for *place*."""


class _ListeningSocket(socket.socket):
    """A duplicate of a listening socket whose family and type are numbers.

    :meth:`accept` passes both to each socket that it returns. As enumerations, as any other socket has them, they take
    more time than all else that it does besides the system call.
    """

    __slots__ = ("family", "type")

    family: int  # type: ignore[assignment]
    type: int  # type: ignore[assignment]

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(fileno=os.dup(listener.fileno()))
        self.family, self.type = int(listener.family), int(listener.type)
        self.setblocking(False)


class Listener:
    """A socket that clients connect to."""

    def __init__(self, listener: socket.socket, clients: Acceptor) -> None:
        self._listener = listener
        self._socket = _ListeningSocket(listener)
        self._address = listener.getsockname()
        self._clients = clients

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is a client."""
        return self._socket.fileno()

    def on_event(self, events: int) -> None:  # noqa: ARG002 - there is only one
        """Accept a client."""
        try:
            connection, address = self._socket.accept()
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.ECONNABORTED):
                return
            if exc.errno not in _NO_DESCRIPTOR:
                raise
            self._clients.make_room()
            return
        self._clients.accept(connection, address, self._address)

    def close(self) -> None:
        """Stop listening, in this process."""
        self._socket.close()
        self._listener.close()


class Inbox:
    """The queue of clients that are handed over to a place."""

    def __init__(self, place: int, clients: Acceptor) -> None:
        self._place = place
        self._clients = clients

    def on_event(self, events: int) -> None:  # noqa: ARG002 - there is only one
        """Take a client that another worker has handed over."""
        self._clients.take_over(self._place)

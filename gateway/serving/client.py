"""A client's connection in the loop: its received data, and the answer that is being sent."""

from __future__ import annotations

import fcntl
import socket
import termios
from enum import Enum
from time import monotonic
from typing import Any, Final, Protocol

from gateway.serving.early_bytes import EarlyBytes
from gateway.serving.loop import BROKEN, READABLE, WRITABLE, Loop

HEAD_SECONDS: Final = 20.0  #: for the rest of a request that the loop reads, from its first byte on
WRITE_SECONDS: Final = 10.0  #: for a client to take some of an answer
LINGER_SECONDS: Final = 2.0  #: for a client to take an answer and close, before what it still sends is refused
MAX_AHEAD_BYTES: Final = 64 * 1024  #: that a client may send ahead of the answer to an earlier request

_RECEIVE_BYTES: Final = 64 * 1024
_NEVER: Final = float("inf")
_NOTHING: Final = bytes(4)  #: the number zero, as the kernel writes it
_ALL_SENT: Final = memoryview(b"")


class State(Enum):
    """The state of a client's connection. The values name its user, and when that ends."""

    WAITING = "the loop, until a whole request is received"
    BUSY = "the loop, until the request is answered"
    AWAY = "a thread"
    WRITING = "the loop, until the whole answer is sent"
    LINGERING = "the loop, until the client closes its end too"
    GONE = "the call of a client that has disconnected, until it has ended"
    CLOSED = "nothing"


_WAITING: Final = State.WAITING


class Owner(Protocol):
    """The clients of a worker."""

    def received(self, client: Client) -> None:
        """Handle further data of a client that is WAITING."""

    def abandoned(self, client: Client) -> None:
        """Cancel the call of a client that was BUSY and has disconnected. The end of the call closes the connection."""

    def closed(self, client: Client) -> None:
        """Remove a client whose connection was closed."""


class Client:
    """One connection. Used by one thread at a time: the loop's, except while it is AWAY.

    The kernel's socket is in blocking mode, for threads; the loop requests each operation as a non-blocking one.

    :ivar data: received data that belongs to no request yet
    :ivar deadline: on the clock of ``time.monotonic``, when the connection is closed if nothing happens
    :ivar ended: the client has closed its end; it may still wait for an answer
    :ivar peer: the network address of the client; empty over a Unix socket, which has none
    """

    __slots__ = (
        "_early", "_last", "_loop", "_owner", "_unsent", "address", "data", "deadline", "ended", "idle_seconds", "peer",
        "server", "socket", "state"
    )  # fmt: skip

    def __init__(
        self,
        connection: socket.socket,
        *,
        address: Any,  # noqa: ANN401 - as the socket's family has it
        server: Any,  # noqa: ANN401
        loop: Loop,
        owner: Owner,
        idle_seconds: float,
    ) -> None:
        """Wait for requests on *connection*.

        :param server: the address that the client has connected to
        :param idle_seconds: how long the client may take to begin a request
        """
        self.socket = connection
        self.address = address
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        self.server = server
        self.data = b""
        self.ended = False
        self.state = State.WAITING
        self.idle_seconds = idle_seconds
        self.deadline = monotonic() + idle_seconds
        self._loop = loop
        self._owner = owner
        self._early: EarlyBytes | None = None  # made when it is needed, for few answers
        self._unsent = _ALL_SENT
        self._last = False  # to be closed when all is sent
        loop.watch(connection.fileno(), self)

    def fileno(self) -> int:
        """Return the socket's descriptor, or -1 if it is closed."""
        return self.socket.fileno()

    @property
    def hang_up(self) -> int:
        """Return no events: while the client is BUSY, the loop detects the end of its sending, also for a thread."""
        return 0

    def on_event(self, events: int) -> None:
        """Receive, continue to send, or note that the client has disconnected."""
        if events & WRITABLE:
            self._write()
        elif events & READABLE:
            self.receive()
        elif events & BROKEN:
            self._break()

    def receive(self) -> None:
        """Read the received data, if any."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        if self.state is _WAITING and data:
            if self.data:
                self.data += data
            else:
                self.data = data
                self.deadline = monotonic() + HEAD_SECONDS
            self._owner.received(self)
        elif self.state is State.LINGERING:
            if not data:
                self.close()
        elif data:
            self.data += data
            if len(self.data) > MAX_AHEAD_BYTES:
                self._loop.change(self.fileno(), 0)  # until its requests are read
        else:
            self._end()

    def _end(self) -> None:
        """Handle the end of a client's sending."""
        self.ended = True
        self._loop.change(self.fileno(), 0)
        if self.state is State.BUSY:
            self.probe()
        elif self.data:
            self._read_ahead()
        else:
            self.close()

    def _break(self) -> None:
        if self.state is State.BUSY:
            self._loop.forget(self.fileno())  # a thread may still use the socket
            self.state = State.GONE
            self._owner.abandoned(self)
        else:
            self.close()

    def probe(self) -> None:
        """Send a byte to a client that has closed its end, to detect whether it still waits for the answer."""
        self._early = self._early or EarlyBytes(self.socket)
        self._early.send()

    def rest_of(self, answer: bytes) -> bytes:
        """Return *answer* without the bytes that :meth:`probe` has sent. Once for each answer."""
        return answer if self._early is None else self._early.rest_of(answer)

    def begin(self) -> None:
        """Mark the client as BUSY until its request is answered."""
        self.state = State.BUSY
        self.deadline = _NEVER

    def leave(self) -> None:
        """Leave the loop. Only a thread uses the socket until :meth:`come_back`."""
        if self.state is not State.AWAY:
            self._loop.forget(self.fileno())
            self.state = State.AWAY
            self.deadline = _NEVER

    def come_back(self, data: bytes) -> None:
        """Return to the loop and wait for the next request, of which *data* was read already."""
        self.data = data
        self._loop.watch(self.fileno(), self)
        self._wait()

    def answer(self, answer: bytes, *, last: bool) -> None:
        """Send an answer, and return without waiting until the client has received it.

        :param last: close the connection afterwards
        """
        if self.state is State.GONE:
            self.close()
            return
        answer = self.rest_of(answer)
        self._last = last
        try:
            sent = self.socket.send(answer, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent == len(answer):
            self._answered()
        else:
            self._unsent = memoryview(answer)[sent:]
            self.state = State.WRITING
            self.deadline = monotonic() + WRITE_SECONDS
            self._loop.change(self.fileno(), WRITABLE)

    def _write(self) -> None:
        try:
            sent = self.socket.send(self._unsent, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        self.deadline = monotonic() + WRITE_SECONDS
        if not self._unsent:
            self._loop.change(self.fileno(), READABLE)
            self._answered()

    def _answered(self) -> None:
        if self._last:
            self.part()
        else:
            if len(self.data) > MAX_AHEAD_BYTES and not self.ended:
                self._loop.change(self.fileno(), READABLE)
            self._wait()

    def _wait(self) -> None:
        self.state = _WAITING
        if self.data:
            self.deadline = monotonic() + HEAD_SECONDS
            self._loop.post(self._read_ahead)
        else:
            self.deadline = monotonic() + self.idle_seconds
            if self.ended:
                self.close()

    def _read_ahead(self) -> None:
        """Process data that was received during an earlier request."""
        if self.state is State.WAITING:
            self._owner.received(self)
            if self.state is State.WAITING and self.ended:  # the request remains incomplete
                self.close()

    def part(self, *, at_once: bool = True) -> None:
        """Close the connection, after the client has received the answer.

        Closing with unread bytes would discard the answer. So unless all was read and no more can arrive, the sending
        is ended, and further data of the client is read for a short time.

        :param at_once: the request was read completely, and the client has announced that it was the last one
        """
        if self.state is State.CLOSED:
            return
        if at_once and not self.data and self._is_drained():
            self.close()
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.data = b""
        if self.state is State.AWAY:
            self._loop.watch(self.fileno(), self)
        else:
            self._loop.change(self.fileno(), READABLE)
        self.state = State.LINGERING
        self.deadline = monotonic() + LINGER_SECONDS

    def _is_drained(self) -> bool:
        """Return whether there is no unread data."""
        return bool(fcntl.ioctl(self.fileno(), termios.FIONREAD, _NOTHING) == _NOTHING)

    def give_away(self) -> None:
        """Close the connection in this process; another one has it."""
        self.leave()
        self.close()

    def close(self) -> None:
        """Close the connection now."""
        if self.state is State.CLOSED:
            return
        if self.state in (State.AWAY, State.GONE):
            self.socket.close()
        else:
            self._loop.close(self.socket)
        self.state = State.CLOSED
        self.deadline = _NEVER
        self._owner.closed(self)

"""Connections of clients: what keeps a slow one from costing the gateway more than itself."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from gunicorn.http import get_parser
from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import TConn

PATIENCE_SECONDS: Final = 20.0  #: how long a request's sender may keep a thread waiting, all its pauses together
EARNED_BYTES_PER_SECOND: Final = 16 * 1024  #: whoever sends faster than this is waited for however long it takes
#: How long a thread waits for its client's next request. A program that calls in a loop sends it within this.
NEXT_REQUEST_MS: Final = 2
MAX_HEAD_BYTES: Final = 8192  #: looked at before a request is read
#: How long a write of an answer waits for a client that does not read; a large answer is a few writes.
WRITE_SECONDS: Final = 10
_TOGETHER_BYTES: Final = 64 * 1024  #: up to which a body is sent in one message with its head
_SEND_TIMEOUT: Final = struct.pack("ll", WRITE_SECONDS, 0)


class ClientSocket(socket.socket):
    """A client's socket on which the head of an answer waits for the body, which gunicorn writes after it."""

    def __init__(self, accepted: socket.socket) -> None:
        """Take over *accepted*, which is of no more use."""
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._held: bytes | None = None  # None: what is written leaves at once

    @contextmanager
    def one_message(self) -> Iterator[None]:
        """While an answer is written: send the first two writes in one message."""
        self._held = b""
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self.sendall(held)

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401 - any buffer, as the base class has it
        """Send *data*, or keep it until the next."""
        held = self._held
        if held == b"":
            self._held = bytes(data)
            return
        if held is not None:
            self._held = None
            if len(data) <= _TOGETHER_BYTES:
                data = held + data
            else:
                super().sendall(held, flags)
        super().sendall(data, flags)


class PatientSource:
    """A client's socket as gunicorn reads requests from it, with an end to the waiting.

    A thread belongs to a request from its first byte on. Without this, as many clients as there are threads, each with
    half a request, would keep the worker from all others for as long as they like.
    """

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._poll = select.poll()
        self._poll.register(client, select.POLLIN)
        self.restart()

    def restart(self) -> None:
        """Begin to wait for a new request."""
        self._patience_until = monotonic() + PATIENCE_SECONDS

    def recv(self, size: int) -> bytes:
        """Give what has arrived, or what arrives next.

        :raises ConnectionResetError: the client has used up our patience; gunicorn takes it for one that is gone
        """
        try:
            data = self._client.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            if not self.wait(max(0.0, self._patience_until - monotonic()) * 1000):
                raise ConnectionResetError(errno.ECONNRESET, "the request arrives too slowly") from None
            data = self._client.recv(size)
        self._patience_until += len(data) / EARNED_BYTES_PER_SECOND
        return data

    def wait(self, milliseconds: float) -> bool:
        """Whether something arrives in time, or the client closes the connection."""
        return bool(self._poll.poll(milliseconds))


class ClientConnection(TConn):
    """A client's connection in the worker.

    :ivar source: what its requests are read from
    :ivar timeout: ``monotonic()`` when it is closed if no request has come; set before it is waited for
    """

    timeout: float
    sock: ClientSocket
    parser: Any  # gunicorn's

    def __init__(
        self,
        cfg: Any,  # noqa: ANN401 - gunicorn's
        client: socket.socket,
        address: Any,  # noqa: ANN401
        server: Any,  # noqa: ANN401
        linger: Callable[[socket.socket], None],
    ) -> None:
        """Take a connection; *client* is of no more use then.

        :param linger: closes it in a way that leaves the client its answer, without waiting
        """
        super().__init__(cfg, ClientSocket(client), address, server)  # type: ignore[no-untyped-call]
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
        self._linger = linger
        self.source = PatientSource(self.sock)
        self.parser = get_parser(cfg, self.source, address)  # type: ignore[no-untyped-call]

    def peek(self) -> bytes | None:
        """The bytes that have arrived and were not read; None if there are none yet, empty if there will be no more."""
        try:
            arrived: bytes = self.sock.recv(MAX_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""  # whoever reads it will meet the error, and knows what to do with it
        return arrived

    def peek_soon(self) -> bytes | None:
        """Like ``peek``, of a request that follows at once; None also when it has been read ahead."""
        if self._read_ahead() or not self.source.wait(NEXT_REQUEST_MS):
            return None
        return self.peek()

    def close(self, graceful: bool = False) -> None:
        """End it. The base class would wait for the client, in the loop that serves all others."""
        if graceful and not self._client_is_done():
            self._linger(self.sock)
        else:
            self.sock.close()

    def _client_is_done(self) -> bool:
        """Whether the client sends no more, as it has said or done, and all that it has sent was read."""
        request = self.parser.mesg
        if request is None or self._read_ahead():
            return False
        rest = request.body.reader
        if not isinstance(rest, LengthReader) or rest.length:
            return False
        arrived = self.peek()
        return arrived == b"" or (arrived is None and request.should_close() and not request.must_close)

    def _read_ahead(self) -> int:
        """How many bytes have been taken from the socket that no request has read."""
        read_ahead: int = self.parser.unreader.buf.getbuffer().nbytes
        return read_ahead

"""The first bytes of an answer, sent early to detect whether a client that has ended its sending still waits.

A client that still waits takes them for the start of the answer. The machine of one that has disconnected refuses them,
and the connection breaks, which is an event.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import Final

_FIRST_BYTES: Final = b"HTTP/1."  #: of every answer, in HTTP/1.0 and 1.1 alike


class EarlyBytes:
    """The bytes of the next answer that were sent to a client.

    :ivar count: the number of these bytes
    """

    __slots__ = ("_socket", "_wait_until", "count")

    def __init__(self, connection: socket.socket) -> None:
        self.count = 0
        self._socket = connection
        self._wait_until = 0.0

    def send(self) -> None:
        """Send one more byte, after a pause that doubles each time."""
        if self.count < len(_FIRST_BYTES) and monotonic() >= self._wait_until:
            self._wait_until = monotonic() + 2**self.count
            with suppress(OSError):
                self.count += self._socket.send(_FIRST_BYTES[self.count : self.count + 1], socket.MSG_DONTWAIT)

    def rest_of(self, answer: bytes) -> bytes:
        """Return *answer* without the bytes that were sent. Once for each answer."""
        count, self.count = self.count, 0
        return answer[count:]

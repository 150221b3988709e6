"""Places: how the workers of one gateway divide the work, and hand clients over to each other.

A gateway with ``WORKERS=n`` has n places. The last is for deploys, so that these do not slow calls. All others are for
calls, each for the databases that a hash of their names assigns to it, so that a database has connections from one
process. A single worker does everything.

A client is handed over with its socket and the data received from it, through the queue of the place. The queue
outlasts its worker: clients that a killed worker has not taken from it are taken by the next one.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections import Counter
from collections.abc import Iterable
from typing import Final
from zlib import crc32

_MOST_BYTES: Final = 2**18  #: more than a client may have sent before it is handed over


class Places:
    """The state that all workers inherit from their master: a queue for each place, and a file of locks.

    Invariant: a worker holds a shared record lock on the byte of its place as long as it runs; the kernel releases it
    however the worker ends. During a reload the old worker and the new one of a place both hold it.
    """

    def __init__(self, count: int) -> None:
        """Make the places. In the master, once."""
        self.count = count
        self._locks = os.memfd_create("places")
        self._queues = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
        for ends in self._queues:
            for end in ends:
                end.setblocking(False)

    @property
    def for_deploys(self) -> int:
        """The place where deploys are made."""
        return self.count - 1

    @property
    def for_calls(self) -> range:
        """The places where clients are accepted, and calls are made."""
        return range(max(1, self.count - 1))

    def home(self, database: str) -> int:
        """Return the place of the calls of *database*."""
        return crc32(database.encode()) % len(self.for_calls)

    def next_place(self, taken: Iterable[int]) -> int:
        """Return the place for a new worker; *taken* are those of the running workers. In the master."""
        counts = Counter(taken)
        return min(range(self.count), key=lambda place: counts[place])

    def take(self, place: int) -> None:
        """Mark *place* as taken by this process, until it ends."""
        fcntl.lockf(self._locks, fcntl.LOCK_SH, 1, place)

    def leave(self, place: int) -> None:
        """Undo :meth:`take`: nothing more is handed over to this process at *place*."""
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def is_taken(self, place: int) -> bool:
        """Return whether another process is at *place*. Must not be called for the own place: that would release it."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return True
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)
        return False

    def queue(self, place: int) -> int:
        """Return the descriptor that is readable when :meth:`receive` has a client."""
        return self._queues[place][0].fileno()

    def send(self, place: int, client: socket.socket, data: bytes) -> bool:
        """Hand a client over, with the *data* received from it. Return False if the queue is full."""
        try:
            socket.send_fds(self._queues[place][1], [data], [client.fileno()])
        except OSError:
            return False
        return True

    def receive(self, place: int) -> tuple[socket.socket, bytes] | None:
        """Return the next client that was handed over, and its data; None if there is none."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._queues[place][0], _MOST_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        return (socket.socket(fileno=descriptors[0]), data) if descriptors else None

"""The table that all workers on the machine share: one mapped file, its mutex, and a lock for each running worker.

Record locks show which workers run, and are the mutex; the kernel releases them even after ``kill -9``. The table
outlasts its writers: the slots of a killed worker stay marked until its backends are known to have ended.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Container
from functools import lru_cache
from hashlib import blake2b
from itertools import compress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from gateway.pools.record_locks import MUTEX, Mutex, RecordLocks

MAX_SLOTS: Final = 4096  #: room in the table; MAX_TOTAL_CONNECTIONS may not be more
MAX_WORKERS: Final = 128  #: old and new workers of a reload together
MAX_TICKETS: Final = 512  #: pools and deploys that wait with a place of their own in the queue, all workers together
CHANGE_COUNTERS: Final = 512  #: chosen by a database's key; databases that share one are checked once too often
LAST_USES: Final = 4096  #: times of use, chosen by a database's key; databases that share one have the later time

OBSERVER: Final = 0  #: in place of a database's key: the connection for checking orphans, for which a slot is reserved

FREE: Final = 0  #: no connection
CONNECTING: Final = 1  #: taken; the connection is being made, or was refused
BUSY: Final = 2  #: leased, dedicated, or being cleaned
IDLE: Final = 3  #: in its pool; may be evicted
CLOSING: Final = 4  #: PostgreSQL ends the backend; free when the socket shows that it has
LOST: Final = 5  #: no process of this machine holds the connection, but its backend may still run

ON_RETURN: Final = float("inf")  #: in ``requested``: when the connection, which is in use, is given back

_FIRST_WORKER: Final = MUTEX + 1  #: the byte of the file whose record lock is the first worker's
_MAGIC: Final = int.from_bytes(b"ssdbgw03", "little")
_LAYOUT: Final = (  # name, element, count; every array's size is a multiple of eight, so that every element is aligned
    ("header", "Q", 8),
    ("worker_generations", "Q", MAX_WORKERS),
    ("owners", "Q", MAX_SLOTS),
    ("backends", "Q", MAX_SLOTS),
    ("databases", "Q", MAX_SLOTS),
    ("since", "d", MAX_SLOTS),
    ("requested", "d", MAX_SLOTS),
    ("ticket_owners", "Q", MAX_TICKETS),
    ("ticket_databases", "Q", MAX_TICKETS),
    ("ticket_arrivals", "d", MAX_TICKETS),
    ("states", "B", MAX_SLOTS),
    ("ticket_urgent", "B", MAX_TICKETS),
    ("changes", "Q", CHANGE_COUNTERS),
    ("last_uses", "d", LAST_USES),
    ("returning", "d", 1),
    ("last_call", "d", 1),
)
_SIZE: Final = sum(count * (1 if element == "B" else 8) for _, element, count in _LAYOUT)
_MAGIC_AT, _GENERATION_AT, _HIGH_AT, _WAITING_AT, _BOOT_AT = range(5)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@lru_cache(maxsize=4096)
def database_key(database: str) -> int:
    """Return the key of a database in the table: eight bytes of a hash of its name."""
    return int.from_bytes(blake2b(database.encode(), digest_size=8).digest(), "little")


def _boot_key() -> int:
    """Return the key of this run of the machine, and so of its monotonic clock."""
    return database_key(_BOOT_ID.read_text())


class SharedTable:
    """The shared table, and this process's place in it. Opened once per process and path, after the fork.

    Invariant: every write but a worker's to the state, ``since`` and ``requested`` of a slot of its own, and to
    ``last_uses`` and ``last_call``, is made under the mutex. When a slot is taken its state is written last, and when
    it is freed, first, so that a worker that is killed between two writes leaves it either free or complete.
    """

    def __init__(self, path: Path) -> None:
        """Join the table.

        :param path: the table's file, created if missing, on a local file system. Next to it are the workers' pipes,
            named ``path`` + ``.<n>``
        :raises OSError: the file cannot be made or locked, all places for workers are taken, or live workers of
            another version use another layout
        """
        self._path = path
        self._locks = RecordLocks(path)
        self.mutex = Mutex(self._locks)
        try:
            with self.mutex:
                self._map()
                self.worker = self._join()
        except BaseException:
            self._locks.close()
            raise

    def _map(self) -> None:
        descriptor = self._locks.descriptor
        if os.fstat(descriptor).st_size < _SIZE:
            os.posix_fallocate(descriptor, 0, _SIZE)  # a write into a hole kills the process if the disk is full
        self._memory = mmap.mmap(descriptor, _SIZE)
        snapshot, offset = memoryview(self._memory), 0
        arrays: dict[str, Any] = {}
        for name, element, count in _LAYOUT:
            size = count * (1 if element == "B" else 8)
            arrays[name] = snapshot[offset : offset + size].cast(element)  # type: ignore[call-overload]
            offset += size
        self._arrays, self._snapshot = arrays, snapshot
        self.header: memoryview[int] = arrays["header"]
        self.worker_generations: memoryview[int] = arrays["worker_generations"]
        self.owners: memoryview[int] = arrays["owners"]  #: the generation of the worker that has the slot
        self.backends: memoryview[int] = arrays["backends"]  #: process id, 0 while it is not known
        self.databases: memoryview[int] = arrays["databases"]
        self.since: memoryview[float] = arrays["since"]  #: when the state began, if idle, closing or lost
        self.states: memoryview[int] = arrays["states"]
        self.requested: memoryview[float] = arrays["requested"]  #: when its closing was requested; 0: not; or ON_RETURN
        self.ticket_owners: memoryview[int] = arrays["ticket_owners"]  #: 0: no ticket
        self.ticket_databases: memoryview[int] = arrays["ticket_databases"]
        self.ticket_arrivals: memoryview[float] = arrays["ticket_arrivals"]
        self.ticket_urgent: memoryview[int] = arrays["ticket_urgent"]
        self.changes: memoryview[int] = arrays["changes"]  #: deploys so far, by the database's key
        self.last_uses: memoryview[float] = arrays["last_uses"]  #: when a connection was put back, by the same
        self.returning: memoryview[float] = arrays["returning"]  #: one number, see ``share_of_returning``
        self.last_call: memoryview[float] = arrays["last_call"]  #: one number: when a call of any worker ended

    def _join(self) -> int:
        """Take the first place that no running worker holds; return its number."""
        if self.header[_MAGIC_AT] != _MAGIC:
            if any(self._locks.is_held_elsewhere(_FIRST_WORKER + worker) for worker in range(MAX_WORKERS)):
                raise OSError(errno.EBUSY, "workers of another version are running; stop them first", str(self._path))
            self._snapshot[:] = bytes(_SIZE)
            self.header[_MAGIC_AT] = _MAGIC
        if self.header[_BOOT_AT] != (boot := _boot_key()):
            self._mark_as_lost()
            self.header[_BOOT_AT] = boot
        for worker in range(MAX_WORKERS):
            if not self._locks.is_held_elsewhere(_FIRST_WORKER + worker):
                self._locks.try_lock(_FIRST_WORKER + worker)
                self.header[_GENERATION_AT] += 1
                self.generation = self.worker_generations[worker] = self.header[_GENERATION_AT]
                self._open_pipe(worker)
                return worker
        raise OSError(errno.EAGAIN, f"{MAX_WORKERS} workers share this table already", str(self._path))

    def _mark_as_lost(self) -> None:
        """Mark all connections as lost after a reboot of this machine: a PostgreSQL elsewhere may still have them."""
        now = monotonic()  # the times in the table are of another clock
        for slot in range(self.high):
            if self.states[slot] != FREE:
                self.states[slot], self.since[slot] = LOST, now
        for place in range(LAST_USES):
            self.last_uses[place] = 0.0
        self.last_call[0] = 0.0

    def _open_pipe(self, worker: int) -> None:
        path = self._pipe_path(worker)
        if not (path.exists() and stat.S_ISFIFO(path.stat().st_mode)):
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
        # Opened for writing too, so that there is always a reader and a writer and never an end of file.
        self.pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _pipe_path(self, worker: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{worker}")

    def living(self) -> dict[int, int]:
        """Return the generation and number of every running worker, this one included. Under the mutex."""
        generations = self.worker_generations.tolist()
        return {
            generations[worker]: worker
            for worker in compress(range(MAX_WORKERS), generations)
            if worker == self.worker or self._is_alive(worker)
        }

    def _is_alive(self, worker: int) -> bool:
        if self._locks.is_held_elsewhere(_FIRST_WORKER + worker):
            return True
        self.worker_generations[worker] = 0
        return False

    @property
    def high(self) -> int:
        """Return one more than the highest slot that was ever taken."""
        return int(self.header[_HIGH_AT])

    @property
    def used(self) -> int:
        """Return the number of connections that exist, or may exist."""
        return self.high - bytes(self.states[: self.high]).count(FREE)

    @property
    def waiting(self) -> int:
        """Return the number of tickets. Read without the mutex, by every lease."""
        return int(self.header[_WAITING_AT])

    def take_slot(self, key: int, now: float) -> int:
        """Take the first free slot for the database *key*, and return it. Under the mutex."""
        slot = bytes(self.states).index(FREE)
        self.owners[slot], self.backends[slot], self.databases[slot] = self.generation, 0, key
        self.since[slot], self.requested[slot] = now, 0.0
        self.header[_HIGH_AT] = max(self.header[_HIGH_AT], slot + 1)
        self.states[slot] = CONNECTING
        return slot

    def free_slot(self, slot: int) -> None:
        """Mark the slot as free, when its backend is known to have ended. Under the mutex."""
        self.states[slot] = FREE

    def add_ticket(self, key: int, arrival: float, *, urgent: bool) -> int | None:
        """Return a place in the queue, or None if the table has no room for another. Under the mutex."""
        for ticket in range(MAX_TICKETS):
            if not self.ticket_owners[ticket]:
                self.ticket_databases[ticket], self.ticket_arrivals[ticket] = key, arrival
                self.ticket_urgent[ticket] = urgent
                self.ticket_owners[ticket] = self.generation
                self.header[_WAITING_AT] += 1
                return ticket
        return None

    def remove_ticket(self, ticket: int) -> None:
        """Remove a ticket from the queue. Under the mutex."""
        self.ticket_owners[ticket] = 0
        self.header[_WAITING_AT] -= 1

    def has_ticket_of(self, key: int) -> bool:
        """Return whether there is a ticket for the database. Read without the mutex."""
        return key in compress(self.ticket_databases, self.ticket_owners)

    def tickets(self, living: Container[int]) -> list[int]:
        """Return the tickets of running workers; remove the others and correct the count. Under the mutex."""
        if not self.waiting:
            return []
        found = []
        for ticket in compress(range(MAX_TICKETS), self.ticket_owners):
            if self.ticket_owners[ticket] in living:
                found.append(ticket)
            else:
                self.ticket_owners[ticket] = 0
        self.header[_WAITING_AT] = len(found)
        return found

    def notify(self, worker: int) -> None:
        """Make another worker read the table, unless it has ended."""
        try:
            pipe = os.open(self._pipe_path(worker), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):  # it has no reader
                return
            raise
        try:
            os.write(pipe, b"!")
        except (BlockingIOError, BrokenPipeError):  # it is full of earlier requests, or its reader has just ended
            return
        finally:
            os.close(pipe)

    def close(self) -> None:
        """Leave the table. Slots that are still marked as this worker's become orphans."""
        with self.mutex:
            self.worker_generations[self.worker] = 0
            for ticket in range(MAX_TICKETS):
                if self.ticket_owners[ticket] == self.generation:
                    self.remove_ticket(ticket)
            os.close(self.pipe)
            self._pipe_path(self.worker).unlink(missing_ok=True)
            for array in self._arrays.values():
                array.release()
            self._snapshot.release()
            self._memory.close()
        self._locks.close()  # this also releases the lock of this worker's place

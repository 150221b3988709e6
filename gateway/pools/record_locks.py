"""Record locks on single bytes of a file, which the kernel releases when their process ends in any way."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

MUTEX: Final = 0  #: the byte that is the mutex


class RecordLocks:
    """A file that this process opens once: closing any descriptor of a file releases all of a process's locks on it."""

    def __init__(self, path: Path) -> None:
        """Open the file, and create it if it is missing.

        :raises OSError: it cannot be opened, or this process has it open already
        """
        if _is_open(path):
            raise OSError(errno.EBUSY, "this process has the file open already", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor: Final = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def lock(self, byte: int) -> None:
        """Wait until no other process has the lock on *byte*, and take it."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, byte)

    def try_lock(self, byte: int) -> None:
        """Take the lock on *byte*.

        :raises OSError: another process has it
        """
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)

    def unlock(self, byte: int) -> None:
        """Release the lock on *byte*."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, byte)

    def is_held_elsewhere(self, byte: int) -> bool:
        """Return whether another process has the lock on *byte*. This process must not have it, as this releases it."""
        try:
            self.try_lock(byte)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return True
            raise
        self.unlock(byte)
        return False

    def close(self) -> None:
        """Release all locks."""
        os.close(self.descriptor)


def _is_open(path: Path) -> bool:
    """Return whether this process has a descriptor of the file; also one that it inherited by a fork."""
    try:
        file = path.stat()
    except FileNotFoundError:
        return False
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of this listing
            if os.path.samestat(file, os.fstat(int(descriptor.name))):
                return True
    return False


class Mutex:
    """A lock over all threads of all workers, held for microseconds; the kernel releases it if its holder is killed."""

    __slots__ = ("_locks", "_threads")

    def __init__(self, locks: RecordLocks) -> None:
        self._locks = locks
        self._threads = threading.Lock()  # record locks belong to the process, so threads need their own

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            self._locks.lock(MUTEX)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._locks.unlock(MUTEX)
        self._threads.release()

"""The signatures that a process has read, of the functions of all databases, within a limit of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Final

from gateway.errors import FunctionNotFound
from gateway.functions.signatures import LONGEST_NAME, Asker, Routine, read_routine

MAX_AGE_SECONDS: Final = 60.0  #: after which a signature is read again, because a call does not check all of it
MAX_BYTES: Final = 12 * 2**20  #: remembered per process, over all databases: some 3,000 routines of usual size
_LONGEST_QUALIFIED_NAME: Final = 2 * LONGEST_NAME + 1  #: characters of a schema, a dot and a name


class SignatureCache:
    """Recently called routines of all databases. Misses are not cached, so a 404 is always current."""

    def __init__(
        self, *, schemas: Sequence[str], changes: Callable[[str], int] = lambda _: 0, max_bytes: int = MAX_BYTES
    ) -> None:
        """Create an empty cache.

        :param schemas: where callable functions are, in the order they are looked through
        :param changes: returns a number that changes with every deploy to a database; cheap
        :param max_bytes: of all routines together, about
        """
        self._schemas = tuple(schemas)
        self._changes = changes
        self._max_bytes = max_bytes
        self._lock = Lock()  # guards changes of what follows; a reader needs a single operation of a dictionary only
        self._known: dict[tuple[str, str], tuple[float, int, Routine]] = {}  # in the order in which they were read
        self._sizes: dict[tuple[str, str], int] = {}
        self._size = 0

    def find(self, database: str, name: str) -> Routine | None:
        """Return the cached routine of *name*, unless it is too old or from before a deploy.

        :raises FunctionNotFound: the name is too long for a function
        """
        known = self._known.get((database, name))
        if known is not None:
            read_at, changes, routine = known
            return routine if read_at + MAX_AGE_SECONDS > monotonic() and changes == self._changes(database) else None
        if len(name) > _LONGEST_QUALIFIED_NAME:
            raise FunctionNotFound(f"no function has a name of {len(name)} characters", function=name[:LONGEST_NAME])
        return None

    def read(self, asker: Asker, database: str, name: str) -> Routine:
        """Read the routine from the server. Return the cached object if it has not changed.

        :raises FunctionNotFound: no function of this name may be called
        """
        read_at, changes = monotonic(), self._changes(database)
        with self._lock:
            known = self._forget((database, name))
        routine = read_routine(asker, name, self._schemas)
        if routine is None:
            raise FunctionNotFound(f"no function {name!r} may be called here", function=name)
        if known is not None and known[2] == routine:
            routine = known[2]
        with self._lock:
            self._known[database, name] = (read_at, changes, routine)
        self.weigh(database, name)
        return routine

    def weigh(self, database: str, name: str) -> None:
        """Update the size of *name* after a plan was added, and remove the oldest routines if the cache is too large.

        Without a limit in bytes, long labels of clients or long names of schemas would fill the memory.
        """
        key = (database, name)
        with self._lock:
            known = self._known.get(key)
            if known is None:
                return
            size = known[2].size
            self._size += size - self._sizes.get(key, 0)
            self._sizes[key] = size
            if self._size > self._max_bytes:
                for oldest in list(self._known):
                    if self._size <= self._max_bytes * 9 // 10:
                        break
                    self._forget(oldest)

    def _forget(self, key: tuple[str, str]) -> tuple[float, int, Routine] | None:
        """Remove a routine from the cache, under the lock, and return its entry."""
        self._size -= self._sizes.pop(key, 0)
        return self._known.pop(key, None)

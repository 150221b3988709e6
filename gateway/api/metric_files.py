"""The files in which workers count, of prometheus_client, which maps them into memory.

Each worker has its own, and the worker that answers ``GET /metrics`` sums them up. The master folds the files of ended
workers into one, so that no count is lost.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import struct
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

_log: Final = logging.getLogger(__name__)

_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  #: with the directory, for prometheus_client
_KINDS: Final = ("counter", "histogram")  #: of files that are kept after the end of their worker
_GAUGES: Final = "gauge_mostrecent"
_ENDED: Final = "ended"  #: in place of the process id, in the names of the files of all ended workers
_Values: Final[Any] = MmapedDict  #: a file of values; untyped
_DOUBLE_BYTES: Final = 8
_FILE_BYTES: Final = 2**16  #: the initial size of prometheus_client's files
_ENTRY_BYTES: Final = 40  #: the maximum size of a value in a file, without its key
_UNREADABLE: Final = (OSError, struct.error, RuntimeError)  #: what prometheus_client raises


class Cell:
    """A value in this worker's file, for the metrics of calls. Not thread-safe.

    prometheus_client's own series look for a fork and take a lock each time, which costs more than the guard of a call.
    """

    __slots__ = ("_at", "_values")

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - prometheus_client's class is made at run time
        """Continue from the present value of *value*.

        The values in a file are aligned. When the file grows, it is mapped again, and this mapping remains.
        """
        self._values = memoryview(value._file._m).cast("d")
        self._at = value._file._positions[value._key] // _DOUBLE_BYTES

    def add(self, amount: float) -> None:
        """Count *amount*."""
        self._values[self._at] += amount


class MetricFiles:
    """The directory of the files of one gateway."""

    def __init__(self) -> None:
        """Create the directory, and make prometheus_client count there. In the master, before it forks."""
        # In memory if possible: disks get full, and old files in /tmp may be removed.
        memory = "/dev/shm"  # noqa: S108 - what is made there is a folder of its own
        folder = memory if os.access(memory, os.W_OK) else None
        self.directory = Path(tempfile.mkdtemp(prefix="stonescriptdb-gateway-metrics-", dir=folder))
        self._pid = os.getpid()  # read for every count; os.getpid() takes longer
        os.environ[_VARIABLE] = str(self.directory)
        # prometheus_client chose its class at import time, when the variable was not set.
        values.ValueClass = values.MultiProcessValue(lambda: self._pid)  # type: ignore[no-untyped-call]

    def begin(self, pid: int) -> None:
        """Create the files of a new worker, in the worker.

        Space is reserved, because a mapped file that cannot grow kills its process.

        :raises OSError: there is no space
        """
        self._pid = pid
        for kind in (*_KINDS, _GAUGES):
            file = self.directory / f"{kind}_{pid}.db"
            if not file.exists():
                _reserve(file.with_suffix(".new"), _FILE_BYTES).rename(file)  # readers never see an empty file

    def fold(self, living: Collection[int]) -> None:
        """Add the counts of ended workers to one file, and remove theirs. In the master; never raises for a file.

        A file that cannot be folded now is tried again next time, and is included in the metrics until then.
        """
        try:
            with self.locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                for left in self.directory.glob("*.db"):
                    kind, _, pid = left.stem.rpartition("_")
                    if pid == _ENDED or int(pid) in living:
                        continue
                    if kind in _KINDS:
                        _add(left, self.directory / f"{kind}_{_ENDED}.db")
                    left.unlink()
        except BlockingIOError:
            pass  # another process is reading
        except _UNREADABLE as exc:
            _log.error("the metrics of a worker stay in its own file: %s", exc)

    def remove(self) -> None:
        """Remove all files, in the master, when the gateway stops."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def locked(self, operation: int = fcntl.LOCK_SH) -> Iterator[None]:
        """Lock the files, shared for reading or exclusive for folding."""
        with (self.directory / "lock").open("a") as lock:
            fcntl.flock(lock, operation)
            yield


def _add(left: Path, ended: Path) -> None:
    sums: dict[str, float] = {}
    for file in (ended, left):
        if file.exists():
            for key, value, _, _ in _Values.read_all_values_from_file(str(file)):
                sums[key] = sums.get(key, 0.0) + value
    fresh = _reserve(ended.with_suffix(".new"), sum(len(key.encode()) + _ENTRY_BYTES for key in sums) + _FILE_BYTES)
    total = _Values(str(fresh))
    for key, value in sums.items():
        total.write_value(key, value, 0.0)
    total.close()
    fresh.replace(ended)


def _reserve(file: Path, size: int) -> Path:
    with file.open("wb") as fresh:
        os.posix_fallocate(fresh.fileno(), 0, size)
    return file

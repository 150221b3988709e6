"""The threads that clean and close connections for all pools of a worker."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

THREADS: Final = 2  #: so that cleaning one slow session does not delay all others
_log: Final = logging.getLogger(__name__)


class TaskThreads:
    """A queue of small tasks and a few threads that run them in order."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"pool-task-{number}", daemon=True) for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Callable[[], None]) -> None:
        """Run *task* in a thread, after the tasks before it have started."""
        self._queue.put(task)

    def stop(self, seconds: float = 5.0) -> None:
        """Run the queued tasks and end the threads; do not wait longer than *seconds* for each."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception:  # noqa: BLE001 - logged; it must not affect other tasks
                _log.exception("a task of the connection pools failed")
            del task  # and the connection that it references, before the wait for the next one

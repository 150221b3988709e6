"""Threads for requests that the loop does not answer itself, and the queue for them."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, Final

import orjson

from gateway.api.request_ids import REQUEST_ID_HEADER
from gateway.events import Events, RequestFailed

_BUSY: Final = "all of this worker's threads are busy; try again"


class Threads:
    """Threads for requests of one kind. For the loop's thread."""

    def __init__(self, name: str, count: int, wait_seconds: float, events: Events) -> None:
        """Create it without threads, which are started when they are needed.

        :param wait_seconds: how long a task waits for a thread before it is refused
        :param events: where refusals are emitted
        """
        self._events = events
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._wait_seconds = wait_seconds
        # Deadline, task, and what refuses it, in the order in which they get a thread.
        self._queue: deque[tuple[float, Future[None], Callable[[bytes], None]]] = deque()

    def submit(self, task: Callable[[], None], refuse: Callable[[bytes], None]) -> None:
        """Run *task* in a thread.

        :param refuse: called instead with an answer for the client, in the loop, if there is no thread in time
        """
        self._queue.append((monotonic() + self._wait_seconds, self._pool.submit(task), refuse))

    def refuse_overdue(self, now: float) -> None:
        """Refuse tasks that have waited too long for a thread, and remove started tasks from the queue."""
        while self._queue:
            deadline, task, refuse = self._queue[0]
            if not (task.running() or task.done()) and deadline > now:
                return
            self._queue.popleft()
            if task.cancel():
                self._events.emit(RequestFailed("pool_exhausted"))
                refuse(error_answer("503 Service Unavailable", "pool_exhausted", _BUSY, "Retry-After: 1\r\n"))

    def shut_down(self) -> None:
        """End the threads after their running tasks."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def error_answer(status: str, code: str, message: str, header: str = "", *, request_id: str = "") -> bytes:
    """Return the answer to a request that the application does not answer. The connection is closed after it."""
    request_id = request_id or uuid.uuid4().hex
    error: dict[str, Any] = {"error": code, "message": message, "request_id": request_id}
    body = orjson.dumps(error)
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{REQUEST_ID_HEADER}: {request_id}\r\n{header}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body

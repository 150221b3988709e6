"""gunicorn's threaded worker, answering what never reaches the application in the gateway's own form of error."""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

import orjson
from gunicorn.http.errors import (
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.workers.gthread import TConn, ThreadWorker

_log: Final = logging.getLogger(__name__)

_HEALTH: Final = b"GET /health"
_HEALTH_THREADS: Final = 8  #: made when first needed; each answers within a second, whatever happens
_MAX_HEAD_BYTES: Final = 8192  #: of a request for health; a larger one waits with all others


class Worker(ThreadWorker):
    """A worker with threads that always has one for health, and whose errors are JSON.

    Invariant: a request gets a thread when its first bytes are there, so a client that sends nothing costs none. One
    for health whose head is there as a whole gets a thread of its own pool, so that it is answered also when every
    other thread waits for PostgreSQL.
    """

    poller: selectors.BaseSelector
    tpool: ThreadPoolExecutor

    def init_process(self) -> None:
        """Make the pool for health; the base class, which runs the worker to its end, makes the other."""
        self._health_pool = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
        super().init_process()  # type: ignore[no-untyped-call]

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and wait for its first bytes where waiting needs no thread."""
        try:
            client, address = listener.accept()
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                return
            raise
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())  # type: ignore[no-untyped-call]
        if _peek(client) is None:
            conn.set_timeout()  # type: ignore[no-untyped-call]
            self.pending_conns.append(conn)
            self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        else:
            conn.data_ready = True
            self.enqueue_req(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a request to a thread."""
        head = _peek(conn.sock) or b""
        is_health = head.startswith(_HEALTH) and b"\r\n\r\n" in head
        request = (self._health_pool if is_health else self.tpool).submit(self.handle, conn)
        finish: Callable[..., None] = self.method_queue.defer
        request.add_done_callback(partial(finish, self.finish_request, conn))

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ANN401, ARG002 - gunicorn's
        """Answer a request that gunicorn could not read, or whose handling broke outside the application."""
        request_id = uuid.uuid4().hex
        status, code, message = describe_error(exc)
        if code == "internal_error":
            _log.error("the request's handling broke", exc_info=exc, extra={"request_id": request_id})
        else:
            # Only its kind: the text quotes the request, and a broken header may hold a key.
            _log.info("unreadable request: %s", type(exc).__name__, extra={"request_id": request_id})
        body = orjson.dumps({"error": code, "message": message, "request_id": request_id})
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
        )
        with suppress(OSError):  # the client may be gone, and then nobody waits for an answer
            client.sendall(head.encode("latin-1") + body)


def _peek(client: socket.socket) -> bytes | None:
    """The bytes that have arrived and were not read; None if there are none yet, empty if there will be no more."""
    try:
        return client.recv(_MAX_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""  # whoever reads it will meet the error, and knows what to do with it


def describe_error(exc: BaseException) -> tuple[str, str, str]:
    """The status line, the code and the message for what gunicorn raised."""
    if isinstance(exc, LimitRequestLine | LimitRequestHeaders):
        return "413 Content Too Large", "payload_too_large", f"the request line or its headers are too large: {exc}"
    # A header that the application tried to send is no fault of the client's.
    if isinstance(exc, ParseException) and not isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName):
        return "400 Bad Request", "invalid_request", f"this is not a readable HTTP request: {exc}"
    return "500 Internal Server Error", "internal_error", "the gateway failed; its log has more under this request_id"

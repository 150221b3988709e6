"""gunicorn's threaded worker, answering what never reaches the application in the gateway's own form of error."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import signal
import socket
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any, Final

import orjson
from gunicorn.http.errors import (
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.workers.gthread import ThreadWorker

from gateway.events import RequestFailed, emit
from gateway.routes import CALL, Work, route_of_head
from gateway.serving.client_connections import ClientConnection

_log: Final = logging.getLogger(__name__)

_HEALTH_THREADS: Final = 8  #: made when first needed; each answers within a second, whatever happens
_CALL: Final = f"{CALL.method} {CALL.path} ".encode()
_DRAIN_BYTES: Final = 2**16
_LINGER_SECONDS: Final = 2.0  #: for the client to take an answer and close, before what it still sends is refused

_TO_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

_Queue = deque[tuple[float, ClientConnection, "Future[Any]"]]


class Worker(ThreadWorker):
    """A worker with threads that always has one for health, and whose errors are JSON.

    Requests for health, deploys, and calls with everything else have threads of their own, so that none waits for
    another kind: health is answered when all calls wait for PostgreSQL, and calls when many deploys are under way.

    Invariants: the main loop never waits for a client. A request gets a thread when its first bytes are there, so a
    client that sends nothing costs none, and waits for that no longer than for a connection: then it is refused. A
    thread stays with its client for the calls that follow at once, but only while there is a thread for every other.
    """

    poller: selectors.BaseSelector
    tpool: ThreadPoolExecutor
    pending_conns: deque[ClientConnection]

    def init_process(self) -> None:
        """Make what the base class does not, which then runs the worker to its end."""
        settings = self.app.wsgi().extensions["gateway"].settings
        self._health_pool = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
        self._deploy_pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="deploy")
        self._call_wait_seconds: float = settings.pool_wait_timeout_seconds
        self._deploy_wait_seconds: float = settings.deploy_wait_timeout_seconds
        self._calls: _Queue = deque()
        self._deploys: _Queue = deque()
        self._calls_under_way = 0  # with a thread or waiting for one; written in the main loop only
        self._call_threads: int = settings.request_threads
        self._lingering: dict[socket.socket, float] = {}  # until when, which is the order they are in
        super().init_process()  # type: ignore[no-untyped-call]

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        """Stop without waiting for clients.

        The base class leaves from wherever the main loop is just then: with a lock that it takes itself on its way, or
        in the middle of starting a thread, which then nobody would end.
        """
        self.alive = False
        self.method_queue.defer(self._forget_clients)  # type: ignore[no-untyped-call]

    def _forget_clients(self) -> None:
        self.nr_conns = 0

    def init_signals(self) -> None:
        """Listen to signals, and to those that have waited for it."""
        super().init_signals()  # type: ignore[no-untyped-call]
        _release_signals()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Make the threads for everything else; those that are not needed are never started."""
        return ThreadPoolExecutor(self._call_threads, thread_name_prefix="request")

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and wait for its first bytes where waiting needs no thread."""
        try:
            client, address = listener.accept()
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                return
            raise
        self.nr_conns += 1
        conn = ClientConnection(self.cfg, client, address, listener.getsockname(), self._linger)
        if (head := conn.peek()) is None:
            conn.set_timeout()  # type: ignore[no-untyped-call]
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        else:
            conn.data_ready = True
            self._enqueue(conn, head)

    def enqueue_req(self, conn: ClientConnection) -> None:
        """Give a request to a thread of its kind; the base class calls this."""
        self._enqueue(conn, conn.peek() or b"")

    def _enqueue(self, conn: ClientConnection, head: bytes) -> None:
        finish: Callable[..., None] = self.finish_request
        route = CALL if head.startswith(_CALL) else route_of_head(head)
        work = Work.OTHER if route is None else route.work
        if work is Work.HEALTH and b"\r\n\r\n" in head:
            request = self._health_pool.submit(self.handle, conn)
        elif work is Work.DEPLOY:
            request = self._deploy_pool.submit(self.handle, conn)
            self._deploys.append((monotonic() + self._deploy_wait_seconds, conn, request))
        else:
            self._calls_under_way += 1
            request = self.tpool.submit(self._handle_calls, conn)
            self._calls.append((monotonic() + self._call_wait_seconds, conn, request))
            finish = self._finish_calls
        request.add_done_callback(partial(self.method_queue.defer, finish, conn))

    def handle(self, conn: ClientConnection) -> Any:  # noqa: ANN401 - gunicorn's
        """Read a request, and answer it."""
        conn.source.restart()
        return super().handle(conn)  # type: ignore[no-untyped-call]

    def handle_request(self, req: Any, conn: ClientConnection) -> Any:  # noqa: ANN401 - gunicorn's
        """Answer a request."""
        with conn.sock.one_message():
            return super().handle_request(req, conn)  # type: ignore[no-untyped-call]

    def _handle_calls(self, conn: ClientConnection) -> Any:  # noqa: ANN401 - gunicorn's
        """Read a request and answer it, and so with the calls that follow at once.

        To give the connection back to the main loop and to get it again would cost as much as half a call.
        """
        while (reusable := self.handle(conn)) is True and self._calls_under_way <= self._call_threads:
            following = conn.peek_soon()
            if not following:
                return following is None  # else the client has closed the connection
            if not following.startswith(_CALL):
                return True
        return reusable

    def _finish_calls(self, conn: ClientConnection, request: Future[Any]) -> None:
        self._calls_under_way -= 1
        self.finish_request(conn, request)  # type: ignore[no-untyped-call]

    def murder_pending(self) -> None:
        """Part with the clients whose time is over; the base class calls this about once a second."""
        super().murder_pending()  # type: ignore[no-untyped-call]
        now = monotonic()
        for queue in (self._calls, self._deploys):
            self._shed_overdue(queue, now)
        while self._lingering and (oldest := next(iter(self._lingering.items())))[1] < now:
            self._close(oldest[0])

    def _shed_overdue(self, queue: _Queue, now: float) -> None:
        """Refuse the requests that have waited too long for a thread. They are in the order in which they get one."""
        while queue:
            deadline, conn, request = queue[0]
            if not (request.running() or request.done()):
                if deadline > now:
                    return
                if request.cancel():
                    message = "all of this worker's threads are busy; try again"
                    _answer(conn.sock, "503 Service Unavailable", "pool_exhausted", message, "Retry-After: 1\r\n")
            queue.popleft()

    def _cap_keepalive(self, deadline: float) -> None:
        """Wait when stopping no longer for clients that have sent nothing yet than for those between two requests."""
        super()._cap_keepalive(deadline)  # type: ignore[no-untyped-call]
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _linger(self, client: socket.socket) -> None:
        """Send no more, and read on for a moment: to close with bytes unread would take the answer from the client."""
        try:
            client.shutdown(socket.SHUT_WR)
        except OSError:
            client.close()
            return
        client.setblocking(False)
        if _has_ended(client):
            client.close()
            return
        self._lingering[client] = monotonic() + _LINGER_SECONDS
        self.poller.register(client, selectors.EVENT_READ, self._drain)

    def _drain(self, client: socket.socket) -> None:
        if _has_ended(client):
            self._close(client)

    def _close(self, client: socket.socket) -> None:
        del self._lingering[client]
        self.poller.unregister(client)
        client.close()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ANN401, ARG002 - gunicorn's
        """Answer a request that gunicorn could not read, or whose handling broke outside the application."""
        request_id = uuid.uuid4().hex
        status, code, message = describe_error(exc)
        if code == "internal_error":
            _log.error("the request's handling broke", exc_info=exc, extra={"request_id": request_id})
        else:
            # Only its kind: the text quotes the request, and a broken header may hold a key.
            _log.info("unreadable request: %s", type(exc).__name__, extra={"request_id": request_id})
        _answer(client, status, code, message, request_id=request_id)


def keep_signals_for_workers() -> None:
    """Let a signal to stop wait until the worker it is for can listen. In the master, before it forks any.

    From the fork until then a worker has the master's handlers, which only note a signal for the master's own loop: the
    worker would go on, until the master loses its patience and kills it.
    """
    _release_signals()  # a master that another has started, on SIGUSR2, inherits what was held back at that fork
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals)


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _TO_STOP)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_STOP)


def _answer(
    client: socket.socket, status: str, code: str, message: str, header: str = "", *, request_id: str = ""
) -> None:
    """Send an error and, as whatever else the client sends is not read, the end of the connection."""
    emit(RequestFailed(code))
    request_id = request_id or uuid.uuid4().hex
    body = orjson.dumps({"error": code, "message": message, "request_id": request_id})
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\n{header}Connection: close\r\n\r\n"
    )
    with suppress(OSError):  # the client may be gone, and then nobody waits for an answer
        client.sendall(head.encode("latin-1") + body)


def _has_ended(client: socket.socket) -> bool:
    """Take what the client still sends; whether it has closed its end."""
    try:
        return not client.recv(_DRAIN_BYTES)
    except BlockingIOError:
        return False
    except OSError:
        return True


def describe_error(exc: BaseException) -> tuple[str, str, str]:
    """The status line, the code and the message for what gunicorn raised."""
    if isinstance(exc, LimitRequestLine | LimitRequestHeaders):
        return "413 Content Too Large", "payload_too_large", f"the request line or its headers are too large: {exc}"
    # A header that the application tried to send is no fault of the client's.
    if isinstance(exc, ParseException) and not isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName):
        return "400 Bad Request", "invalid_request", f"this is not a readable HTTP request: {exc}"
    return "500 Internal Server Error", "internal_error", "the gateway failed; its log has more under this request_id"

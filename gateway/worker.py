"""gunicorn's threaded worker, answering what never reaches the application in the gateway's own form of error."""

from __future__ import annotations

import logging
import socket
import uuid
from contextlib import suppress
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

_log: Final = logging.getLogger(__name__)


class Worker(ThreadWorker):
    """A worker with threads whose errors are JSON: broken request lines, headers over the limits, and the like."""

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


def describe_error(exc: BaseException) -> tuple[str, str, str]:
    """The status line, the code and the message for what gunicorn raised."""
    if isinstance(exc, LimitRequestLine | LimitRequestHeaders):
        return "413 Content Too Large", "payload_too_large", f"the request line or its headers are too large: {exc}"
    # A header that the application tried to send is no fault of the client's.
    if isinstance(exc, ParseException) and not isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName):
        return "400 Bad Request", "invalid_request", f"this is not a readable HTTP request: {exc}"
    return "500 Internal Server Error", "internal_error", "the gateway failed; its log has more under this request_id"

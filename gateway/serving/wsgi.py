"""Requests answered by the application in a thread: parsed by gunicorn, and passed on by WSGI."""

from __future__ import annotations

import errno
import io
import logging
import select
import socket
import struct
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import (
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.wsgi import create

from gateway.errors import INTERNAL_ERROR
from gateway.events import Events, RequestFailed
from gateway.serving.client import WRITE_SECONDS, Client
from gateway.serving.threads import error_answer

_log: Final = logging.getLogger(__name__)

READ_SECONDS: Final = 20.0  #: that all pauses in the sending of a request may take together
MIN_BYTES_PER_SECOND: Final = 16 * 1024  #: a client that sends faster than this has no deadline
_GONE: Final = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EAGAIN)
DRAIN_SECONDS: Final = 5.0  #: for the rest of an unread body, before the connection is closed instead
_SEND_TIMEOUT: Final = struct.pack("ll", int(WRITE_SECONDS), 0)
_TOGETHER_BYTES: Final = 64 * 1024  #: up to which a body is sent in one message with its head

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class TimedSource:
    """The source of a request for gunicorn: the received bytes, then the socket, with a deadline.

    Without a deadline, clients that each send half a body would occupy all threads.
    """

    def __init__(self, client: Client) -> None:
        self._arrived = client.data
        self._socket = client.socket
        self._deadline = monotonic() + READ_SECONDS

    def recv(self, size: int) -> bytes:
        """Return the received data, or the next data.

        :raises ConnectionResetError: the deadline of the sender has passed
        """
        if self._arrived:
            data, self._arrived = self._arrived[:size], self._arrived[size:]
            return data
        try:
            data = self._socket.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            readable = select.poll()
            readable.register(self._socket, select.POLLIN)
            if not readable.poll(max(0.0, self._deadline - monotonic()) * 1000):
                raise ConnectionResetError(errno.ECONNRESET, "the request arrives too slowly") from None
            data = self._socket.recv(size)
        self._deadline += len(data) / MIN_BYTES_PER_SECOND
        return data

    def rest(self) -> bytes:
        """Return the received data that was not read."""
        return self._arrived


class RequestBody(io.RawIOBase):
    """The body of a request for WSGI: a malformed body raises an OSError."""

    def __init__(self, body: Body) -> None:
        """Read from *body*, which is gunicorn's."""
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return the next *size* bytes, or fewer at the end.

        :raises OSError: the chunks of the body are malformed, or the client has disconnected or is too slow
        """
        try:
            data: bytes = self._body.read(None if size is None or size < 0 else size)  # type: ignore[no-untyped-call]
        except ParseException as exc:
            raise OSError(errno.EBADMSG, f"the body is malformed: {exc}") from exc
        return data

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer, as the base class has it
        """Read as much as *buffer* holds."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Output:
    """The socket to which gunicorn writes an answer. The head is kept until the body is written."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._held: bytes | None = b""  # None: data is sent at once
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)

    @property
    def hang_up(self) -> int:
        """The event for the end of the client's sending, besides errors, which are always reported."""
        return getattr(select, "POLLRDHUP", 0)

    def fileno(self) -> int:
        """Return the descriptor of the client's socket."""
        return self._client.fileno()

    def probe(self) -> None:
        """Send a byte early; see :meth:`Client.probe`."""
        self._client.probe()

    def send(self, data: bytes) -> int:
        """Send an interim answer."""
        return self._client.socket.send(data)

    def sendall(self, data: bytes) -> None:
        """Send *data*, or keep it until the next."""
        if self._held == b"":
            self._held = self._client.rest_of(data)
            return
        if self._held is not None:
            held, self._held = self._held, None
            if len(data) <= _TOGETHER_BYTES:
                data = held + data
            else:
                self._client.socket.sendall(held)
        self._client.socket.sendall(data)

    @property
    def begun(self) -> bool:
        """Whether some of the answer was sent."""
        return self._held is None

    def flush(self) -> None:
        """Send the held data."""
        held, self._held = self._held, None
        if held:
            self._client.socket.sendall(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The state of a connection after an answer.

    :ivar last: the connection is to be closed
    :ivar drained: the request was read to its end, and its client has announced that it was the last one
    :ivar ahead: the received data of the next request
    """

    last: bool
    drained: bool = False
    ahead: bytes = b""


def serve(
    config: Config, application: Application, client: Client, events: Events, *, stopping: Callable[[], bool]
) -> Answered:
    """Answer one request of *client*, also if it fails; see :func:`answer_request`."""
    try:
        return answer_request(config, application, client, stopping=stopping)
    except (NoMoreData, StopIteration):
        pass  # the client has disconnected before its request was complete
    except OSError as exc:
        if exc.errno not in _GONE:
            _log.exception("a client's connection failed")
    except Exception as exc:  # noqa: BLE001 - answered and logged in one place
        answer_unreadable(client, exc, events)
    return Answered(last=True)


def answer_unreadable(client: Client, error: BaseException, events: Events) -> None:
    """Answer a request that gunicorn cannot parse, or that failed outside the application."""
    request_id = uuid.uuid4().hex
    status, code, message = describe_error(error)
    if code == "internal_error":
        _log.error("a request failed outside the application", exc_info=error, extra={"request_id": request_id})
    else:
        # Without its text, which quotes the request: a malformed header may contain a key.
        _log.info("unreadable request: %s", type(error).__name__, extra={"request_id": request_id})
    events.emit(RequestFailed(code))
    answer = error_answer(status, code, message, request_id=request_id)
    with suppress(OSError):  # the client may have disconnected, and then needs no answer
        client.socket.send(client.rest_of(answer), socket.MSG_DONTWAIT)


def describe_error(exc: BaseException) -> tuple[str, str, str]:
    """Return the status line, the code and the message for an error of gunicorn."""
    if isinstance(exc, LimitRequestLine | LimitRequestHeaders):
        return "413 Content Too Large", "payload_too_large", f"the request line or its headers are too large: {exc}"
    # An invalid header of the answer is a fault of the application.
    if isinstance(exc, ParseException) and not isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName):
        return "400 Bad Request", "invalid_request", f"this is not a readable HTTP request: {exc}"
    return "500 Internal Server Error", "internal_error", INTERNAL_ERROR


def answer_request(
    config: Config, application: Application, client: Client, *, stopping: Callable[[], bool]
) -> Answered:
    """Read one request of *client*, and have *application* answer it.

    :param stopping: whether the worker takes no more requests
    :raises Exception: gunicorn's error for an unreadable request; ``OSError`` if the client has disconnected
    """
    source = TimedSource(client)
    parser = get_parser(config, source, client.address)  # type: ignore[no-untyped-call]
    request = next(parser)
    _check_transfer_coding(request.headers)
    output = Output(client)
    response, environ = create(request, output, client.address, client.server, config)  # type: ignore[no-untyped-call]
    environ["wsgi.multithread"] = True
    environ["wsgi.input"] = RequestBody(environ["wsgi.input"])
    if stopping():
        response.force_close()
    body = application(environ, response.start_response)
    try:
        for part in body:
            response.write(part)
        response.close()
        output.flush()
    except OSError:
        raise
    except Exception:
        if not output.begun:
            raise
        _log.exception("an answer was not completed")  # its head was sent, so there can be no other
        return Answered(last=True)
    finally:
        if hasattr(body, "close"):
            body.close()
    return _rest_of_connection(parser, source, request, response)


def _rest_of_connection(parser: Any, source: TimedSource, request: Any, response: Any) -> Answered:  # noqa: ANN401
    """Return the state of the connection after an answer; if it stays open, read the rest of the request's body."""
    if response.should_close():
        reader = request.body.reader
        whole = isinstance(reader, LengthReader) and not reader.length
        ahead = parser.unreader.take_buffered() + source.rest()
        announced = request.should_close() and not request.must_close
        return Answered(last=True, drained=whole and not ahead and announced)
    if not parser.finish_body(deadline=monotonic() + DRAIN_SECONDS):
        return Answered(last=True)
    return Answered(last=False, ahead=parser.unreader.take_buffered() + source.rest())


def _check_transfer_coding(headers: Iterable[tuple[str, str]]) -> None:
    """Refuse what gunicorn would read as if it were not compressed, ``gzip, chunked``.

    :raises UnsupportedTransferCoding: a body is coded in another way than in chunks
    """
    for name, value in headers:
        if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise UnsupportedTransferCoding(value)  # type: ignore[no-untyped-call]

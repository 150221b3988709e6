"""Reading the bodies of requests, within a limit, whether or not they say their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wsgi import get_input_stream

from gateway.errors import InvalidRequest

_PIECE_BYTES: Final = 2**16


def read_body(environ: dict[str, Any], max_bytes: int) -> bytes:
    """The whole body.

    :raises UnsupportedMediaType: it says that it is compressed
    :raises RequestEntityTooLarge: it is longer than *max_bytes*, or says so
    :raises InvalidRequest: it does not arrive whole
    """
    _check_is_plain(environ)
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length) <= max_bytes:  # the way of nearly every call, so it is the short one
        body = _read(environ["wsgi.input"], int(length))
        if len(body) < int(length):
            raise InvalidRequest("the body ended before its announced length")
        return body
    return b"".join(body_pieces(environ, max_bytes))


def body_pieces(environ: dict[str, Any], max_bytes: int) -> Iterator[bytes]:
    """The body, a piece at a time, none of them empty.

    :raises UnsupportedMediaType, RequestEntityTooLarge, InvalidRequest: as :func:`read_body`
    """
    _check_is_plain(environ)
    # The stream refuses to be read again at its limit, so that is set where only a body too long gets to.
    stream = get_input_stream(environ, max_content_length=max_bytes + 1)
    left = max_bytes
    while True:
        piece = _read(stream, _PIECE_BYTES)
        if not piece:
            return
        left -= len(piece)
        if left < 0:
            raise RequestEntityTooLarge
        yield piece


def _check_is_plain(environ: dict[str, Any]) -> None:
    if environ.get("HTTP_CONTENT_ENCODING", "identity") not in ("identity", ""):
        raise UnsupportedMediaType("the body must be sent as it is, without Content-Encoding")


def _read(stream: IO[bytes], size: int) -> bytes:
    """Read, and turn the server's errors about chunks that are none, and clients that are gone, into ours."""
    try:
        return stream.read(size)
    except (OSError, ParseException, ClientDisconnected) as exc:
        message = "the body could not be read: it broke off, came too slowly, or its chunks are malformed"
        raise InvalidRequest(message) from exc

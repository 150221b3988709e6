"""Reading the bodies of requests within a limit: plain ones, and multipart forms with one archive in them.

Werkzeug's decoder parses the forms. Its form parser is not used, because it decides by the file name whether a part is
a file; here the name of the part decides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO, Any, Final

from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData
from werkzeug.wsgi import get_input_stream

from gateway.errors import InvalidRequest

_PIECE_BYTES: Final = 2**16

ARCHIVE: Final = "schema"  #: the part that is the archive
_MAX_TEXT_BYTES: Final = 4096  #: of any other part; names have 63 at most
_MAX_PARTS: Final = 100
_MAX_OVERHEAD_BYTES: Final = 2**18  #: what a form may have besides the archive; headers of parts take long to parse
_IN_MEMORY_BYTES: Final = 2**20  #: of an archive; a larger one is kept on disk


def read_body(environ: dict[str, Any], max_bytes: int) -> bytes:
    """Read the whole body.

    :raises UnsupportedMediaType: it is compressed
    :raises RequestEntityTooLarge: it, or its Content-Length, is longer than *max_bytes*
    :raises InvalidRequest: it is incomplete
    """
    _check_is_plain(environ)
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal() and int(length) <= max_bytes:  # nearly every call
        body = _read(environ["wsgi.input"], int(length))
        if len(body) < int(length):
            raise InvalidRequest("the body ended before its announced length")
        return body
    return b"".join(body_pieces(environ, max_bytes))


def body_pieces(environ: dict[str, Any], max_bytes: int) -> Iterator[bytes]:
    """Yield the body in pieces that are not empty.

    :raises UnsupportedMediaType, RequestEntityTooLarge, InvalidRequest: as :func:`read_body`
    """
    _check_is_plain(environ)
    # The stream raises an error if it is read at its limit, which therefore is one that only a too long body reaches.
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
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() not in ("identity", ""):
        raise UnsupportedMediaType("the body must be sent uncompressed, without Content-Encoding")


def _read(stream: IO[bytes], size: int) -> bytes:
    """Read, and convert errors about malformed chunks and disconnected clients to the gateway's."""
    try:
        return stream.read(size)
    except (OSError, ClientDisconnected) as exc:
        message = "the body could not be read: the connection ended, it came too slowly, or its chunks are malformed"
        raise InvalidRequest(message) from exc


@contextmanager
def reading_form(
    environ: dict[str, Any], max_archive_bytes: int, archives: Collection[str] = (ARCHIVE,)
) -> Iterator[dict[str, Any]]:
    """Return the parts of the form by name: texts as str, the archive as a file that exists until the end.

    :param archives: the names that the archive's part may have

    :raises UnsupportedMediaType: the content type is not that of a multipart form
    :raises RequestEntityTooLarge: the archive or the whole is too large, or there are too many parts
    :raises InvalidRequest: it is not a valid form, a part is repeated or too long, or a text is not UTF-8
    """
    content_type, options = parse_options_header(environ.get("CONTENT_TYPE", ""))
    if content_type != "multipart/form-data":
        raise UnsupportedMediaType("the body must be a form, with Content-Type: multipart/form-data")
    boundary = options.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise InvalidRequest("the form's Content-Type has no boundary, or not one of ASCII characters")
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as archive:
        reader = _PartReader(archive, archives, max_archive_bytes)
        try:
            _read_parts(environ, boundary.encode(), reader, max_archive_bytes + _MAX_OVERHEAD_BYTES)
        except ValueError as exc:
            raise InvalidRequest(f"the form is not readable: {exc}") from None
        archive.seek(0)
        yield reader.parts


def _read_parts(environ: dict[str, Any], boundary: bytes, reader: _PartReader, max_bytes: int) -> None:
    """Read the form in pieces, and pass the decoder's events to *reader*.

    :raises RequestEntityTooLarge: there is more than *max_bytes*, or more besides the archive than a form needs
    """
    decoder = MultipartDecoder(boundary, max_parts=_MAX_PARTS)
    received = 0
    for piece in chain(body_pieces(environ, max_bytes), [None]):
        received += len(piece or b"")
        decoder.receive_data(piece)
        while not isinstance(event := decoder.next_event(), NeedData):
            reader.take(event)
            if isinstance(event, Epilogue):
                return
        if received - reader.archive_bytes > _MAX_OVERHEAD_BYTES:
            raise RequestEntityTooLarge(f"the form has more than {_MAX_OVERHEAD_BYTES} bytes besides the archive")


class _PartReader:
    """Collects the parts of a form from the events of the decoder.

    :ivar archive_bytes: received of the archive
    """

    def __init__(self, archive: IO[bytes], archives: Collection[str], max_archive_bytes: int) -> None:
        self.parts: dict[str, str | IO[bytes]] = {}
        self._archive = archive
        self._archives = archives
        self._max_archive_bytes = max_archive_bytes
        self._name = ""
        self._text = bytearray()
        self.archive_bytes = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._begin(event.name)
        elif isinstance(event, Data):
            self._continue(event.data)
            if not event.more_data:
                self._end()

    def _begin(self, name: str | None) -> None:
        if not name:
            raise InvalidRequest("a part of the form has no name")
        if name in self.parts:
            raise InvalidRequest.of_field(name, f"{name} was sent twice; send it once")
        if name in self._archives and any(other in self.parts for other in self._archives):
            message = f"{' and '.join(self._archives)} are names of one part: send one of them"
            raise InvalidRequest.of_field(name, message)
        self._name = name

    def _continue(self, data: bytes) -> None:
        if self._name not in self._archives:
            self._text += data
            if len(self._text) > _MAX_TEXT_BYTES:
                raise InvalidRequest(f"{self._name} is longer than {_MAX_TEXT_BYTES} bytes, or is no part of this form")
            return
        self._archive.write(data)
        self.archive_bytes += len(data)
        if self.archive_bytes > self._max_archive_bytes:
            raise RequestEntityTooLarge(
                f"the archive is larger than {self._max_archive_bytes} bytes, the limit of MAX_UPLOAD_BYTES"
            )

    def _end(self) -> None:
        if self._name in self._archives:
            self.parts[self._name] = self._archive
            return
        try:
            self.parts[self._name] = self._text.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"{self._name} is not UTF-8 text") from None
        self._text.clear()

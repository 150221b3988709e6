"""Heads of requests: the kind of work, and calls with plain heads, which every parser reads alike.

All other heads (a body in chunks, an expectation, a repeated header, a forbidden character …) are parsed by gunicorn,
in a thread. Its parser implements all of HTTP/1.1 and refuses malformed requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.routes import CALL, Work, route_of_head

MAX_BODY_BYTES: Final = 64 * 1024  #: of a call that the loop reads
_MAX_HEAD_BYTES: Final = 8 * 1024  #: below gunicorn's own limits of a line, a header and all together
_MAX_HEADERS: Final = 100
_REMEMBERED_BYTES: Final = 2**20  #: of heads; those of one client differ only in the length of the body
_REQUEST_LINE: Final = f"{CALL.method} {CALL.path} HTTP/1.1".encode()
_CALL: Final = f"{CALL.method} {CALL.path} ".encode()
_HEADER: Final = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
#: Headers of requests that are more than a head and a body of a known length.
_NOT_PLAIN: Final = frozenset(
    {"TRANSFER-ENCODING", "CONTENT-ENCODING", "EXPECT", "UPGRADE", "TRAILER", "TE", "PROXY-CONNECTION", "KEEP-ALIVE"}
)
_LAST: Final = {"keep-alive": False, "close": True}


@dataclass(frozen=True, slots=True)
class PlainHead:
    """The head of a plain call.

    :ivar environ: as WSGI has it, without what depends on the client's address
    :ivar length: of the body
    :ivar last: the client requests that the connection be closed after the answer
    """

    environ: dict[str, Any]
    length: int
    last: bool


class HeadReader:
    """Parses heads of calls, and caches some."""

    def __init__(self) -> None:
        self._known: dict[bytes, PlainHead] = {}
        self._known_bytes = 0

    def read(self, head: bytes) -> PlainHead | None:
        """Return the parsed head; None if it is not that of a plain call.

        :param head: up to the empty line, without it
        """
        known = self._known.get(head)
        if known is None and len(head) <= _MAX_HEAD_BYTES:
            known = _read(head)
            if known is not None:
                self._remember(head, known)
        return known

    def _remember(self, head: bytes, plain: PlainHead) -> None:
        self._known_bytes += len(head)
        if self._known_bytes > _REMEMBERED_BYTES:
            self._known.clear()
            self._known_bytes = len(head)
        self._known[head] = plain


def _read(head: bytes) -> PlainHead | None:
    request_line, *lines = head.split(b"\r\n")
    if request_line != _REQUEST_LINE or len(lines) > _MAX_HEADERS:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            return None
        name = found[1].decode().upper()
        if name in headers:
            return None
        headers[name] = found[2].decode("latin-1").strip(" \t")
    length = headers.get("CONTENT-LENGTH", "")
    last = _LAST.get(headers.get("CONNECTION", "keep-alive").lower())
    if not _NOT_PLAIN.isdisjoint(headers) or not _LENGTH.fullmatch(length) or last is None:
        return None
    return PlainHead(_environ(headers), int(length), last)


def _environ(headers: dict[str, str]) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": CALL.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": CALL.path,
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    for name, value in headers.items():
        key = name.replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ


def work_of(data: bytes) -> Work:
    """Return the kind of work for the request that *data* begins with."""
    data = data.removeprefix(b"\r\n")  # as gunicorn's parser does
    route = CALL if data.startswith(_CALL) else route_of_head(data)
    return Work.OTHER if route is None else route.work


def has_bare_newline(data: bytes) -> bool:
    """Return whether a line of a head ends with a bare newline, so that the end of the head is never found."""
    return data.count(b"\n") != data.count(b"\r\n")

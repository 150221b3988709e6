"""Decompresses gzip in pieces and within a limit."""

from __future__ import annotations

import zlib
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed

_GZIP: Final = 31  #: makes zlib read gzip's header and checksum
_MEMBERS_AT_MOST: Final = 10_000  #: of a gzip file; bgzip makes one for every 64 kB
_CHUNK: Final = 64 * 1024


class GzipReader:
    """Reads the decompressed bytes of *packed*.

    :param max_bytes: of all members together
    """

    def __init__(self, packed: bytes, *, max_bytes: int) -> None:
        self._packed = packed
        self._position = 0  # of the first byte that was not decompressed yet
        self._members = 0
        self._member = zlib.decompressobj(wbits=_GZIP)
        self._piece = b""
        self._read = 0  # of the piece
        self._limit = max_bytes
        self._left = max_bytes

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes; none at the end, when length and checksum have been checked.

        :raises SchemaExtractionFailed: there are too many bytes, or they cannot be decompressed
        """
        found = []
        missing = min(size, self._left + 1)
        while missing:
            if self._read == len(self._piece):
                self._piece, self._read = self._next_piece(), 0
            part = self._piece[self._read : self._read + missing]
            if not part:
                break
            found.append(part)
            self._read += len(part)
            self._left -= len(part)
            missing -= len(part)
        if self._left < 0:
            raise SchemaExtractionFailed(f"the archive unpacks to more than {self._limit} bytes")
        return b"".join(found)

    def _next_piece(self) -> bytes:
        """Return further decompressed bytes; none at the end of the last member."""
        while not self._member.eof or self._begin_member():
            given = self._member.unconsumed_tail or self._packed[self._position : self._position + _CHUNK]
            if not self._member.unconsumed_tail:
                self._position += len(given)
            try:
                piece = self._member.decompress(given, _CHUNK)
            except zlib.error as error:
                raise SchemaExtractionFailed(f"the gzip file is damaged ({error}); pack and send it again") from error
            if piece:
                return piece
            if not given and not self._member.eof:
                raise SchemaExtractionFailed("the gzip file is cut off before its end; pack and send it again")
        return b""

    def _begin_member(self) -> bool:
        """Start with the next gzip member, after padding. Return False if there is none."""
        self._position -= len(self._member.unused_data)
        while padding := self._packed[self._position : self._position + _CHUNK]:
            self._position += len(padding) - len(padding.lstrip(b"\0"))
            if padding.strip(b"\0"):
                break
        if self._position == len(self._packed):
            return False
        self._members += 1
        if self._members > _MEMBERS_AT_MOST:
            raise SchemaExtractionFailed(f"the gzip file has more than {_MEMBERS_AT_MOST} members; pack it in one go")
        self._member = zlib.decompressobj(wbits=_GZIP)
        return True

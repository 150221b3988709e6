"""Reads tar archives (ustar, PAX and GNU) from start to end.

``tarfile`` only parses the 512-byte headers. It would take a damaged header for the end of the archive, so that files
are lost silently, and it follows chains of extended headers by recursion.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.layout import printable

BLOCK: Final = 512  #: all sizes in a tar archive are multiples of it
_EXTENDED_AT_MOST: Final = 1024 * 1024  #: bytes of one extended header; macOS stores file attributes there
_EXTENDED_IN_ALL: Final = 8 * 1024 * 1024  #: bytes of all extended headers
_EMPTY_BLOCK: Final = bytes(BLOCK)
_SIZE_DIGITS: Final = 20  #: more than any number in an archive has
_CHUNK: Final = 64 * 1024
_REFUSED: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_FILES: Final = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}
_CUT_OFF: Final = "the archive is cut off before its end; pack and send it again"


class _Bytes(Protocol):
    """The source of the bytes. It may raise SchemaExtractionFailed."""

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes, fewer only at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """A file or folder of the archive."""

    path: str
    is_folder: bool
    size: int  #: of the content, in bytes


class TarReader:
    """Reads a tar archive (ustar, PAX or GNU) from start to end."""

    def __init__(self, source: _Bytes, *, most_headers: int) -> None:
        self._source = source
        self._most_headers = self._headers_left = most_headers
        self._extended_left = _EXTENDED_IN_ALL
        self._offset = 0
        self._unread = 0  # bytes of the current entry's content, without its padding
        self._padding = 0

    def entries(self) -> Iterator[TarEntry]:
        """Yield the files and folders, each before its content is read.

        :raises SchemaExtractionFailed: the bytes are not one whole tar archive, or an entry is not a file or folder
        """
        extended: dict[str, str] = {}  # from PAX and GNU headers, for the next entry
        while (block := self._exactly(BLOCK)) != _EMPTY_BLOCK:
            self._headers_left -= 1
            if self._headers_left < 0:
                raise SchemaExtractionFailed(
                    f"the archive has more than {self._most_headers} headers; pack the schema and nothing else"
                )
            header = self._header(block)
            self._begin(header.size)
            if header.type in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}:
                extended |= _pax_records(self._extended_header())
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = _utf8(self._extended_header().partition(b"\0")[0])
            elif header.type not in {tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK}:
                yield self._entry(header, extended)
                extended = {}
            self._skip()
        while rest := self._source.read(_CHUNK):
            if rest.count(0) != len(rest):
                raise SchemaExtractionFailed("something follows the end of the archive; pack it again")

    def content(self) -> bytes:
        """Return the content of the entry that was yielded last."""
        size, self._unread = self._unread, 0
        return self._exactly(size)

    def _header(self, block: bytes) -> tarfile.TarInfo:
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            if self._offset == BLOCK:
                raise SchemaExtractionFailed("there is no tar archive in the gzip file; pack with tar -czf") from error
            raise SchemaExtractionFailed(
                f"the archive is damaged at byte {self._offset - BLOCK}; pack and send it again"
            ) from error
        if header.size < 0:
            raise SchemaExtractionFailed(f"the archive is damaged at byte {self._offset - BLOCK}: a size below zero")
        return header

    def _entry(self, header: tarfile.TarInfo, extended: Mapping[str, str]) -> TarEntry:
        path = extended.get("path") or _utf8(header.name.encode(errors="surrogateescape"))
        kind = _REFUSED.get(header.type)
        if kind or any(key.startswith("GNU.sparse.") for key in extended):
            raise SchemaExtractionFailed(
                f"{printable(path)} is {kind or 'a sparse file'}; a schema consists of files and folders only"
            )
        if header.type not in _FILES and header.type != tarfile.DIRTYPE:
            raise SchemaExtractionFailed(
                f"{printable(path)} is an entry of kind {header.type!r}; a schema consists of files and folders only"
            )
        if "size" in extended:
            size = extended["size"]
            if not (size.isascii() and size.isdigit() and len(size) <= _SIZE_DIGITS):
                raise SchemaExtractionFailed(f"the archive is damaged: {printable(path)} has no proper size")
            self._begin(int(size))
        return TarEntry(path=path, is_folder=header.type == tarfile.DIRTYPE, size=self._unread)

    def _begin(self, size: int) -> None:
        self._unread = size
        self._padding = -size % BLOCK

    def _extended_header(self) -> bytes:
        if self._unread > _EXTENDED_AT_MOST:
            raise SchemaExtractionFailed(
                f"the archive has an extended header of {self._unread} bytes, {_EXTENDED_AT_MOST} are allowed; "
                "pack without file attributes (tar --no-xattrs)"
            )
        self._extended_left -= self._unread
        if self._extended_left < 0:
            raise SchemaExtractionFailed(
                f"the archive has extended headers of more than {_EXTENDED_IN_ALL} bytes in all; "
                "pack without file attributes (tar --no-xattrs)"
            )
        return self.content()

    def _skip(self) -> None:
        left = self._unread + self._padding
        while left:
            left -= len(self._exactly(min(left, _CHUNK)))
        self._unread = 0

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        self._offset += len(data)
        if len(data) < size:
            raise SchemaExtractionFailed(_CUT_OFF)
        return data


def _utf8(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        shown = printable(name.decode("utf-8", "backslashreplace"))
        raise SchemaExtractionFailed(f"the name {shown} is not UTF-8; rename the file") from error


def _pax_records(data: bytes) -> dict[str, str]:
    """Return the ``path``, ``size`` and ``GNU.sparse`` records of an extended header (``<length> <key>=<value>``)."""
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        digits = data[position : position + _SIZE_DIGITS].partition(b" ")[0]
        end = position + int(digits) if digits.isdigit() else position
        record = data[position + len(digits) + 1 : end]
        if end <= position or end > len(data) or not record.endswith(b"\n"):
            raise SchemaExtractionFailed("the archive is damaged: an extended header cannot be read")
        key, _, value = record[:-1].partition(b"=")
        if key in {b"path", b"size"} or key.startswith(b"GNU.sparse."):
            records[_utf8(key)] = _utf8(value)
        position = end
    return records

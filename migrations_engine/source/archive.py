"""A gzip-compressed tar archive becomes a schema: in memory, within limits, writing nothing and starting nothing.

``tarfile`` parses the 512-byte headers. It does not read the archive itself: it takes a damaged header for the end,
which would lose files in silence, and follows chains of extended headers by recursion.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema
from migrations_engine.source.layout import ArchiveLimits, Layout, printable
from migrations_engine.source.server_statements import refuse_server_statements

_GZIP_MARK: Final = b"\x1f\x8b"
#: What people send instead, by the first bytes of the file.
_OTHER_FORMATS: Final = {
    b"PK": "a zip archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
_TAR_MARK: Final = slice(257, 262)
_BLOCK: Final = 512  #: everything in a tar archive is a multiple of it
_EXTENDED_AT_MOST: Final = 1024 * 1024  #: bytes of one extended header; macOS puts whole file attributes into them
_EXTENDED_IN_ALL: Final = 8 * 1024 * 1024  #: bytes of all extended headers, which are read and not kept
_HEADERS_PER_ENTRY: Final = 3  #: its own and what may precede it: a PAX header, or a GNU one for each long name
_GZIP: Final = 31  #: makes zlib read gzip's header and checksum
_MEMBERS_AT_MOST: Final = 10_000  #: of a gzip file; bgzip makes one for every 64 kB
_EMPTY_BLOCK: Final = bytes(_BLOCK)
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


def read_archive(data: bytes | BinaryIO, limits: ArchiveLimits | None = None) -> Schema:
    """Read the schema that *data*, a gzip-compressed tar archive, contains.

    The schema folder may be the archive's root or inside other folders; hidden files are ignored, and files that are
    not part of a schema are named in ``Schema.warnings``. Memory is limited, also if headers are wrong.

    :param limits: sizes and counts above which the archive is refused; the defaults of :class:`ArchiveLimits` without
    :raises SchemaExtractionFailed: not such an archive, unsafe, over a limit, or no schema; the message says what to do
    """
    limits = limits or ArchiveLimits()
    packed = data if isinstance(data, bytes) else data.read(limits.max_compressed_bytes + 1)
    _check_format(packed, limits)
    layout = Layout(limits)
    reader = _TarReader(_Unpacked(packed, limits), most_headers=limits.max_entries * _HEADERS_PER_ENTRY)
    for entry in reader.entries():
        parts = layout.admit(entry.path)
        if entry.is_folder:
            layout.add_folder(parts)
        elif entry.size > limits.max_file_bytes:
            raise SchemaExtractionFailed(
                f"{printable(entry.path)} has {entry.size} bytes, {limits.max_file_bytes} are allowed in one file"
            )
        else:
            layout.add_file(parts, reader.content() if layout.wants(parts) else None)
    schema = layout.schema()
    refuse_server_statements(schema)
    return schema


def _check_format(packed: bytes, limits: ArchiveLimits) -> None:
    if not packed:
        raise SchemaExtractionFailed("the archive is empty: there is not a single byte in it")
    if len(packed) > limits.max_compressed_bytes:
        raise SchemaExtractionFailed(f"the archive has more than {limits.max_compressed_bytes} bytes")
    if packed.startswith(_GZIP_MARK):
        return
    other = next((name for mark, name in _OTHER_FORMATS.items() if packed.startswith(mark)), None)
    if other is None and packed[:_BLOCK][_TAR_MARK] == b"ustar":
        other = "a tar archive that is not compressed"
    raise SchemaExtractionFailed(
        f"the archive is {other or 'not a gzip file'}; pack with tar -czf schema.tar.gz postgresql"
    )


class _Unpacked:
    """The decompressed bytes, counted, and always decompressed in pieces."""

    def __init__(self, packed: bytes, limits: ArchiveLimits) -> None:
        self._packed = packed
        self._position = 0  # of the first byte that no member has been given yet
        self._members = 0
        self._member = zlib.decompressobj(wbits=_GZIP)
        self._piece = b""
        self._read = 0  # of the piece
        self._limit = limits.max_unpacked_bytes
        self._left = limits.max_unpacked_bytes

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes; the last call returns none and has checked the length and checksum of all.

        :raises SchemaExtractionFailed: too many bytes in all, or gzip cannot read on
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
        """Decompress some more; nothing is left at the end of the last member."""
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
        """Go on to the next gzip member, behind padding; False when there is none."""
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


class _Bytes(Protocol):
    """Where the bytes come from; it raises SchemaExtractionFailed by itself when they are no good."""

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes, fewer only at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A file or folder of the archive."""

    path: str
    is_folder: bool
    size: int  #: of the content, in bytes


class _TarReader:
    """Reads a tar archive (ustar, PAX or GNU) from start to end."""

    def __init__(self, source: _Bytes, *, most_headers: int) -> None:
        self._source = source
        self._most_headers = self._headers_left = most_headers
        self._extended_left = _EXTENDED_IN_ALL
        self._offset = 0
        self._unread = 0  # bytes of the current entry's content, without its padding
        self._padding = 0

    def entries(self) -> Iterator[_Entry]:
        """Yield the files and folders, each before its content is read.

        :raises SchemaExtractionFailed: the bytes are not a whole tar archive and nothing after it, or an entry is
            a link, a device or anything else but a file or folder
        """
        extended: dict[str, str] = {}  # what PAX and GNU headers say about the entry after them
        while (block := self._exactly(_BLOCK)) != _EMPTY_BLOCK:
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
        """Read the content of the entry that was given last."""
        size, self._unread = self._unread, 0
        return self._exactly(size)

    def _header(self, block: bytes) -> tarfile.TarInfo:
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            if self._offset == _BLOCK:
                raise SchemaExtractionFailed("there is no tar archive in the gzip file; pack with tar -czf") from error
            raise SchemaExtractionFailed(
                f"the archive is damaged at byte {self._offset - _BLOCK}; pack and send it again"
            ) from error
        if header.size < 0:
            raise SchemaExtractionFailed(f"the archive is damaged at byte {self._offset - _BLOCK}: a size below zero")
        return header

    def _entry(self, header: tarfile.TarInfo, extended: Mapping[str, str]) -> _Entry:
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
        return _Entry(path=path, is_folder=header.type == tarfile.DIRTYPE, size=self._unread)

    def _begin(self, size: int) -> None:
        self._unread = size
        self._padding = -size % _BLOCK

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

"""Reads a schema from a gzip-compressed tar archive, in memory and within limits."""

from __future__ import annotations

from typing import BinaryIO, Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema
from migrations_engine.source.gzip_reader import GzipReader
from migrations_engine.source.layout import ArchiveLimits, Layout, printable
from migrations_engine.source.server_statements import CheckedSchemas
from migrations_engine.source.tar_reader import BLOCK, TarReader

_GZIP_MARK: Final = b"\x1f\x8b"
#: Other formats by the first bytes of the file.
_OTHER_FORMATS: Final = {
    b"PK": "a zip archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
_TAR_MARK: Final = slice(257, 262)
_HEADERS_PER_ENTRY: Final = 3  #: its own, and before it a PAX header, or a GNU header for each long name


def read_archive(
    data: bytes | BinaryIO, limits: ArchiveLimits | None = None, checked: CheckedSchemas | None = None
) -> Schema:
    """Read the schema that *data*, a gzip-compressed tar archive, contains.

    The schema folder may be the archive's root or inside other folders; hidden files are ignored, and files that are
    not part of a schema are named in ``Schema.warnings``. Memory is limited, also if headers are wrong.

    :param limits: of sizes and counts; by default those of :class:`ArchiveLimits`
    :param checked: remembers the schemas whose statements were checked
    :raises SchemaExtractionFailed: it is no such archive, unsafe, over a limit, or without a schema
    """
    limits = limits or ArchiveLimits()
    packed = data if isinstance(data, bytes) else data.read(limits.max_compressed_bytes + 1)
    _check_format(packed, limits)
    layout = Layout(limits)
    unpacked = GzipReader(packed, max_bytes=limits.max_unpacked_bytes)
    reader = TarReader(unpacked, most_headers=limits.max_entries * _HEADERS_PER_ENTRY)
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
    (checked or CheckedSchemas()).check(schema)
    return schema


def _check_format(packed: bytes, limits: ArchiveLimits) -> None:
    if not packed:
        raise SchemaExtractionFailed("the archive is empty: there is not a single byte in it")
    if len(packed) > limits.max_compressed_bytes:
        raise SchemaExtractionFailed(f"the archive has more than {limits.max_compressed_bytes} bytes")
    if packed.startswith(_GZIP_MARK):
        return
    other = next((name for mark, name in _OTHER_FORMATS.items() if packed.startswith(mark)), None)
    if other is None and packed[:BLOCK][_TAR_MARK] == b"ustar":
        other = "a tar archive that is not compressed"
    raise SchemaExtractionFailed(
        f"the archive is {other or 'not a gzip file'}; pack with tar -czf schema.tar.gz postgresql"
    )

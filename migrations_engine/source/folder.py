"""Reads a schema from a folder on disk, by the same rules as from an archive. Symbolic links are never followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema
from migrations_engine.source.layout import ArchiveLimits, Layout, Parts, printable
from migrations_engine.source.server_statements import CheckedSchemas

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  #: never through a link or into a pipe


def read_folder(path: Path, limits: ArchiveLimits | None = None, checked: CheckedSchemas | None = None) -> Schema:
    """Read the schema in *path*, which may be the schema folder itself or a folder around it.

    :param limits: as for :func:`migrations_engine.source.archive.read_archive`; the compressed size is not used
    :param checked: as for ``read_archive``
    :raises SchemaExtractionFailed: the folder does not exist, contains anything but files and folders, is over a limit,
        or is not a schema
    """
    limits = limits or ArchiveLimits()
    layout = Layout(limits)
    left = limits.max_unpacked_bytes
    try:
        root = path.resolve(strict=True)
        if not root.is_dir():
            raise SchemaExtractionFailed(f"{path} is not a folder")
        for where, folders, files, descriptor in os.fwalk(root, onerror=_raise, follow_symlinks=False):
            above = Path(where).relative_to(root).parts
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                layout.add_folder(_admitted(layout, above, name))
                _check_kind(descriptor, name, stat.S_ISDIR)
            for name in sorted(name for name in files if not name.startswith(".")):
                parts = _admitted(layout, above, name)
                _check_kind(descriptor, name, stat.S_ISREG)
                content = _content(descriptor, name, limits.max_file_bytes) if layout.wants(parts) else None
                left -= len(content or b"")
                if left < 0:
                    raise SchemaExtractionFailed(f"the files have more than {limits.max_unpacked_bytes} bytes in all")
                layout.add_file(parts, content)
    except OSError as error:
        raise SchemaExtractionFailed(f"the schema folder cannot be read: {error.filename}: {error.strerror}") from error
    schema = layout.schema()
    (checked or CheckedSchemas()).check(schema)
    return schema


def _raise(error: OSError) -> None:
    raise error


def _admitted(layout: Layout, above: Parts, name: str) -> Parts:
    path = "/".join((*above, name))
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = printable(os.fsencode(path).decode("utf-8", "backslashreplace"))
        raise SchemaExtractionFailed(f"the name {shown} is not UTF-8; rename the file") from error
    return layout.admit(path)


def _check_kind(descriptor: int, name: str, is_expected: Callable[[int], bool]) -> None:
    if not is_expected(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
        raise SchemaExtractionFailed(f"{name} is a link, pipe or device; a schema consists of files and folders only")


def _content(descriptor: int, name: str, most: int) -> bytes:
    with open(os.open(name, _OPEN_FLAGS, dir_fd=descriptor), "rb") as file:  # noqa: PTH123  # a Path has no dir_fd
        content = file.read(most + 1)
    if len(content) > most:
        raise SchemaExtractionFailed(f"{name} has more than {most} bytes, as many as are allowed in one file")
    return content

"""Decides which files of an archive or folder belong to the schema."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import FOLDERS, SUFFIXES, Schema, SchemaFile, decoded

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_SILENT_NAMES: Final = ("README", "LICENSE", "CHANGELOG")  #: files that are ignored without a warning
_SILENT_SUFFIX: Final = ".md"
_NAMED_AT_MOST: Final = 3  #: names in one warning
_WARNINGS_AT_MOST: Final = 20
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """The limits of an archive or folder. A larger one is refused before it is in memory."""

    max_compressed_bytes: int = 64 * 1024 * 1024
    max_unpacked_bytes: int = 256 * 1024 * 1024  #: all files together with the headers of the archive
    max_file_bytes: int = 64 * 1024 * 1024
    max_entries: int = 10_000  #: files and folders
    max_depth: int = 16  #: names in one path
    max_path_bytes: int = 1024


@dataclass(slots=True)
class Layout:
    """Collects the names and contents of files for a :class:`Schema`."""

    limits: ArchiveLimits
    _folders: set[Parts] = field(default_factory=set)
    _files: dict[Parts, bytes | None] = field(default_factory=dict)
    _entries: int = 0

    def admit(self, path: str) -> Parts:
        """Check the path of an entry and return its parts, without ``.`` and empty ones.

        :raises SchemaExtractionFailed: the path is absolute, leads out of the archive, is too deep or long, or contains
            control characters; or there are too many entries
        """
        self._entries += 1
        if self._entries > self.limits.max_entries:
            raise SchemaExtractionFailed(
                f"there are more than {self.limits.max_entries} files and folders; pack the schema and nothing else"
            )
        shown = printable(path)
        if len(path.encode()) > self.limits.max_path_bytes:
            raise SchemaExtractionFailed(
                f"{shown}… is longer than {self.limits.max_path_bytes} bytes; shorten the name"
            )
        if path.startswith("/"):
            raise SchemaExtractionFailed(f"{shown} is an absolute path; pack the folder with relative names")
        if _CONTROL.search(path):
            raise SchemaExtractionFailed(f"{shown} contains a control character; rename the file")
        parts = tuple(part for part in path.split("/") if part not in {"", "."})
        if ".." in parts:
            raise SchemaExtractionFailed(f"{shown} leads out of the folder with '..'; pack the folder itself")
        if len(parts) > self.limits.max_depth:
            raise SchemaExtractionFailed(
                f"{shown} is more than {self.limits.max_depth} names deep; flatten the folders"
            )
        return parts

    def add_folder(self, parts: Parts) -> None:
        """Add a folder, which may be empty."""
        if not _is_hidden(parts):
            self._folders.update(parts[:depth] for depth in range(1, len(parts) + 1))

    def add_file(self, parts: Parts, content: bytes | None) -> None:
        """Add a file; *content* is None if :meth:`wants` returned False.

        :raises SchemaExtractionFailed: it has no name, or there is another file of that name
        """
        if not parts:
            raise SchemaExtractionFailed("there is a file without a name; pack the archive again")
        if parts in self._files:
            raise SchemaExtractionFailed(f"{'/'.join(parts)} is in the archive twice; pack it once")
        self._files[parts] = content
        self.add_folder(parts[:-1])

    def wants(self, parts: Parts) -> bool:
        """Return whether a file may be part of the schema, so that its content is needed."""
        return (
            bool(parts)
            and parts[-1].lower().endswith(SUFFIXES)
            and not _is_hidden(parts)
            and any(part in FOLDERS for part in parts[:-1])
        )

    def schema(self) -> Schema:
        """Find the schema folder and return its files.

        :raises SchemaExtractionFailed: there is none, or more than one; or a file is not text in UTF-8
        """
        root = self._root()
        groups: dict[str, list[SchemaFile]] = {folder: [] for folder in FOLDERS}
        others: dict[str, list[str]] = defaultdict(list)  # ignored names by folder ("" for the root)
        for parts, content in sorted(self._files.items(), key=lambda item: "/".join(item[0])):
            shared = _shared_depth(parts, root)
            inner = parts[shared:]
            is_known = shared == len(root) and len(inner) > 1 and inner[0] in FOLDERS
            if _is_hidden(parts):
                continue
            if is_known and content is not None:
                path = "/".join(inner[1:])
                text = _checked_text(content, f"{inner[0]}/{path}")
                groups[inner[0]].append(SchemaFile(folder=inner[0], path=path, content=text))
            elif len(inner) > 1 and not is_known:
                others["/".join(parts[:1] if shared < len(root) else inner[:1])].append(inner[-1])
            elif not _is_silent(inner[-1]):
                others[inner[0] if is_known else ""].append(inner[-1])
        for folder in self._folders:
            if folder[:-1] == root and folder[-1] not in FOLDERS:
                others.setdefault(folder[-1], [])
        return Schema(**{folder: tuple(files) for folder, files in groups.items()}, warnings=_warnings(others))

    def _root(self) -> Parts:
        """Return the path of the folder that contains ``tables/`` and other folders of a schema."""
        roots = {_root_of(parts[:-1]) for parts, content in self._files.items() if content is not None}
        roots = roots or {_root_of(folder) for folder in self._folders}
        found = sorted((root for root in roots if root is not None), key=lambda root: (len(root), root))
        if not found:
            raise SchemaExtractionFailed(self._no_schema())
        if len(found) > 1 and len(found[0]) == len(found[1]):
            names = ", ".join("/".join(root) + "/" for root in found[:_NAMED_AT_MOST])
            raise SchemaExtractionFailed(f"there is more than one schema folder ({names}); pack one of them")
        return found[0]

    def _no_schema(self) -> str:
        wanted = ", ".join(f"{folder}/" for folder in FOLDERS)
        if not self._files and not self._folders:
            return f"there is nothing in it; at least one of {wanted} must be there"
        alike = sorted({part for folder in self._folders for part in folder if part.lower() in FOLDERS})
        hint = f" ({alike[0]}/ is spelled differently: names must be in lower case)" if alike else ""
        return f"there is no schema folder; at least one of {wanted} must be there{hint}"


def printable(path: str) -> str:
    """Return *path* for a message: truncated, and with escaped control characters."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", path[:100])


def _root_of(folders: Parts) -> Parts | None:
    """Return the part of a path before the first folder of a schema."""
    return next((folders[:depth] for depth, name in enumerate(folders) if name in FOLDERS), None)


def _shared_depth(parts: Parts, root: Parts) -> int:
    """Return how many names *parts* has in common with *root*, its own last name excluded."""
    depth = 0
    while depth < min(len(parts) - 1, len(root)) and parts[depth] == root[depth]:
        depth += 1
    return depth


def _is_hidden(parts: Parts) -> bool:
    return any(part.startswith(".") for part in parts)


def _is_silent(name: str) -> bool:
    return name.lower().endswith(_SILENT_SUFFIX) or name.upper().startswith(_SILENT_NAMES)


def _checked_text(content: bytes, label: str) -> bytes:
    """Return the file's text without its byte order mark, after a check that PostgreSQL accepts its UTF-8."""
    if content.startswith(_UTF16_MARKS):
        raise SchemaExtractionFailed(f"{label} is UTF-16; save it as UTF-8", file=label)
    if (position := content.find(b"\0")) >= 0:
        raise SchemaExtractionFailed(f"{label} contains a NUL byte at position {position}; it is not text", file=label)
    try:
        for _ in decoded(content):
            pass
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SchemaExtractionFailed(
            f"{label} is not UTF-8: byte 0x{content[error.start]:02x} at position {error.start} (line {line}); "
            "save it as UTF-8",
            file=label,
        ) from None
    return content.removeprefix(_BYTE_ORDER_MARK)


def _warnings(others: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    found = [_warning(folder, others[folder]) for folder in sorted(others)]
    if len(found) > _WARNINGS_AT_MOST:
        found[_WARNINGS_AT_MOST:] = [f"{len(found) - _WARNINGS_AT_MOST} more folders were left alone"]
    return tuple(found)


def _warning(folder: str, names: Sequence[str]) -> str:
    listed = ", ".join(names[:_NAMED_AT_MOST]) + (", …" if len(names) > _NAMED_AT_MOST else "")
    if not folder:
        return f"beside the schema's folders, left alone: {listed}"
    if folder in FOLDERS:
        return f"{folder}/ contains files that are not SQL, left alone: {listed}"
    return f"{folder}/ is not a folder of a schema and was left alone" + (f" ({listed})" if names else "")

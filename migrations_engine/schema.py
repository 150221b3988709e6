"""A schema as files: ``source`` reads it, and ``deploy`` runs it."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias, TypeVar

FOLDERS: Final = ("extensions", "types", "tables", "migrations", "functions", "seeders")  #: in the order of a deploy
SUFFIXES: Final = (".pssql", ".pgsql", ".sql")  #: of schema files


_DECODED_AT_ONCE: Final = 1 << 16  #: bytes; decoding holds the GIL

T = TypeVar("T")
Homes: TypeAlias = frozenset[tuple[str, str]]  #: schemas and names of objects


@dataclass(frozen=True, kw_only=True)
class SchemaFile:
    """One SQL file of a schema folder."""

    folder: str  #: one of FOLDERS
    path: str  #: relative to that folder, with ``/``: ``users.pssql``, ``billing/001_invoices.pssql``
    content: bytes  #: valid UTF-8 without a byte order mark, exactly as it will be sent to the server
    lines: tuple[int, ...] = ()  #: if it is a part of a file: the line there of each of its statements
    homes: Homes = field(default=frozenset(), repr=False, compare=False)  #: of objects that others name without schema
    _known: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The path from the schema folder, as in messages and answers."""
        return f"{self.folder}/{self.path}"

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix: ``uuid-ossp`` for ``extensions/uuid-ossp.sql``."""
        return PurePosixPath(self.path).stem

    @cached_property
    def text(self) -> str:
        return "".join(decoded(self.content))

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the exact content, in hexadecimal. It identifies a migration."""
        return hashlib.sha256(self.content).hexdigest()


def once_per_file(read: Callable[[SchemaFile], T]) -> Callable[[SchemaFile], T]:
    """Keep the result of *read* in the file, so that it is freed together with the schema.

    Threads that call it for the first time at once may each read the file.
    """

    @wraps(read)
    def known(file: SchemaFile) -> T:
        if read not in file._known:
            file._known[read] = read(file)
        found: T = file._known[read]
        return found

    return known


def decoded(content: bytes) -> Iterator[str]:
    """Yield the text of *content* in pieces, so that other threads can run while a large file is decoded.

    :raises UnicodeDecodeError: it is not UTF-8
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), _DECODED_AT_ONCE):
        begun, _ = decoder.getstate()  # the first bytes of a character that was cut at the end of the previous piece
        end = start + _DECODED_AT_ONCE
        try:
            yield decoder.decode(content[start:end], final=end >= len(content))
        except UnicodeDecodeError as error:
            place = start - len(begun) + error.start
            raise UnicodeDecodeError("utf-8", content, place, place + 1, error.reason) from None


@dataclass(frozen=True, kw_only=True)
class Schema:
    """All files of one schema, each folder sorted by path."""

    extensions: tuple[SchemaFile, ...] = ()
    types: tuple[SchemaFile, ...] = ()
    tables: tuple[SchemaFile, ...] = ()
    migrations: tuple[SchemaFile, ...] = ()
    functions: tuple[SchemaFile, ...] = ()
    seeders: tuple[SchemaFile, ...] = ()
    warnings: tuple[str, ...] = ()  #: about ignored folders and files, a sentence each

    def files(self) -> tuple[SchemaFile, ...]:
        """Return all files in the order of a deploy."""
        return (*self.extensions, *self.types, *self.tables, *self.migrations, *self.functions, *self.seeders)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over the names and contents of all files, in hexadecimal."""
        return checksum_of(self.files())


def checksum_of(files: Iterable[SchemaFile]) -> str:
    """Return the SHA-256 over the names and contents of *files*, in hexadecimal."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.label}\0{file.checksum}\n".encode())
    return digest.hexdigest()

"""A platform's schema as its files say it: what ``source`` reads and ``deploy`` runs. Knows no database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

FOLDERS: Final = ("extensions", "types", "tables", "migrations", "functions", "seeders")  #: in the order of a deploy
SUFFIXES: Final = (".pssql", ".pgsql", ".sql")  #: what counts as a schema file


@dataclass(frozen=True, kw_only=True)
class SchemaFile:
    """One SQL file of a schema folder."""

    folder: str  #: one of FOLDERS
    path: str  #: relative to that folder, with ``/``: ``users.pssql``, ``billing/001_invoices.pssql``
    content: bytes  #: valid UTF-8 without a byte order mark, exactly as it will be sent to the server

    @property
    def label(self) -> str:
        """The path from the schema folder, as messages and answers name the file."""
        return f"{self.folder}/{self.path}"

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix: ``uuid-ossp`` for ``extensions/uuid-ossp.sql``."""
        return PurePosixPath(self.path).stem

    @cached_property
    def text(self) -> str:
        return self.content.decode("utf-8")

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the exact content, in hexadecimal; what a migration is remembered by."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Schema:
    """All files of one schema, each folder sorted by path."""

    extensions: tuple[SchemaFile, ...] = ()
    types: tuple[SchemaFile, ...] = ()
    tables: tuple[SchemaFile, ...] = ()
    migrations: tuple[SchemaFile, ...] = ()
    functions: tuple[SchemaFile, ...] = ()
    seeders: tuple[SchemaFile, ...] = ()
    warnings: tuple[str, ...] = ()  #: what was left alone, a sentence each (an unknown folder, a file of another kind)

    def files(self) -> tuple[SchemaFile, ...]:
        """Every file, in the order of a deploy."""
        return (*self.extensions, *self.types, *self.tables, *self.migrations, *self.functions, *self.seeders)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over the names and contents of all files: equal exactly when a deploy would mean the same."""
        return _checksum(self.files())

    @cached_property
    def structure_checksum(self) -> str:
        """The same over the files that decide which tables and types there are, without functions and seeders."""
        return _checksum((*self.extensions, *self.types, *self.tables, *self.migrations))


def _checksum(files: Iterable[SchemaFile]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.label}\0{file.checksum}\n".encode())
    return digest.hexdigest()

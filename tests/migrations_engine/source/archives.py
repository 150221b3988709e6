"""Archives made for tests, and what is read from them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping

import pytest

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema
from migrations_engine.source.archive import read_archive
from migrations_engine.source.layout import ArchiveLimits

USERS = b"CREATE TABLE users (id serial PRIMARY KEY);\n"


def tar_of(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of *files* in the order given; a name with a slash at its end makes a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path.rstrip("/"))
            info.size = len(content)
            if path.endswith("/"):
                info.type = tarfile.DIRTYPE
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def packed(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    return gzip.compress(tar_of(files, form), mtime=0)


def with_entry(change: Callable[[tarfile.TarInfo], None]) -> bytes:
    """An archive with one good table, and one more entry that *change* has spoiled."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("tables/users.sql", "tables/odd.sql"):
            info = tarfile.TarInfo(name)
            if name == "tables/odd.sql":
                change(info)
            archive.addfile(info)
    return buffer.getvalue()


def labels(schema: Schema) -> list[str]:
    return [file.label for file in schema.files()]


def refusal(data: bytes, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(SchemaExtractionFailed) as caught:
        read_archive(data, limits)
    return caught.value.message

"""Folders on disk are read by the rules of archives, and nothing outside of them is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.folder import read_folder
from migrations_engine.source.layout import ArchiveLimits

USERS = b"CREATE TABLE users (id serial PRIMARY KEY);\n"


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def refusal(path: Path, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(SchemaExtractionFailed) as caught:
        read_folder(path, limits)
    return caught.value.message


def test_the_schema_folder_and_a_folder_around_it_read_the_same(tmp_path: Path) -> None:
    files = {"postgresql/tables/users.sql": b"\xef\xbb\xbf" + USERS, "postgresql/functions/sub/f.pssql": b"SELECT 1"}
    write(tmp_path, files)

    schema = read_folder(tmp_path)

    assert [file.label for file in schema.files()] == ["tables/users.sql", "functions/sub/f.pssql"]
    assert schema.tables[0].content == USERS
    assert schema == read_folder(tmp_path / "postgresql")


def test_hidden_files_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, {"tables/users.sql": USERS, ".git/tables/a.sql": b"\xff", "tables/._users.sql": b"\x00"})
    (tmp_path / ".git" / "link").symlink_to("/etc/passwd")

    schema = read_folder(tmp_path)

    assert [file.label for file in schema.files()] == ["tables/users.sql"]
    assert schema.warnings == ()


def test_unknown_folders_are_named(tmp_path: Path) -> None:
    (write(tmp_path, {"tables/users.sql": USERS}) / "views").mkdir()

    assert read_folder(tmp_path).warnings == ("views/ is not a folder of a schema and was left alone",)


@pytest.mark.parametrize("target", ["/etc/hostname", "tables/users.sql", "nowhere"])
def test_a_link_to_a_file_is_refused(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"tables/users.sql": USERS})
    (tmp_path / "tables" / "linked.sql").symlink_to(target)

    assert "linked.sql is a link" in refusal(tmp_path)


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.sql": USERS})
    inside = write(tmp_path / "inside", {"tables/users.sql": USERS})
    (inside / "functions").symlink_to(outside)

    assert "functions is a link" in refusal(inside)


def test_the_folder_itself_may_be_reached_through_a_link(tmp_path: Path) -> None:
    write(tmp_path / "release-7", {"tables/users.sql": USERS})
    (tmp_path / "current").symlink_to("release-7")

    assert read_folder(tmp_path / "current") == read_folder(tmp_path / "release-7")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"tables/users.sql": USERS})
    os.mkfifo(tmp_path / "tables" / "pipe.sql")

    assert "pipe.sql is a link, pipe or device" in refusal(tmp_path)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/tables/jos\xe9.sql")).write_bytes(USERS)

    assert r"the name tables/jos\xe9.sql is not UTF-8" in refusal(tmp_path)


def test_a_missing_folder_a_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"file.sql": USERS})
    (tmp_path / "empty").mkdir()

    assert "No such file or directory" in refusal(tmp_path / "missing")
    assert "is not a folder" in refusal(tmp_path / "file.sql")
    assert "there is nothing in it" in refusal(tmp_path / "empty")


def test_limits_hold(tmp_path: Path) -> None:
    write(tmp_path, {"tables/a.sql": USERS, "tables/b.sql": USERS})

    assert len(read_folder(tmp_path, ArchiveLimits(max_entries=3, max_file_bytes=len(USERS))).tables) == 2
    assert "more than 2 files and folders" in refusal(tmp_path, ArchiveLimits(max_entries=2))
    assert "a.sql has more than" in refusal(tmp_path, ArchiveLimits(max_file_bytes=len(USERS) - 1))
    assert "bytes in all" in refusal(tmp_path, ArchiveLimits(max_unpacked_bytes=2 * len(USERS) - 1))

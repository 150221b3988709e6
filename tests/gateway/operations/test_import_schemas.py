"""Stored schemas of a Rust gateway, imported from the folder that it has used."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.errors import StorageFailed
from gateway.operations.import_schemas import import_schemas
from gateway.operations.stored_schemas import read_stored_schema
from gateway.platforms import PlatformRegistry
from gateway.services import Services, build_services
from gateway.settings import Settings
from tests.gateway.platforms.test_platform_registry import killed_after

#: As that gateway writes it, with nanoseconds and the names of databases.
RECORD = {
    "name": "myapp",
    "registered_at": "2024-01-15T10:30:00.123456789Z",
    "schemas": ["main_db", "tenant_db"],
    "databases": {
        "myapp_tenant_db_a": {
            "schema_name": "tenant_db",
            "database_name": "myapp_tenant_db_a",
            "created_at": "2024-01-16T10:30:00Z",
        }
    },
    "db_user": None,
    "db_password": None,
}
FILES = {
    "main_db/tables/users.pssql": "CREATE TABLE users (id int);",
    "main_db/migrations/001.pssql": "ALTER TABLE users ADD COLUMN name text;",
    "tenant_db/functions/f.pssql": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
}


def write(folder: Path, files: Mapping[str, str] = FILES) -> None:
    for name, text in files.items():
        path = folder / "myapp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "myapp" / "platform.json").write_text(json.dumps(RECORD, indent=2))


def without_server(data_dir: Path) -> Services:
    """Services of which nothing is opened."""
    return build_services(dataclasses.replace(Settings.from_environment({}, None), data_dir=data_dir))


def test_platforms_and_schemas_are_imported_once(tmp_path) -> None:
    write(tmp_path)
    services = without_server(tmp_path)
    with pytest.raises(StorageFailed, match="stonescriptdb-gateway mend imports its schemas"):
        services.platforms.get("myapp")
    assert import_schemas(services) == (
        "myapp: imported from an earlier gateway with 2 schemas",
        "myapp/tenant_db: its databases are served when they are adopted: "
        "stonescriptdb-gateway adopt myapp --schema tenant_db --all",
    )
    platform = services.platforms.get("myapp")
    assert platform.registered_at.isoformat() == "2024-01-15T10:30:00+00:00"
    assert sorted(platform.schemas) == ["main_db", "tenant_db"]
    schema = read_stored_schema(services, "myapp", "main_db")
    assert {file.label: file.text for file in schema.files()} == {
        name.removeprefix("main_db/"): text for name, text in FILES.items() if name.startswith("main_db/")
    }
    assert (tmp_path / "myapp/main_db/tables/users.pssql").read_text() == FILES["main_db/tables/users.pssql"]
    assert json.loads((tmp_path / "myapp/platform.json.earlier").read_text()) == RECORD
    assert (import_schemas(services), services.platforms.mend()) == ((), ())


def test_a_folder_that_is_no_schema_is_named_and_left(tmp_path) -> None:
    write(tmp_path, {**FILES, "notes/todo.txt": "x", "bad$name/tables/t.sql": "CREATE TABLE t (a int);"})
    services = without_server(tmp_path)
    done = import_schemas(services)
    assert done[0] == "myapp: imported from an earlier gateway with 2 schemas"
    assert [line.partition(": not imported: ")[0] for line in done[1:3]] == ["myapp/bad$name", "myapp/notes"]
    assert (tmp_path / "myapp/notes/todo.txt").read_text() == "x"
    assert sorted(services.platforms.get("myapp").schemas) == ["main_db", "tenant_db"]


def test_a_damaged_record_is_not_taken_for_an_earlier_one(tmp_path) -> None:
    (tmp_path / "myapp").mkdir()
    for text in ('{"name": "myapp"', "[]", '{"name": "myapp", "databases": {}}', '{"format": 7}'):
        (tmp_path / "myapp/platform.json").write_text(text)
        assert import_schemas(without_server(tmp_path)) == ()
        with pytest.raises(StorageFailed, match="damaged"):
            PlatformRegistry(tmp_path).get("myapp")


@pytest.mark.slow
def test_an_import_killed_anywhere_can_be_repeated(tmp_path) -> None:
    count, finished = 0, False
    while not finished:
        count += 1
        folder = tmp_path / str(count)
        write(folder)
        finished = killed_after(count, lambda folder=folder: import_schemas(without_server(folder)))
        services = without_server(folder)
        import_schemas(services)
        services.platforms.mend()
        for name in ("main_db", "tenant_db"):
            assert read_stored_schema(services, "myapp", name).files()
            assert (folder / "myapp" / name).is_symlink()
        assert not list(folder.rglob(".incoming-*"))
    assert count > 10

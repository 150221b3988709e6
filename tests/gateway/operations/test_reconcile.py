"""Records and databases compared after one of them was lost or cut short."""

from __future__ import annotations

import dataclasses
import shutil

import psycopg
import pytest
from psycopg import sql

from gateway.errors import SchemaNotFound
from gateway.naming import RESERVED_PREFIX, schema_database
from gateway.operations.fleet_status import fleet_status
from gateway.operations.reconcile import reconcile
from gateway.platforms import SchemaUpload
from gateway.services import Services, build_services
from gateway.settings import Settings


@pytest.fixture
def services(postgres_url, tmp_path):
    settings = dataclasses.replace(Settings.from_environment({}, None), conninfo=postgres_url, data_dir=tmp_path)
    services: Services = build_services(settings)
    services.open()
    yield services
    services.close()


@pytest.fixture
def recorded(services, platform) -> str:
    """A platform with a stored schema and a database of it."""
    services.platforms.register(platform)
    services.platforms.store(platform, "shop", SchemaUpload(files={"tables/a.sql": b"--"}, checksum="1" * 64))
    services.lifecycle.create(schema_database(platform, "shop", "a"), lambda _: None)
    return platform


def of(platform: str, lines: tuple[str, ...]) -> list[str]:
    """Those about one platform; other tests have databases on the server, too."""
    return [line for line in lines if line.startswith(platform)]


def test_consistent_records_are_not_repaired(services, recorded) -> None:
    assert of(recorded, reconcile(services)) == []


def test_a_lost_record_is_restored_and_a_lost_schema_named(services, recorded, tmp_path) -> None:
    shutil.rmtree(tmp_path / recorded)
    missing = f"{recorded}/shop: it is not stored, but has databases (1); upload it again"
    assert of(recorded, reconcile(services)) == [
        f"{recorded}: recorded the platform again, because it has databases",
        missing,
    ]
    assert of(recorded, reconcile(services)) == [missing]
    assert services.platforms.get(recorded).schemas == {}


def test_databases_of_a_schema_that_is_not_stored_are_in_the_status(services, recorded, tmp_path) -> None:
    for lost in (tmp_path / recorded / "platform.json", tmp_path / recorded):
        [status] = fleet_status(services, recorded)
        assert (status.schema_name, len(status.databases)) == ("shop", 1)
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    [status] = fleet_status(services, recorded, "shop")
    assert (status.version, status.checksum) == (None, None)
    reconcile(services)
    assert [one.schema_name for one in fleet_status(services, recorded)] == ["shop"]
    with pytest.raises(SchemaNotFound):
        fleet_status(services, recorded, "nosuch")


def test_a_record_that_cannot_be_read_is_named_and_the_others_are_repaired(services, recorded, tmp_path) -> None:
    record = tmp_path / recorded / "platform.json"
    text = record.read_text()
    record.write_text(text[:40])
    (tmp_path / f"{recorded}z").mkdir()
    (tmp_path / f"{recorded}z" / "platform.json").write_text(text.replace(recorded, f"{recorded}z"))
    (tmp_path / f"{recorded}z" / ".incoming-0000").write_text("half")
    lines = [line for line in reconcile(services) if recorded in line]
    assert lines[0].startswith(f"{record} is damaged: ")
    assert f"{recorded}z: removed an unfinished record" in lines


def test_remains_of_a_killed_process_are_removed(services, recorded, tmp_path, admin: psycopg.Connection) -> None:
    oid = admin.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()[0]
    name = f"{RESERVED_PREFIX}new_{oid}_0123456789abcdef"
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    (tmp_path / recorded / ".incoming-0000").write_text("half")
    (tmp_path / recorded / "shop").unlink()
    lines = reconcile(services)
    assert f"removed the unfinished database {name}" in lines
    assert of(recorded, lines) == [
        f"{recorded}: removed an unfinished record",
        f"{recorded}/shop: the link now points to the current version",
    ]
    assert admin.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None

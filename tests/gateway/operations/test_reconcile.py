"""Records and databases compared after one of them was lost or cut short."""

from __future__ import annotations

import dataclasses
import shutil

import psycopg
import pytest
from psycopg import sql

from gateway.naming import RESERVED_PREFIX, schema_database
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
    missing = f"{recorded}/shop: 1 databases have been made of it and it is not stored; upload it again"
    assert of(recorded, reconcile(services)) == [f"{recorded}: has databases and no record; recorded it again", missing]
    assert of(recorded, reconcile(services)) == [missing]
    assert services.platforms.get(recorded).schemas == {}


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
        f"{recorded}/shop: the link now leads to the current version",
    ]
    assert admin.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None

"""Deploys from a test: files as a dict in, a report out, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from migrations_engine import DeployOptions, DeployReport, DesiredSchemas, Schema, SchemaFile, deploy_schema
from migrations_engine.catalog import read_catalog
from migrations_engine.model import Catalog


def schema_of(files: dict[str, str]) -> Schema:
    """Make a schema of ``{"tables/users.pssql": "CREATE TABLE …"}``."""
    folders: dict[str, list[SchemaFile]] = {}
    for label, text in sorted(files.items()):
        folder, _, path = label.partition("/")
        folders.setdefault(folder, []).append(SchemaFile(folder=folder, path=path, content=text.encode()))
    return Schema(**{folder: tuple(found) for folder, found in folders.items()})


def files(tables: str, *migrations: str, **more: str) -> dict[str, str]:
    """A schema with one file of tables, numbered migrations, and one file in each other folder."""
    others = {f"{folder}/x.pssql": text for folder, text in more.items()}
    numbered = {f"migrations/{number:03}.pssql": text for number, text in enumerate(migrations, 1)}
    return {"tables/t.pssql": tables} | others | numbered


class Tenant:
    """One database that schemas are deployed to."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self._desired_schemas = DesiredSchemas()

    def deploy(self, files: dict[str, str], purpose: str, **options: Any) -> DeployReport:
        return self.deploy_schema(schema_of(files), purpose, **options)

    def deploy_schema(self, schema: Schema, purpose: str, **options: Any) -> DeployReport:
        wanted = DeployOptions(purpose=purpose, desired_schemas=self._desired_schemas, **options)
        with psycopg.connect(self.conninfo) as connection:
            return deploy_schema(connection, schema, wanted)

    def register(self, files: dict[str, str], **options: Any) -> DeployReport:
        return self.deploy(files, "register", **options)

    def migrate(self, files: dict[str, str], **options: Any) -> DeployReport:
        return self.deploy(files, "migrate", **options)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(query).fetchall()

    def catalog(self) -> Catalog:
        with psycopg.connect(self.conninfo) as connection:
            return read_catalog(connection)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture
def tenant(make_database: Callable[[], str]) -> Tenant:
    """A new, empty database."""
    return Tenant(make_database())

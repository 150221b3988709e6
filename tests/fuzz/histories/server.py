"""The databases of histories, on one server."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine import DeployOptions, DeployReport, DesiredSchemas, EngineError, MigrationFailed, deploy_schema
from tests.fuzz.histories.rows import rows_of
from tests.migrations_engine.conftest import schema_of

Files = dict[str, str]


class Server:
    """Databases on one server."""

    def __init__(self, url: str, superuser_url: str) -> None:
        self._url, self._superuser_url = url, superuser_url
        self._admin = psycopg.connect(superuser_url, autocommit=True)
        self._owner = psycopg.connect(url).info.user
        self.desired_schemas = DesiredSchemas()

    def create(self, name: str, template: str = "template0") -> None:
        self.drop(name)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        self._admin.execute(create.format(*map(sql.Identifier, (name, template, self._owner))))

    def drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def conninfo(self, name: str) -> str:
        return make_conninfo(self._url, dbname=name)

    def rows(self, name: str) -> dict[str, Counter[str]]:
        return rows_of(make_conninfo(self._superuser_url, dbname=name))

    def deploy(self, name: str, files: Files, *, purpose: Any = "migrate", **options: Any) -> DeployReport:
        """Deploy with *options* of :class:`DeployOptions`; missing rows of seeders are added."""
        options = {"add_seeds": True, "desired_schemas": self.desired_schemas} | options
        with psycopg.connect(self.conninfo(name)) as connection:
            return deploy_schema(connection, schema_of(files), DeployOptions(purpose=purpose, **options))


def may_be_forced(error: MigrationFailed) -> bool:
    """Return whether *error* lists dangerous changes, which ``force`` leaves out."""
    found = error.validation
    return found is not None and bool(found.dataloss_changes or found.incompatible_changes)


def text_of(error: EngineError) -> str:
    cause = f" [{error.server.message}]" if error.server and error.server.message not in str(error) else ""
    validation = getattr(error, "validation", None)
    changes = (*validation.dataloss_changes, *validation.incompatible_changes) if validation else ()
    return f"{error}{cause}" + "".join(f"\n    {c.change_type} {c.subject}: {c.reason}" for c in changes)

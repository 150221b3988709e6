"""Create a database of a stored schema: from the files, or as a copy of a template. If it fails, nothing is left."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import psycopg

from gateway.naming import DatabaseOwner
from gateway.operations.deploy import DeployTerms, deploy_turn, register
from gateway.operations.register_database import RegisteredDatabase
from gateway.operations.schema_template import schema_template
from gateway.operations.stored_schemas import read_stored_schema
from gateway.services import Services
from migrations_engine import DeployReport, Schema


def create_database(services: Services, owner: DatabaseOwner, request_id: str) -> RegisteredDatabase:
    """Create *owner*'s database from the current version of the stored schema that the owner names.

    :raises PlatformNotFound, SchemaNotFound: the schema is not stored
    :raises DatabaseAlreadyExists, DatabaseNameConflict: there is a database of this name
    :raises SchemaDeployError: the schema cannot be deployed to a new database; none was created
    """
    started = time.monotonic()
    name = owner.schema_name
    assert name is not None
    version = services.platforms.schema(owner.platform, name).current
    terms = DeployTerms(request_id=request_id)

    @cache
    def schema() -> Schema:
        return read_stored_schema(services, owner.platform, name, version)

    def bring_up(connection: psycopg.Connection[Any]) -> DeployReport:
        return register(services, connection, schema(), terms, owner=owner)

    family = f"{owner.platform}/{name}"
    template = schema_template(owner=owner, checksum=version.checksum, schema=schema, terms=terms, family=family)
    with deploy_turn(services):
        _, report = services.lifecycle.create(owner, bring_up, template=template)
    return RegisteredDatabase(
        database=owner.database_name,
        created=True,
        report=report,
        execution_time_ms=round((time.monotonic() - started) * 1000),
    )

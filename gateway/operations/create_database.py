"""Create: a database of a stored schema, whole or not at all."""

from __future__ import annotations

import time

from gateway.naming import DatabaseOwner
from gateway.operations.deploy import DeployTerms, deploy, deploy_turn
from gateway.operations.register_database import RegisteredDatabase
from gateway.operations.stored_schemas import read_stored_schema
from gateway.services import Services


def create_database(services: Services, owner: DatabaseOwner, request_id: str) -> RegisteredDatabase:
    """Make *owner*'s database of the current version of its stored schema.

    :raises PlatformNotFound, SchemaNotFound: the schema is not stored
    :raises DatabaseAlreadyExists, DatabaseNameConflict: there is a database of this name
    :raises SchemaDeployError: the schema does not work in a new database; none has been made
    """
    assert owner.schema_name is not None
    started = time.monotonic()
    schema = read_stored_schema(services, owner.platform, owner.schema_name)
    terms = DeployTerms(request_id=request_id)
    with deploy_turn(services):
        _, report = services.lifecycle.create(
            owner,
            lambda connection: deploy(services, connection, schema, owner=owner, wanted=terms, purpose="register"),
        )
    return RegisteredDatabase(
        database=owner.database_name,
        created=True,
        report=report,
        execution_time_ms=round((time.monotonic() - started) * 1000),
    )

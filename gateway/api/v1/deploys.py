"""``POST /register`` and ``POST /migrate``: the schema is sent with the request."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.api.bodies import reading_form
from gateway.api.guard import caller_of
from gateway.api.request_ids import request_id_of
from gateway.api.requests import adding_facts, current_services, load
from gateway.api.responses import ok
from gateway.api.v1.requests import DeployForm
from gateway.api.v1.responses import MigrateAnswer, RegisterAnswer, migration_failure
from gateway.naming import owner_facts
from gateway.operations.migrate_databases import migrate_databases
from gateway.operations.register_database import register_database

blueprint: Final = Blueprint("deploys", __name__)


@blueprint.post("/register")
def register() -> ResponseReturnValue:
    """Deploy the schema in the archive to one database, which is created if it is missing."""
    services = current_services()
    with reading_form(request.environ, services.settings.max_upload_bytes) as parts:
        wanted = load(DeployForm(request_id_of(request.environ)), parts, caller_of(request.environ))
        with adding_facts(**owner_facts(wanted.owner)):
            result = register_database(services, wanted)
    return ok(RegisterAnswer().dump(result))


@blueprint.post("/migrate")
def migrate() -> ResponseReturnValue:
    """Deploy the schema in the archive to a tenant's database, or without tenant_id to all of the platform."""
    services = current_services()
    with reading_form(request.environ, services.settings.max_upload_bytes) as parts:
        wanted = load(DeployForm(request_id_of(request.environ)), parts, caller_of(request.environ))
        only_owner = "tenant_id" in parts
        with adding_facts(**(owner_facts(wanted.owner) if only_owner else {"platform": wanted.owner.platform})):
            result = migrate_databases(services, wanted, only_owner=only_owner)
    if result.failure is not None:
        raise migration_failure(result, result.failure)
    return ok(MigrateAnswer().dump(result))

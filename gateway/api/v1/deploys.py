"""``POST /register`` and ``POST /migrate``: the schema travels with the request."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.api.bodies import reading_form
from gateway.api.errors import code_of, status_of
from gateway.api.requests import adding_facts, current_services, load
from gateway.api.responses import ok, request_id_of
from gateway.api.v1.requests import DeployForm
from gateway.api.v1.responses import MigrateAnswer, RegisterAnswer
from gateway.errors import GatewayError, SchemaDeployError
from gateway.naming import owner_facts
from gateway.operations.migrate_databases import PlatformMigration, migrate_databases
from gateway.operations.register_database import register_database

blueprint: Final = Blueprint("deploys", __name__)


@blueprint.post("/register")
def register() -> ResponseReturnValue:
    """Bring one database to the archive's schema, and make it if it is missing."""
    services = current_services()
    with reading_form(request.environ, services.settings.max_upload_bytes) as parts:
        wanted = load(DeployForm(request_id_of(request.environ)), parts)
        with adding_facts(**owner_facts(wanted.owner)):
            result = register_database(services, wanted)
    return ok(RegisterAnswer().dump(result))


@blueprint.post("/migrate")
def migrate() -> ResponseReturnValue:
    """Bring a tenant's database, or without tenant_id all of the platform, to the archive's schema."""
    services = current_services()
    with reading_form(request.environ, services.settings.max_upload_bytes) as parts:
        wanted = load(DeployForm(request_id_of(request.environ)), parts)
        only_owner = "tenant_id" in parts
        with adding_facts(**(owner_facts(wanted.owner) if only_owner else {"platform": wanted.owner.platform})):
            result = migrate_databases(services, wanted, only_owner=only_owner)
    if result.failure is not None:
        raise _failure(result, result.failure)
    return ok(MigrateAnswer().dump(result))


def _failure(result: PlatformMigration, first: GatewayError) -> SchemaDeployError:
    """The first failure, with what became of all databases. It is a conflict as soon as one has been updated."""
    code = code_of(first) if status_of(first) == 409 or not result.databases_updated else "migration_failed"
    tried = len(result.databases) - len(result.databases_skipped)
    message = first.message
    if len(result.databases) > 1:
        message = f"{len(result.databases_failed)} of {tried} databases tried have failed; the first: {message}"
    outcome = MigrateAnswer(exclude=("status",)).dump(result)
    outcome["databases_failed"] = list(result.databases_failed)
    outcome["databases_skipped"] = list(result.databases_skipped)
    return SchemaDeployError(code, message, **{**first.facts, **outcome})

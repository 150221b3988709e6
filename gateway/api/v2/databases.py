"""``/database/create``: databases of stored schemas."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.api.errors import answer_failure
from gateway.api.guard import caller_of
from gateway.api.request_ids import request_id_of
from gateway.api.requests import adding_facts, current_services, load, read_json
from gateway.api.responses import ok, respond
from gateway.api.v2.platforms import created_status
from gateway.api.v2.requests import CreateRequest
from gateway.api.v2.responses import CreateAnswer
from gateway.errors import DatabaseAlreadyExists
from gateway.naming import owner_facts
from gateway.operations.create_database import create_database
from gateway.services import Services

blueprint: Final = Blueprint("schema_databases", __name__)


@blueprint.post("/database/create")
def create() -> ResponseReturnValue:
    """Create a database of a stored schema."""
    services = current_services()
    return ok(_create(services), created_status(services))


@blueprint.post("/admin/database/create")
def create_for_php_clients() -> ResponseReturnValue:
    """Create one, with the two statuses that older clients know: 200, and 409 for an existing database."""
    try:
        return ok(_create(current_services()))
    except DatabaseAlreadyExists as exc:
        return respond(answer_failure(exc, request_id_of(request.environ), current_services().events, status=409))


def _create(services: Services) -> dict[str, Any]:
    owner = load(
        CreateRequest(), read_json(request.environ, services.settings.max_request_bytes), caller_of(request.environ)
    )
    with adding_facts(**owner_facts(owner)):
        made = create_database(services, owner, request_id_of(request.environ))
    answer = {"status": "created", "platform": owner.platform, "schema_name": owner.schema_name}
    return {**answer, "database_id": owner.database_id, **CreateAnswer().dump(made)}

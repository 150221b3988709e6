"""Administration: the databases of a platform, and new ones for its tenants."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, post_load, validate

from gateway.api.guard import caller_of
from gateway.api.requests import Name, Request, adding_facts, current_services, load, read_json, single_values
from gateway.api.responses import moment, ok
from gateway.naming import DatabaseOwner, owner_facts, tenant_database
from gateway.operations.manage_databases import create_empty_database

blueprint: Final = Blueprint("admin", __name__, url_prefix="/admin")
_BYTES_PER_MB: Final = 2**20


class ListRequest(Request):
    """The query string of the listing."""

    platform = Name(required=True)


class CreateTenantRequest(Request):
    """The body of a tenant's creation. A tenant has to be named; ``main`` names the main database."""

    platform = Name(required=True)
    tenant_id = fields.String(required=True, validate=validate.Length(min=1, error="must not be empty"))

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> DatabaseOwner:  # noqa: ANN401 - marshmallow's
        return tenant_database(data["platform"], data["tenant_id"])


class DatabaseShape(Schema):
    """A database in the listing; made from a ManagedDatabase."""

    name = fields.String()
    type = fields.String(attribute="owner.kind")
    tenant_id = fields.String(attribute="owner.tenant_id")
    size_mb = fields.Function(lambda one: one.size_bytes and round(one.size_bytes / _BYTES_PER_MB, 2))
    created_at = fields.Function(lambda database: moment(database.created_at))
    schema_name = fields.String(attribute="owner.schema_name")
    database_id = fields.String(attribute="owner.database_id")
    adopted_at = fields.Function(lambda database: moment(database.adopted_at))


@blueprint.get("/databases")
def databases() -> ResponseReturnValue:
    """List a platform's databases, those of both versions."""
    platform = load(ListRequest(), single_values(request.args.items(multi=True)), caller_of(request.environ))[
        "platform"
    ]
    with adding_facts(platform=platform):
        found = current_services().directory.of_platform(platform)
    return ok({"platform": platform, "databases": DatabaseShape(many=True).dump(found), "count": len(found)})


@blueprint.post("/create-tenant")
def create_tenant() -> ResponseReturnValue:
    """Make an empty database for a tenant."""
    services = current_services()
    owner = load(
        CreateTenantRequest(),
        read_json(request.environ, services.settings.max_request_bytes),
        caller_of(request.environ),
    )
    with adding_facts(**owner_facts(owner)):
        database = create_empty_database(services, owner)
    message = f"Database '{database}' created. Use POST /register or POST /migrate to deploy a schema to it."
    return ok({"status": "created", "database": database, "message": message}, 201)

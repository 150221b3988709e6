"""Administration: list, create and drop the databases of a platform."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields, post_load, validate

from gateway.api.guard import caller_of
from gateway.api.requests import Name, Request, adding_facts, current_services, load, read_json, single_values
from gateway.api.responses import NUMBER, Shape, Timestamp, ok
from gateway.errors import InvalidRequest
from gateway.naming import MAX_DATABASE_NAME_BYTES, DatabaseOwner, owner_facts, schema_database, tenant_database
from gateway.operations.manage_databases import create_empty_database, create_from_template, drop_database
from gateway.services import Services

blueprint: Final = Blueprint("admin", __name__, url_prefix="/admin")
_BYTES_PER_MB: Final = 2**20


class ListRequest(Request):
    """The query string of ``/admin/databases``."""

    platform = Name(required=True)


class CreateTenantRequest(Request):
    """The body of ``/admin/create-tenant``. ``tenant_id`` is required; ``main`` is the main database."""

    platform = Name(required=True)
    tenant_id = fields.String(required=True, validate=validate.Length(min=1, error="must not be empty"))

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> DatabaseOwner:  # noqa: ANN401 - marshmallow's
        return tenant_database(data["platform"], data["tenant_id"])


class CopyTenantRequest(CreateTenantRequest):
    """The body of ``/admin/create-tenant-db``."""

    template = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, MAX_DATABASE_NAME_BYTES, error="must be the name of a database"),
    )

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> tuple[DatabaseOwner, str | None]:  # noqa: ANN401
        return tenant_database(data["platform"], data["tenant_id"]), data["template"]


class DropRequest(Request):
    """The body of ``/admin/drop-database``."""

    platform = Name(required=True)
    tenant_id = fields.String(validate=validate.Length(min=1, error="must not be empty"))
    schema_name = Name()
    database_id = Name()
    confirm = fields.String(required=True)

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> tuple[DatabaseOwner, str]:  # noqa: ANN401
        if "schema_name" in data and "database_id" in data and "tenant_id" not in data:
            owner = schema_database(data["platform"], data["schema_name"], data["database_id"])
        elif "tenant_id" in data and not data.keys() & {"schema_name", "database_id"}:
            owner = tenant_database(data["platform"], data["tenant_id"])
        else:
            raise InvalidRequest(
                "either tenant_id ('main' for the main database) or schema_name and database_id is required"
            )
        return owner, data["confirm"]


class DatabaseShape(Shape):
    """An entry of ``/admin/databases``; dumped from a ManagedDatabase."""

    name = fields.String()
    type = fields.String(attribute="owner.kind")
    tenant_id = fields.String(attribute="owner.tenant_id", allow_none=True)
    size_mb = fields.Function(lambda one: one.size_bytes and round(one.size_bytes / _BYTES_PER_MB, 2), metadata=NUMBER)
    created_at = Timestamp(allow_none=True)
    schema_name = fields.String(attribute="owner.schema_name", allow_none=True)
    database_id = fields.String(attribute="owner.database_id", allow_none=True)
    adopted_at = Timestamp(allow_none=True)


@blueprint.get("/databases")
def databases() -> ResponseReturnValue:
    """List the databases of a platform, of both versions."""
    query = single_values(request.args.items(multi=True))
    platform = load(ListRequest(), query, caller_of(request.environ))["platform"]
    with adding_facts(platform=platform):
        found = current_services().directory.of_platform(platform, sizes=True)
    return ok({"platform": platform, "databases": DatabaseShape(many=True).dump(found), "count": len(found)})


@blueprint.post("/create-tenant")
def create_tenant() -> ResponseReturnValue:
    """Create an empty database for a tenant."""
    services = current_services()
    owner = load(CreateTenantRequest(), _body(services), caller_of(request.environ))
    with adding_facts(**owner_facts(owner)):
        database = create_empty_database(services, owner)
    message = f"Database '{database}' created. Use POST /register or POST /migrate to deploy a schema to it."
    return ok({"status": "created", "database": database, "message": message}, 201)


@blueprint.post("/create-tenant-db")
def create_tenant_db() -> ResponseReturnValue:
    """Create a database for a tenant, empty or as a copy of a template."""
    services = current_services()
    owner, template = load(CopyTenantRequest(), _body(services), caller_of(request.environ))
    with adding_facts(**owner_facts(owner)):
        if template is None:
            database = create_empty_database(services, owner)
        else:
            database = create_from_template(services, owner, template)
    return ok({"database": database, "created": True}, 201)


@blueprint.post("/drop-database")
def drop() -> ResponseReturnValue:
    """Drop a database and everything in it."""
    services = current_services()
    owner, confirmation = load(DropRequest(), _body(services), caller_of(request.environ))
    with adding_facts(**owner_facts(owner)):
        database = drop_database(services, owner, confirmation)
    return ok({"status": "dropped", "database": database})


def _body(services: Services) -> dict[str, Any]:
    return read_json(request.environ, services.settings.max_request_bytes)

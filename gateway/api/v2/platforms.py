"""Platforms, their schemas and their databases: ``/platform…`` and ``/platforms``."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.api.bodies import reading_form
from gateway.api.errors import answer_failure
from gateway.api.guard import caller_of
from gateway.api.request_ids import request_id_of
from gateway.api.requests import adding_facts, current_services, load, read_json, single_values
from gateway.api.responses import ok, respond
from gateway.api.v2.requests import ARCHIVES, DatabasesQuery, PlatformRequest, SchemaForm
from gateway.api.v2.responses import PlatformShape, SchemaDatabaseShape, SchemaVersionShape, StoredSchemaShape
from gateway.errors import PlatformAlreadyRegistered
from gateway.naming import check_name
from gateway.operations.stored_schemas import find_platform, list_platforms, list_schema_databases, store_schema
from gateway.platforms import StoredSchema
from gateway.security.networks import client_address
from gateway.services import Services

blueprint: Final = Blueprint("platforms", __name__)


def created_status(services: Services) -> int:
    """Return the status for a created object: 201, but 200 for clients that know no other success."""
    return 200 if services.settings.php_client_compatibility else 201


@blueprint.post("/platform/register")
def register_platform() -> ResponseReturnValue:
    """Record a platform. It has no schema yet."""
    services = current_services()
    platform = load(
        PlatformRequest(), read_json(request.environ, services.settings.max_request_bytes), caller_of(request.environ)
    )["platform"]
    try:
        with adding_facts(platform=platform):
            services.platforms.register(platform)
    except PlatformAlreadyRegistered as exc:
        if not services.settings.php_client_compatibility:
            raise
        return respond(answer_failure(exc, request_id_of(request.environ), services.events, status=409))
    message = "Platform registered. Use POST /platform/{platform}/schema to add schemas."
    return ok({"status": "registered", "platform": platform, "message": message}, created_status(services))


@blueprint.post("/platform/<platform>/schema")
def upload_schema(platform: str) -> ResponseReturnValue:
    """Store a schema, from which databases are created and to which they are migrated later."""
    services = current_services()
    environ = request.environ
    check_name(platform, field="platform")
    sender = client_address(
        environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"), services.settings.trusted_proxies
    )
    form = SchemaForm(platform=platform, sent_by=str(sender) if sender else None, request_id=request_id_of(environ))
    with reading_form(environ, services.settings.max_upload_bytes, ARCHIVES) as parts:
        wanted = load(form, parts, caller_of(environ))
        with adding_facts(platform=platform, schema_name=wanted.schema_name):
            stored = store_schema(services, wanted)
    answer = {"status": "registered", "platform": platform, "schema_name": wanted.schema_name}
    answer |= StoredSchemaShape().dump(stored.version)
    return ok({**answer, "warnings": stored.warnings}, created_status(services))


@blueprint.get("/platform/<platform>/schemas")
def schemas(platform: str) -> ResponseReturnValue:
    """List a platform's stored schemas."""
    found = find_platform(current_services(), platform).schemas
    shape = StoredSchemaShape()
    listed = [
        {"name": name, **shape.dump(schema.current), "versions": _versions(schema)}
        for name, schema in sorted(found.items())
    ]
    return ok({"platform": platform, "schemas": listed, "count": len(listed)})


@blueprint.get("/platform/<platform>/databases")
def databases(platform: str) -> ResponseReturnValue:
    """List the databases of a platform's stored schemas, or of one of them."""
    services = current_services()
    check_name(platform, field="platform")
    schema = load(DatabasesQuery(), single_values(request.args.items(multi=True)), caller_of(request.environ))["schema"]
    with adding_facts(platform=platform):
        found = list_schema_databases(services, platform, schema)
    return ok({"platform": platform, "databases": SchemaDatabaseShape(many=True).dump(found), "count": len(found)})


@blueprint.get("/platforms")
@blueprint.get("/admin/platforms")
def platforms() -> ResponseReturnValue:
    """List the registered platforms."""
    found = list_platforms(current_services())
    return ok({"platforms": PlatformShape(many=True).dump(found), "count": len(found)})


def _versions(schema: StoredSchema) -> list[dict[str, Any]]:
    """Return every version of a schema, counted from 1, with its time and sender."""
    shape = SchemaVersionShape()
    return [{"version": number, **shape.dump(one)} for number, one in enumerate(schema.versions, start=1)]

"""``GET /openapi.json``: the description of every route, made from the schemas, the errors and the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Response
from marshmallow import Schema, fields

from gateway.api.description import examples
from gateway.api.description.operations import OPERATIONS, TAGS, Operation
from gateway.api.errors import ERROR_TABLE, OTHER_SQLSTATE_STATUS, SQLSTATE_TABLE
from gateway.api.health import VERSION
from gateway.api.request_ids import REQUEST_ID_HEADER
from gateway.api.requests import Flag, Name, Seed, TenantId
from gateway.api.responses import Answer, Shape, Timestamp, ValidationShape, VerificationShape, respond, to_json
from gateway.api.v2.requests import ARCHIVES
from gateway.naming import ALLOWED_CHARACTERS, MAX_DATABASE_NAME_BYTES
from gateway.routes import ROUTES, Access, Key, Route, Work

blueprint: Final = Blueprint("openapi", __name__)

_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9_. -]*$",
    "minLength": 1,
    "maxLength": MAX_DATABASE_NAME_BYTES,
}
_TYPES: Final[dict[type[fields.Field[Any]], dict[str, Any]]] = {
    Name: _NAME,
    TenantId: {"type": ["string", "null"], "maxLength": MAX_DATABASE_NAME_BYTES},
    Seed: {"enum": ["insert", ""]},
    Flag: {"type": "boolean"},
}
_INTRODUCTION: Final = f"""\
The gateway between applications and PostgreSQL: it deploys schemas and calls functions.

Names (`platform`, `tenant_id`, `schema_name`, `database_id`) consist of {ALLOWED_CHARACTERS}. Unknown fields in
requests are refused. Later versions may add fields to answers.

Every answer has the header `{REQUEST_ID_HEADER}`, with the value of the request's header or a new one. The log contains
it.
"""
#: The statuses of each code.
_STATUSES: Final[dict[str, tuple[int, ...]]] = {
    **{row.code: (row.status,) for row in ERROR_TABLE if row.status != 403 or row.code != "unauthorized"},
    "query_failed": tuple(sorted({OTHER_SQLSTATE_STATUS, *(row.status for row in SQLSTATE_TABLE)})),
}
_WHEN: Final = {(row.status, row.code): row.when for row in ERROR_TABLE}
#: Descriptions of codes with a status that differs from the table.
_QUERY_FAILED: Final = "raised inside the function or query"
_ELSEWHERE: Final = {
    "invalid_request": "the platform is registered already, with PHP_CLIENT_COMPATIBILITY=on",
    "database_already_exists": "the database to be created exists already",
}
_VARIABLE: Final = re.compile(r"<(\w+)>")


class ErrorAnswer(Shape):
    """The body of every answer that is not a success."""

    sometimes = frozenset(
        {"database", "platform", "tenant_id", "schema_name", "database_id", "function", "cause", "sqlstate", "detail",
         "hint", "file", "line", "fields", "schema_validation", "verification", "databases", "databases_updated",
         "databases_failed", "databases_skipped"}
    )  # fmt: skip

    error = fields.String(metadata={"description": "The code of the error."})
    message = fields.String(metadata={"description": "The cause and the remedy, for people."})
    request_id = fields.String(metadata={"description": "The id of the request in the gateway's log."})
    database = fields.String()
    platform = fields.String()
    tenant_id = fields.String()
    schema_name = fields.String()
    database_id = fields.String()
    function = fields.String()
    cause = fields.String(metadata={"description": "PostgreSQL's own message."})
    sqlstate = fields.String()
    detail = fields.String()
    hint = fields.String()
    file = fields.String(metadata={"description": "The file of the schema at fault."})
    line = fields.Integer(metadata={"description": "The line of that file at which PostgreSQL refused it."})
    fields_ = fields.Dict(
        values=fields.String(),
        data_key="fields",
        metadata={"description": "The error of each wrong field of the request."},
    )
    schema_validation = fields.Nested(ValidationShape)
    verification = fields.Nested(VerificationShape)
    databases = fields.List(
        fields.Dict(), metadata={"description": "The result of each database, if several were to be changed."}
    )
    databases_updated = fields.List(fields.String())
    databases_failed = fields.List(fields.String())
    databases_skipped = fields.List(fields.String())


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the document."""
    return respond(Answer(status=200, body=_document_as_json()))


@cache
def _document_as_json() -> bytes:
    return to_json(openapi_document())


@cache
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of this gateway. Not to be changed."""
    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)
    spec = APISpec(
        title="StoneScriptDB Gateway",
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": _INTRODUCTION, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": "/"}],
        tags=[{"name": tag} for tag in TAGS],
    )
    spec.components.header("RequestId", {"schema": {"type": "string"}})
    spec.components.security_scheme("ApiKey", {"type": "apiKey", "in": "header", "name": "X-API-Key"})
    spec.components.security_scheme("Basic", {"type": "http", "scheme": "basic"})
    spec.components.security_scheme("Bearer", {"type": "http", "scheme": "bearer"})
    converter = plugin.converter
    assert converter is not None
    converter.add_attribute_function(_describe_type)  # type: ignore[no-untyped-call]
    _add_components(spec)
    for route in ROUTES:
        operation = OPERATIONS[route.method, route.path]
        path = _VARIABLE.sub(r"{\1}", route.path)
        spec.path(path=path, operations={route.method.lower(): _operation(plugin, route, operation)})
    return spec.to_dict()


def _component_name(schema: type[Schema] | Schema) -> str:
    return type(schema).__name__ if isinstance(schema, Schema) else schema.__name__


def _describe_type(_converter: Any, field: fields.Field[Any], **_kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - apispec's hook
    """Return the JSON Schema of the gateway's own field types."""
    if isinstance(field, Timestamp):
        return {"type": ["string", "null"] if field.allow_none else "string", "format": "date-time"}
    if type(field) is fields.Raw and field.name in ARCHIVES:
        return {"type": "string", "contentMediaType": "application/gzip", "format": "binary"}
    return next((dict(described) for kind, described in _TYPES.items() if isinstance(field, kind)), {})


def _add_components(spec: APISpec) -> None:
    """Add all schemas of the operations, and mark the required fields of answers."""
    schemas: list[Schema] = [ErrorAnswer()]
    for operation in OPERATIONS.values():
        used = (operation.body, operation.form, operation.page_form, operation.answer)
        schemas += [one for one in used if one is not None]
    for name, schema in {_component_name(schema): schema for schema in schemas}.items():
        if name not in spec.components.schemas:  # it may be nested in an earlier one
            spec.components.schema(name, schema=schema)
    always = {_component_name(shape): shape for shape in _shapes(Shape)}
    for name, described in spec.components.schemas.items():
        if name in always:
            described.pop("additionalProperties", None)  # an answer may get more fields
            described["required"] = [one for one in described["properties"] if one not in always[name].sometimes]


def _shapes(base: type[Shape]) -> Iterable[type[Shape]]:
    for found in base.__subclasses__():
        yield found
        yield from _shapes(found)


def _operation(plugin: MarshmallowPlugin, route: Route, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").rstrip("_"),
        "responses": {str(status): answer for status, answer in sorted(_answers(route, operation).items())},
        "security": _security(route.key),
    }
    if operation.text:
        described["description"] = operation.text
    parameters = [_path_parameter(name) for name in _VARIABLE.findall(route.path)]
    if operation.query is not None:
        parameters += _query_parameters(plugin, operation.query, examples.REQUESTS[route.method, route.path])
    if parameters:
        described["parameters"] = parameters
    for media_type, schema in (
        ("application/json", operation.body),
        ("multipart/form-data", operation.form),
        ("application/x-www-form-urlencoded", operation.page_form),
    ):
        if schema is not None:
            content = {"schema": _reference(schema), "example": examples.REQUESTS[route.method, route.path]}
            described["requestBody"] = {"required": True, "content": {media_type: content}}
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    schema = dict(_NAME) if name == "platform" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": "myapp"}


def _query_parameters(plugin: MarshmallowPlugin, query: Schema, example: Mapping[str, Any]) -> list[dict[str, Any]]:
    assert plugin.converter is not None
    found: list[dict[str, Any]] = plugin.converter.schema2parameters(query, location="query")
    for one in found:
        one["example"] = example[one["name"]]
        one["schema"].pop("default", None)  # null means that the field is absent
    return found


def _security(key: Key) -> list[dict[str, list[str]]]:
    """Return the security requirements of a route; an empty one if a key is needed only where it is set."""
    if key is Key.NONE:
        return [{}]
    keys: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]
    if key is Key.ADMIN_PAGE:
        return [*keys, {"Basic": []}]
    return keys if key in (Key.PLATFORM_ALWAYS, Key.ADMIN_ALWAYS) else [{}, *keys]


def _answers(route: Route, operation: Operation) -> dict[int, dict[str, Any]]:
    content: dict[str, Any] = {operation.media_type: {}}
    if operation.answer is not None:
        example = examples.ANSWERS[route.method, route.path]
        content = {"application/json": {"schema": _reference(operation.answer), "example": example}}
        if operation.lines:
            content["application/x-ndjson"] = {"schema": {"type": "string"}}
    headers = {REQUEST_ID_HEADER: {"$ref": "#/components/headers/RequestId"}}
    success = {"description": "Success", "headers": headers, "content": content}
    found = {operation.status: success}
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*_codes_of_route(route, operation), *operation.errors)):
        for status in _STATUSES[code]:
            by_status.setdefault(status, []).append(code)
    if route.access is not Access.OPEN:
        by_status.setdefault(403, []).append("unauthorized")
    if operation.is_200_for_php:
        found[200] = {**success, "description": "The same, with PHP_CLIENT_COMPATIBILITY=on"}
    for code in operation.conflicts:
        by_status.setdefault(409, []).append(code)
    for status, codes in by_status.items():
        found[status] = _error_answer(status, codes, headers, as_page=route.key is Key.ADMIN_PAGE)
    return found


def _codes_of_route(route: Route, operation: Operation) -> Iterable[str]:
    """Return the codes of errors that follow from a route's row and its kind of body."""
    if route.work is Work.HEALTH:
        return ("invalid_request", "internal_error")
    codes = ["invalid_request", "internal_error", "pool_exhausted"]
    if route.key is not Key.NONE:
        codes += ["unauthorized", "platform_isolation_violation", "rate_limited"]
    if route.key is Key.ADMIN_PAGE:
        codes.append("not_found")  # with ADMIN_PAGE=off
    if operation.body or operation.form or operation.page_form:
        codes += ["payload_too_large", "unsupported_media_type"]
    return codes


def _error_answer(status: int, codes: list[str], headers: dict[str, Any], *, as_page: bool) -> dict[str, Any]:
    codes = sorted(set(codes))
    reasons = [f"`{code}`: {_WHEN.get((status, code), _ELSEWHERE.get(code, _QUERY_FAILED))}" for code in codes]
    if status in (429, 503):
        headers = {**headers, "Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    content: dict[str, Any] = {
        "application/json": {
            "schema": {"allOf": [_reference(ErrorAnswer()), {"properties": {"error": {"enum": codes}}}]},
            "example": {"error": codes[0], "message": "…", "request_id": "5f0c…"},
        }
    }
    if as_page:
        content["text/html"] = {}
    return {"description": "; ".join(reasons), "headers": headers, "content": content}


def _reference(schema: Schema) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{_component_name(schema)}"}

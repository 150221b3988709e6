"""Answers compared with the description of the interface, field by field."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from gateway.api.description.openapi import openapi_document
from gateway.routes import route_of_head

#: What any request may be answered with before a route has seen it: HTTP that cannot be read, a body too slow or long.
OF_HTTP = {400, 405, 408, 411, 413, 414, 417, 431, 501, 505}


def check_answer(method: str, target: str, status: int, content_type: str, body: bytes) -> None:
    """Compare an answer with the description of its route and status; every field must be described.

    :raises AssertionError: it differs
    """
    if method == "HEAD":
        return
    route = route_of_head(f"{method} {target} HTTP/1.1\r\n".encode("latin-1", "replace"))
    path = "" if route is None else route.path.replace("<", "{").replace(">", "}")
    described = openapi_document()["paths"].get(path, {}).get(method.lower(), {}).get("responses", {})
    if str(status) not in described:
        assert route is None or status in OF_HTTP, f"{method} {path} answers {status}, which is not described: {body!r}"
        validator_of("ErrorAnswer", None).validate(json.loads(body))
        return
    media_type = content_type.partition(";")[0]
    content = described[str(status)]["content"]
    assert media_type in content, f"{method} {path} answers {status} as {media_type}, which is not described"
    if media_type == "application/json" and "schema" in content[media_type]:
        schema = content[media_type]["schema"]
        reference, *more = schema.get("allOf", [schema])
        codes = tuple(more[0]["properties"]["error"]["enum"]) if more else None
        found = validator_of(reference["$ref"].rpartition("/")[2], codes)
        errors = [f"{list(error.instance_path)}: {error.message}" for error in found.iter_errors(json.loads(body))]
        assert not errors, f"{method} {path} answers {status} otherwise than described: {errors}: {body[:2000]!r}"


@cache
def validator_of(component: str, codes: tuple[str, ...] | None) -> Draft202012Validator:
    """What an answer with this schema has to be, without any field that is not described."""
    schemas = json.loads(json.dumps(openapi_document()["components"]["schemas"]))
    for name, schema in schemas.items():
        if name != "ErrorAnswer":  # which carries further facts
            schema["additionalProperties"] = False
    wanted: dict[str, Any] = {"allOf": [{"$ref": f"#/components/schemas/{component}"}]}
    if codes is not None:
        wanted["allOf"].append({"properties": {"error": {"enum": list(codes)}}})
    return Draft202012Validator({**wanted, "components": {"schemas": schemas}})

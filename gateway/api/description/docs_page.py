"""``GET /docs``: the OpenAPI document as an HTML page."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from flask import Blueprint, Response

from gateway.api.description.openapi import openapi_document
from gateway.api.pages import html_page, render

blueprint: Final = Blueprint("docs", __name__)
_REFERENCE: Final = "#/components/schemas/"


@blueprint.get("/docs")
def docs() -> Response:
    """Return the page."""
    return html_page(_page())


@cache
def _page() -> str:
    document = openapi_document()
    tags: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags[operation["tags"][0]].append(_shown(method.upper(), path, operation))
    introduction = document["info"]["description"].replace("`", "").split("\n\n")
    error = _rows(f"{_REFERENCE}ErrorAnswer")
    return render("docs.html", document=document, introduction=introduction, tags=tags, error=error)


def _shown(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Return the values of an operation for the template."""
    answers = operation["responses"]
    status = min(answers)
    media_type, body = next(iter(operation.get("requestBody", {}).get("content", {}).items()), ("", None))
    return {
        "id": operation["operationId"],
        "method": method,
        "path": path,
        "summary": operation["summary"],
        "text": operation.get("description", "").replace("`", ""),
        "key": _key(operation["security"]),
        "parameters": [_row(one["name"], one["schema"], one["required"]) for one in operation.get("parameters", ())],
        "media_type": media_type,
        "fields": _rows(body["schema"]["$ref"]) if body else [],
        "example": _as_curl(method, path, media_type, body["example"]) if body else None,
        "status": status,
        "answer": answers[status]["content"].get("application/json", {}).get("example"),
        "errors": {
            number: answer["description"].replace("`", "") for number, answer in answers.items() if number >= "4"
        },
    }


def _key(security: list[dict[str, Any]]) -> str:
    if security == [{}]:
        return "Needs no key."
    return "Needs a key, where one has been set." if {} in security else "Needs a key."


def _rows(reference: str) -> list[dict[str, str]]:
    described = openapi_document()["components"]["schemas"][reference.removeprefix(_REFERENCE)]
    required = described.get("required", ())
    return [_row(name, schema, name in required) for name, schema in described["properties"].items()]


def _row(name: str, schema: dict[str, Any], required: bool) -> dict[str, str]:
    kind = schema.get("type", "list or object" if "oneOf" in schema else "text")
    text = " or ".join(kind) if isinstance(kind, list) else kind
    if schema.get("format") == "binary":
        text = "file (.tar.gz)"
    choices = ", ".join(str(choice) for choice in schema.get("enum", ()) if choice)
    meaning = [*(["required"] if required else []), *([choices] if choices else []), schema.get("description", "")]
    return {"name": name, "type": text, "text": "; ".join(part for part in meaning if part)}


def _as_curl(method: str, path: str, media_type: str, example: dict[str, Any]) -> str:
    """Return a curl command that sends *example*."""
    if media_type == "application/x-www-form-urlencoded":
        return "The page sends it."
    url = f"$DB_GATEWAY_URL{path.replace('{platform}', 'myapp')}"
    if media_type == "application/json":
        body = json.dumps(example)
        return f"curl -X {method} \"{url}\" -H 'Content-Type: application/json' \\\n  -d '{body}'"
    parts = [f"-F {name}={_form_value(value)}" for name, value in example.items()]
    return f'curl -X {method} "{url}" ' + " ".join(parts)


def _form_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"@{text}" if text.endswith(".tar.gz") else text

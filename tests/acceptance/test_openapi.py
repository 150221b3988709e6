"""The description of the interface: complete, and true of a running gateway.

Whether answers are as described is also looked at with every answer that any test gets over HTTP
(tests/support/described.py).
"""

from __future__ import annotations

import json
import re

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from gateway.api.description.openapi import openapi_document
from gateway.api.description.operations import OPERATIONS
from gateway.api.errors import ERROR_TABLE
from gateway.routes import ROUTES
from tests.support.described import check_answer, validator_of
from tests.support.running_gateway import Gateway

EXAMPLES = 4  #: of hostile and of fitting requests to each route
DOCUMENT = openapi_document()


def operations() -> list[tuple[str, str, dict]]:
    return [(method, path, one) for path, found in DOCUMENT["paths"].items() for method, one in found.items()]


def test_every_route_is_described_and_nothing_else() -> None:
    assert set(OPERATIONS) == {(route.method, route.path) for route in ROUTES}
    described = {(method.upper(), path) for method, path, _ in operations()}
    assert described == {(route.method, route.path.replace("<", "{").replace(">", "}")) for route in ROUTES}


def test_every_error_is_described() -> None:
    codes = set(re.findall(r"`(\w+)`:", json.dumps([one["responses"] for _, _, one in operations()])))
    in_general = {"not_found", "method_not_allowed"}  # which no route answers
    assert codes | in_general == {row.code for row in ERROR_TABLE} | {"query_failed"}


def test_every_field_has_a_type() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, described in schema["properties"].items():
            assert described.keys() & {"type", "$ref", "oneOf", "enum"}, f"{name}.{field} has no type"


@pytest.mark.parametrize(("method", "path", "described"), operations(), ids=lambda one: one if str(one) == one else "")
def test_examples_fit(method: str, path: str, described: dict) -> None:
    for media_type, body in described.get("requestBody", {}).get("content", {}).items():
        example = {**body["example"]}
        assert media_type == "multipart/form-data" or not list(
            validator_of(body["schema"]["$ref"].rpartition("/")[2], None).iter_errors(example)
        )
    for status, answer in described["responses"].items():
        for media_type, content in answer["content"].items():
            if "example" in content:
                check_answer(method.upper(), path, int(status), media_type, json.dumps(content["example"]).encode())


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in operations()])
def test_no_request_makes_it_fail(gateway: Gateway, method: str, path: str) -> None:
    """Requests made from the description, right and wrong ones, are answered as described and never with 500."""
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case) -> None:
        response = case.call(base_url=gateway.url)
        assert response.status_code != 500, response.content
        target = response.request.url.removeprefix(gateway.url)
        (content_type,) = response.headers["content-type"]
        check_answer(method.upper(), target, response.status_code, content_type, response.content)

    send()


def test_the_page_shows_every_operation_and_loads_nothing(gateway: Gateway) -> None:
    answer = gateway.get("/docs")
    text = answer.body.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    for _, _, operation in operations():
        assert f'id="{operation["operationId"]}"' in text
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="(?!#|data:,|openapi\.json)', text) == []
    assert gateway.get("/openapi.json").json == DOCUMENT

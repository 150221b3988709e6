"""Answers before they become one framework's or another's: a status, headers and a body of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from flask import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. *headers* are those besides Content-Type, Content-Length and the request id."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def to_json(body: Any) -> bytes:  # noqa: ANN401 - JSON of any kind
    """*body* as JSON, its keys in their own order."""
    return orjson.dumps(body)


def respond(answer: Answer) -> Response:
    """The answer as Flask gives it."""
    response = Response(answer.body, answer.status, mimetype="application/json")
    response.headers.extend(answer.headers)
    return response


def ok(body: Any, status: int = 200) -> Response:  # noqa: ANN401 - JSON of any kind
    """A successful answer."""
    return respond(Answer(status=status, body=to_json(body)))

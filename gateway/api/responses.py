"""Answers, independent of a framework, and the shapes that several answers share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, TypeAlias

import orjson
from flask import Response
from marshmallow import Schema, fields

from migrations_engine import SchemaValidation, Verification

#: The types of computed fields, for the description of the interface.
BOOLEAN: Final[dict[str, Any]] = {"type": "boolean"}
INTEGER: Final[dict[str, Any]] = {"type": "integer"}
NUMBER: Final[dict[str, Any]] = {"type": ["number", "null"]}
TEXT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"]}

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(slots=True, kw_only=True)  # not frozen: each call creates one, which would take three times as long
class Answer:
    """A complete answer. *headers* are those besides Content-Type, Content-Length and the request id."""

    status: int
    body: bytes
    headers: Headers = ()


def to_json(body: Any) -> bytes:  # noqa: ANN401 - JSON of any kind
    """Return *body* as JSON, with the order of its keys."""
    return orjson.dumps(body)


def respond(answer: Answer) -> Response:
    """Return the answer as a Flask response."""
    response = Response(answer.body, answer.status, mimetype="application/json")
    response.headers.extend(answer.headers)
    return response


def ok(body: Any, status: int = 200) -> Response:  # noqa: ANN401 - JSON of any kind
    """Return a successful answer."""
    return respond(Answer(status=status, body=to_json(body)))


def format_time(at: datetime | None) -> str | None:
    """Return a time in UTC in the format of answers: ``2024-01-15T10:30:00Z``."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


class Shape(Schema):
    """A JSON object of an answer, as the description of the interface has it.

    :cvar sometimes: names of the fields that not every such object has
    """

    sometimes: ClassVar[frozenset[str]] = frozenset()


class Timestamp(fields.Field[datetime]):
    """A time in UTC, as :func:`format_time` writes it."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:  # noqa: ANN401, ARG002
        return format_time(value)


class ChangeShape(Shape):
    """One difference between the declared schema and a database."""

    table = fields.String()
    change_type = fields.String()
    column = fields.String(allow_none=True)
    from_type = fields.String(allow_none=True)
    to_type = fields.String(allow_none=True)
    compatibility = fields.String()
    reason = fields.String()
    rows_at_risk = fields.Integer(allow_none=True)
    file = fields.String(allow_none=True)


class ValidationShape(Shape):
    """All differences, by compatibility."""

    safe_changes = fields.List(fields.Nested(ChangeShape))
    dataloss_changes = fields.List(fields.Nested(ChangeShape))
    incompatible_changes = fields.List(fields.Nested(ChangeShape))


class VerificationShape(Shape):
    """The comparison of the finished database with the schema."""

    passed = fields.Boolean()
    extensions_verified = fields.Boolean()
    types_verified = fields.Boolean()
    tables_verified = fields.Boolean()
    functions_verified = fields.Boolean()
    seeders_verified = fields.Boolean()
    error_log = fields.List(fields.String())


class SeederShape(Shape):
    """The rows that a seeder inserted and skipped on register."""

    table = fields.String()
    inserted = fields.Integer()
    skipped = fields.Integer()


class SeederValidationShape(Shape):
    """The rows of a seeder that were expected and found on migrate."""

    table = fields.String()
    expected = fields.Integer()
    found = fields.Integer()


class PlannedStatementShape(Shape):
    """A statement that a dry run would have run."""

    step = fields.String()
    file = fields.String(allow_none=True)
    sql = fields.String()
    effect = fields.String()


def shape_of_fact(value: object) -> Any:  # noqa: ANN401 - JSON of any kind
    """Return a fact of an error as a JSON value."""
    if isinstance(value, SchemaValidation):
        return ValidationShape().dump(value)
    if isinstance(value, Verification):
        return VerificationShape().dump(value)
    return value

"""The shapes that several answers share: what the engine reports, as JSON objects."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from migrations_engine import SchemaValidation, Verification


class ChangeShape(Schema):
    """One difference between the declared schema and a database."""

    table = fields.String()
    change_type = fields.String()
    column = fields.String()
    from_type = fields.String()
    to_type = fields.String()
    compatibility = fields.String()
    reason = fields.String()
    rows_at_risk = fields.Integer()


class ValidationShape(Schema):
    """All differences, by danger."""

    safe_changes = fields.List(fields.Nested(ChangeShape))
    dataloss_changes = fields.List(fields.Nested(ChangeShape))
    incompatible_changes = fields.List(fields.Nested(ChangeShape))


class VerificationShape(Schema):
    """The comparison of the finished database with the schema."""

    passed = fields.Boolean()
    extensions_verified = fields.Boolean()
    types_verified = fields.Boolean()
    tables_verified = fields.Boolean()
    functions_verified = fields.Boolean()
    seeders_verified = fields.Boolean()
    error_log = fields.List(fields.String())


class SeederShape(Schema):
    """What a seeder did on register."""

    table = fields.String()
    inserted = fields.Integer()
    skipped = fields.Integer()


class SeederValidationShape(Schema):
    """What of a seeder was found on migrate."""

    table = fields.String()
    expected = fields.Integer()
    found = fields.Integer()


class PlannedStatementShape(Schema):
    """A statement that a dry run would have run."""

    step = fields.String()
    file = fields.String()
    sql = fields.String()
    effect = fields.String()


def shape_of_fact(value: object) -> Any:  # noqa: ANN401 - JSON of any kind
    """A fact of an error, fit for JSON."""
    if isinstance(value, SchemaValidation):
        return ValidationShape().dump(value)
    if isinstance(value, Verification):
        return VerificationShape().dump(value)
    return value

"""The answers of version 1, with their fields in order."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_dump

from gateway.api.errors import code_of, status_of
from gateway.api.responses import (
    TEXT_OR_NULL,
    PlannedStatementShape,
    SeederShape,
    SeederValidationShape,
    Shape,
    ValidationShape,
    VerificationShape,
    shape_of_fact,
)
from gateway.errors import GatewayError, SchemaDeployError
from gateway.operations.migration_result import MigratedDatabase, PlatformMigration


class RegisterAnswer(Shape):
    """The answer of ``/register``; made from a RegisteredDatabase."""

    status = fields.Constant("ready", metadata={"enum": ["ready"]})
    database = fields.String()
    created = fields.Boolean()
    extensions_installed = fields.Integer(attribute="report.extensions_installed")
    types_deployed = fields.Integer(attribute="report.types_deployed")
    tables_created = fields.Integer(attribute="report.tables_created")
    migrations_applied = fields.Integer(attribute="report.migrations_applied")
    functions_deployed = fields.Integer(attribute="report.functions_deployed")
    functions_skipped = fields.Integer(attribute="report.functions_skipped")
    functions_dropped = fields.Integer(attribute="report.functions_dropped")
    seeders = fields.List(fields.Nested(SeederShape), attribute="report.seeders")
    schema_validation = fields.Nested(ValidationShape, attribute="report.schema_validation")
    verification = fields.Nested(VerificationShape, attribute="report.verification")
    execution_time_ms = fields.Integer()
    dry_run = fields.Boolean(attribute="report.dry_run")
    satisfied_statements = fields.List(fields.String(), attribute="report.satisfied_statements")
    warnings = fields.List(fields.String(), attribute="report.warnings")
    differences = fields.List(fields.String(), attribute="report.differences")
    plan = fields.List(fields.Nested(PlannedStatementShape), attribute="report.plan")


class MigratedDatabaseShape(Shape):
    """The result of one database in the answer of ``/migrate``; made from a MigratedDatabase.

    Of a failed or skipped database only the name, the status and the error are known.
    """

    sometimes = frozenset(
        {
            "migrations_applied", "functions_updated", "functions_dropped", "tables_created", "seeder_validations",
            "schema_validation", "verification", "satisfied_statements", "warnings", "differences", "plan", "message",
            "changed",
        }
    )  # fmt: skip

    database = fields.String()
    status = fields.String()
    changed = fields.Boolean(attribute="report.has_changed")
    migrations_applied = fields.Integer(attribute="report.migrations_applied")
    functions_updated = fields.Integer(attribute="report.functions_updated")
    functions_dropped = fields.Integer(attribute="report.functions_dropped")
    tables_created = fields.Integer(attribute="report.tables_created")
    seeder_validations = fields.List(fields.Nested(SeederValidationShape), attribute="report.seeder_validations")
    schema_validation = fields.Nested(ValidationShape, attribute="report.schema_validation")
    verification = fields.Nested(VerificationShape, attribute="report.verification")
    satisfied_statements = fields.List(fields.String(), attribute="report.satisfied_statements")
    warnings = fields.List(fields.String(), attribute="report.warnings")
    differences = fields.List(fields.String(), attribute="report.differences")
    plan = fields.List(fields.Nested(PlannedStatementShape), attribute="report.plan")
    error = fields.Function(lambda result: result.error and code_of(result.error), metadata=TEXT_OR_NULL)
    message = fields.String(dump_only=True)

    @post_dump(pass_original=True)
    def _add_failure(self, data: dict[str, Any], result: MigratedDatabase, **_kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Add the fields that the answer to a failed deploy would have, or why the database was skipped."""
        if result.error is None:
            return data if result.reason is None else {**data, "message": result.reason}
        facts = {name: shape_of_fact(value) for name, value in result.error.facts.items()}
        return {**facts, **data, "message": result.error.message}


class MigrateAnswer(Shape):
    """The answer of ``/migrate``; made from a PlatformMigration."""

    status = fields.String()
    databases_updated = fields.List(fields.String())
    migrations_applied = fields.Integer()
    functions_updated = fields.Integer()
    tables_created = fields.Integer()
    seeder_validations = fields.List(fields.Nested(SeederValidationShape))
    schema_validation = fields.Nested(ValidationShape)
    verification = fields.Nested(VerificationShape)
    databases = fields.List(fields.Nested(MigratedDatabaseShape))
    execution_time_ms = fields.Integer()
    dry_run = fields.Boolean()
    warnings = fields.List(fields.String())


def migration_failure(result: PlatformMigration, first: GatewayError) -> SchemaDeployError:
    """Return the first failure, with the results of all databases; a conflict if one has been updated."""
    code = code_of(first) if status_of(first) == 409 or not result.databases_updated else "migration_failed"
    skipped = len(result.databases_skipped)
    tried = len(result.databases) - skipped
    message = first.message
    if len(result.databases) > 1:
        failed, verb = result.databases_failed, "would fail" if result.dry_run else "failed"
        others = f" and {skipped} were not begun" if skipped else ""
        message = f"{len(failed)} of {tried} databases {verb}{others}, first {failed[0]}: {message}"
    outcome = MigrateAnswer(exclude=("status",)).dump(result)
    outcome["databases_failed"] = list(result.databases_failed)
    outcome["databases_skipped"] = list(result.databases_skipped)
    return SchemaDeployError(code, message, **{**first.facts, **outcome})

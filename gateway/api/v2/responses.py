"""The answers of version 2."""

from __future__ import annotations

from marshmallow import fields

from gateway.api.responses import (
    BOOLEAN,
    INTEGER,
    TEXT_OR_NULL,
    PlannedStatementShape,
    SeederShape,
    Shape,
    Timestamp,
    ValidationShape,
    format_time,
)


class StoredSchemaShape(Shape):
    """The contents of a version of a schema; made from a SchemaVersion."""

    has_tables = fields.Function(lambda version: "tables" in version.folders, metadata=BOOLEAN)
    has_functions = fields.Function(lambda version: "functions" in version.folders, metadata=BOOLEAN)
    has_migrations = fields.Function(lambda version: "migrations" in version.folders, metadata=BOOLEAN)
    has_seeders = fields.Function(lambda version: "seeders" in version.folders, metadata=BOOLEAN)
    checksum = fields.String()
    stored_at = Timestamp()


class SchemaVersionShape(Shape):
    """A version of a schema in its history; made from a SchemaVersion."""

    checksum = fields.String()
    stored_at = Timestamp()
    sent_by = fields.String(allow_none=True)
    request_id = fields.String()


class SchemaDatabaseShape(Shape):
    """A database of a stored schema; made from a ManagedDatabase."""

    id = fields.String(attribute="owner.database_id")
    database_name = fields.String(attribute="name")
    schema_name = fields.String(attribute="owner.schema_name")
    created_at = Timestamp(allow_none=True)


class DatabaseStatusShape(Shape):
    """The state of one database; made from a DatabaseStatus."""

    sometimes = frozenset({"checksum", "request_id"})

    database_name = fields.String(attribute="database.name")
    database_id = fields.String(attribute="database.owner.database_id", allow_none=True)
    tenant_id = fields.String(attribute="database.owner.tenant_id", allow_none=True)
    state = fields.String()
    version = fields.Integer(allow_none=True)
    checksum = fields.String(attribute="inspection.schema_checksum", allow_none=True)
    deployed_at = fields.Function(
        lambda one: one.inspection and format_time(one.inspection.deployed_at), metadata=TEXT_OR_NULL
    )
    request_id = fields.String(attribute="inspection.request_id", allow_none=True)
    error = fields.Function(lambda one: one.error and one.error.text, metadata=TEXT_OR_NULL)


class AlikeDatabasesShape(Shape):
    """Databases in one state; made from AlikeDatabases."""

    databases = fields.List(fields.String(), attribute="names")
    count = fields.Function(lambda group: len(group.names), metadata=INTEGER)
    state = fields.String()
    version = fields.Integer(allow_none=True)
    differences = fields.List(fields.String())


class SchemaStatusShape(Shape):
    """The databases of one schema; made from a SchemaStatus."""

    schema_name = fields.String(allow_none=True)
    version = fields.Integer(allow_none=True)
    checksum = fields.String(allow_none=True)
    databases = fields.List(fields.Nested(DatabaseStatusShape))
    groups = fields.List(fields.Nested(AlikeDatabasesShape))
    count = fields.Function(lambda status: len(status.databases), metadata=INTEGER)


class PlannedGroupShape(Shape):
    """Databases in which a migration would do the same; made from a PlannedGroup."""

    sometimes = frozenset({"plan", "schema_validation"})

    databases = fields.List(fields.String())
    count = fields.Function(lambda group: len(group.databases), metadata=INTEGER)
    status = fields.String(attribute="example.status")
    plan = fields.List(fields.Nested(PlannedStatementShape), attribute="example.report.plan")
    schema_validation = fields.Nested(ValidationShape, attribute="example.report.schema_validation")
    error = fields.Function(lambda group: group.example.error and group.example.error.text, metadata=TEXT_OR_NULL)
    tried_ms = fields.Integer(allow_none=True)


class UndoneDatabaseShape(Shape):
    """The result of an undo for one database; made from an UndoneDatabase."""

    database = fields.String()
    status = fields.String()
    kept_at = Timestamp(allow_none=True)
    message = fields.String(allow_none=True)


class LoggedDeployShape(Shape):
    """A deploy that is running or has ended; made from a LoggedDeploy."""

    id = fields.String()
    status = fields.String()
    platform = fields.String()
    schema_name = fields.String(allow_none=True)
    request_id = fields.String()
    dry_run = fields.Boolean()
    started_at = fields.String()
    ended_at = fields.String(allow_none=True)
    total = fields.Integer()
    done = fields.Integer()
    failed = fields.Function(
        lambda deploy: sum(status == "failed" for status in deploy.databases.values()), metadata=INTEGER
    )
    databases = fields.Dict(values=fields.String())


class PlatformShape(Shape):
    """A platform; made from a PlatformSummary."""

    name = fields.String()
    schemas = fields.Integer()
    databases = fields.Integer()


class CreateAnswer(Shape):
    """The created database; from a RegisteredDatabase. ``status``, ``platform`` and ``schema_name`` precede it."""

    database_name = fields.String(attribute="database")
    extensions_installed = fields.Integer(attribute="report.extensions_installed")
    types_deployed = fields.Integer(attribute="report.types_deployed")
    tables_created = fields.Integer(attribute="report.tables_created")
    migrations_applied = fields.Integer(attribute="report.migrations_applied")
    functions_deployed = fields.Integer(attribute="report.functions_deployed")
    seeders = fields.List(fields.Nested(SeederShape), attribute="report.seeders")
    warnings = fields.List(fields.String(), attribute="report.warnings")
    differences = fields.List(fields.String(), attribute="report.differences")
    execution_time_ms = fields.Integer()

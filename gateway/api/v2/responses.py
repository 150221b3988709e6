"""What version 2 answers."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.api.responses import PlannedStatementShape, SeederShape, ValidationShape, moment


class StoredSchemaShape(Schema):
    """What a version of a schema has; made from a SchemaVersion."""

    has_tables = fields.Function(lambda version: "tables" in version.folders)
    has_functions = fields.Function(lambda version: "functions" in version.folders)
    has_migrations = fields.Function(lambda version: "migrations" in version.folders)
    has_seeders = fields.Function(lambda version: "seeders" in version.folders)
    checksum = fields.String()
    stored_at = fields.Function(lambda version: moment(version.stored_at))


class SchemaVersionShape(Schema):
    """A version of a schema in its history; made from a SchemaVersion."""

    checksum = fields.String()
    stored_at = fields.Function(lambda version: moment(version.stored_at))
    sent_by = fields.String()
    request_id = fields.String()


class SchemaDatabaseShape(Schema):
    """A database of a stored schema; made from a ManagedDatabase."""

    id = fields.String(attribute="owner.database_id")
    database_name = fields.String(attribute="name")
    schema_name = fields.String(attribute="owner.schema_name")
    created_at = fields.Function(lambda database: moment(database.created_at))


class DatabaseStatusShape(Schema):
    """What one database is at; made from a DatabaseStatus."""

    database_name = fields.String(attribute="database.name")
    database_id = fields.String(attribute="database.owner.database_id")
    tenant_id = fields.String(attribute="database.owner.tenant_id")
    state = fields.String()
    version = fields.Integer()
    checksum = fields.String(attribute="inspection.schema_checksum")
    deployed_at = fields.Function(lambda one: one.inspection and moment(one.inspection.deployed_at))
    request_id = fields.String(attribute="inspection.request_id")
    error = fields.Function(lambda one: one.error and one.error.message)


class AlikeDatabasesShape(Schema):
    """Databases in one state; made from AlikeDatabases."""

    databases = fields.List(fields.String(), attribute="names")
    count = fields.Function(lambda group: len(group.names))
    state = fields.String()
    version = fields.Integer()
    differences = fields.List(fields.String())


class SchemaStatusShape(Schema):
    """The databases of one schema; made from a SchemaStatus."""

    schema_name = fields.String()
    version = fields.Integer()
    checksum = fields.String()
    databases = fields.List(fields.Nested(DatabaseStatusShape))
    groups = fields.List(fields.Nested(AlikeDatabasesShape))
    count = fields.Function(lambda status: len(status.databases))


class PlannedGroupShape(Schema):
    """Databases in which a migration would do the same; made from a PlannedGroup."""

    databases = fields.List(fields.String())
    count = fields.Function(lambda group: len(group.databases))
    status = fields.String(attribute="example.status")
    plan = fields.List(fields.Nested(PlannedStatementShape), attribute="example.report.plan")
    schema_validation = fields.Nested(ValidationShape, attribute="example.report.schema_validation")
    error = fields.Function(lambda group: group.example.error and group.example.error.message)
    tried_ms = fields.Integer()


class UndoneDatabaseShape(Schema):
    """What became of a database that was to be put back; made from an UndoneDatabase."""

    database = fields.String()
    status = fields.String()
    kept_at = fields.Function(lambda one: moment(one.kept_at))
    message = fields.Function(lambda one: one.error and one.error.message)


class LoggedDeployShape(Schema):
    """A migration that is under way or has ended; made from a LoggedDeploy."""

    id = fields.String()
    status = fields.String()
    platform = fields.String()
    schema_name = fields.String()
    request_id = fields.String()
    dry_run = fields.Boolean()
    started_at = fields.String()
    ended_at = fields.String()
    total = fields.Integer()
    done = fields.Function(lambda deploy: len(deploy.databases))
    failed = fields.Function(lambda deploy: sum(status == "failed" for status in deploy.databases.values()))
    databases = fields.Dict()


class PlatformShape(Schema):
    """A platform; made from a PlatformSummary."""

    name = fields.String()
    schemas = fields.Integer()
    databases = fields.Integer()


class CreateAnswer(Schema):
    """What was made; from a RegisteredDatabase. ``status``, ``platform`` and ``schema_name`` come before it."""

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

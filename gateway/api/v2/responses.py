"""What version 2 answers."""

from __future__ import annotations

from marshmallow import Schema, fields

from gateway.api.responses import SeederShape, moment


class StoredSchemaShape(Schema):
    """What a version of a schema has; made from a SchemaVersion."""

    has_tables = fields.Function(lambda version: "tables" in version.folders)
    has_functions = fields.Function(lambda version: "functions" in version.folders)
    has_migrations = fields.Function(lambda version: "migrations" in version.folders)
    has_seeders = fields.Function(lambda version: "seeders" in version.folders)
    checksum = fields.String()
    stored_at = fields.Function(lambda version: moment(version.stored_at))


class SchemaDatabaseShape(Schema):
    """A database of a stored schema; made from a ManagedDatabase."""

    id = fields.String(attribute="owner.database_id")
    database_name = fields.String(attribute="name")
    schema_name = fields.String(attribute="owner.schema_name")
    created_at = fields.Function(lambda database: moment(database.created_at))


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
    execution_time_ms = fields.Integer()

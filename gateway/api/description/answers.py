"""The bodies of successful answers that views compose from smaller shapes."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields

from gateway.api.admin import DatabaseShape
from gateway.api.responses import Shape
from gateway.api.v1.responses import MigrateAnswer
from gateway.api.v2.responses import (
    CreateAnswer,
    LoggedDeployShape,
    PlannedGroupShape,
    PlatformShape,
    SchemaDatabaseShape,
    SchemaStatusShape,
    SchemaVersionShape,
    StoredSchemaShape,
    UndoneDatabaseShape,
)

_ROWS: Final[dict[str, Any]] = {"description": "The rows as PostgreSQL renders them; the columns keep their order."}


class HealthAnswer(Shape):
    """The answer of ``/health``."""

    status = fields.String(metadata={"enum": ["healthy", "degraded"]})
    version = fields.String()
    postgres_connected = fields.Boolean()
    active_pools = fields.Integer()
    total_connections = fields.Integer()
    max_total_connections = fields.Integer()
    uptime_seconds = fields.Integer()


class StatusAnswer(Shape):
    """The answer of ``/health/live`` and ``/health/ready``."""

    status = fields.String(metadata={"enum": ["alive", "ready"]})


class RowsAnswer(Shape):
    """The answer of ``/call``."""

    rows = fields.List(fields.Dict(), metadata=_ROWS)
    row_count = fields.Integer()
    execution_time_ms = fields.Integer()


class QueryRowsAnswer(RowsAnswer):
    """The answer of ``/query``."""

    sometimes = frozenset({"rows_affected"})

    rows_affected = fields.Integer(metadata={"description": "Only of a statement that changes rows."})


class DatabasesAnswer(Shape):
    """The answer of ``/admin/databases``."""

    platform = fields.String()
    databases = fields.List(fields.Nested(DatabaseShape))
    count = fields.Integer()


class TenantAnswer(Shape):
    """The answer of ``/admin/create-tenant``."""

    status = fields.String(metadata={"enum": ["created"]})
    database = fields.String()
    message = fields.String()


class TenantDatabaseAnswer(Shape):
    """The answer of ``/admin/create-tenant-db``."""

    database = fields.String()
    created = fields.Boolean()


class DropAnswer(Shape):
    """The answer of ``/admin/drop-database``."""

    status = fields.String(metadata={"enum": ["dropped"]})
    database = fields.String()


class PlatformAnswer(Shape):
    """The answer of ``/platform/register``."""

    status = fields.String(metadata={"enum": ["registered"]})
    platform = fields.String()
    message = fields.String()


class UploadAnswer(StoredSchemaShape):
    """The answer of an upload of a schema."""

    status = fields.String(metadata={"enum": ["registered"]})
    platform = fields.String()
    schema_name = fields.String()
    warnings = fields.List(fields.String())


class NumberedVersionShape(SchemaVersionShape):
    """A version of a stored schema, with its number."""

    version = fields.Integer()


class ListedSchemaShape(StoredSchemaShape):
    """A stored schema in the list of a platform's."""

    name = fields.String()
    versions = fields.List(fields.Nested(NumberedVersionShape))


class SchemasAnswer(Shape):
    """The answer of ``/platform/{platform}/schemas``."""

    platform = fields.String()
    schemas = fields.List(fields.Nested(ListedSchemaShape))
    count = fields.Integer()


class SchemaDatabasesAnswer(Shape):
    """The answer of ``/platform/{platform}/databases``."""

    platform = fields.String()
    databases = fields.List(fields.Nested(SchemaDatabaseShape))
    count = fields.Integer()


class PlatformsAnswer(Shape):
    """The answer of ``/platforms``."""

    platforms = fields.List(fields.Nested(PlatformShape))
    count = fields.Integer()


class CreatedAnswer(CreateAnswer):
    """The answer of ``/database/create``."""

    status = fields.String(metadata={"enum": ["created"]})
    platform = fields.String()
    schema_name = fields.String()
    database_id = fields.String()


class StoredMigrationAnswer(MigrateAnswer):
    """The answer of ``/v2/migrate``."""

    sometimes = frozenset({"groups", "estimated_ms"})

    platform = fields.String()
    schema_name = fields.String()
    databases_skipped = fields.List(fields.String())
    groups = fields.List(fields.Nested(PlannedGroupShape), metadata={"description": "Only of a dry run."})
    estimated_ms = fields.Integer(allow_none=True, metadata={"description": "Only of a dry run."})


class UndoAnswer(Shape):
    """The answer of ``/v2/undo``."""

    status = fields.String(metadata={"enum": ["completed"]})
    platform = fields.String()
    schema_name = fields.String()
    databases = fields.List(fields.Nested(UndoneDatabaseShape))


class FleetAnswer(Shape):
    """The answer of ``/platform/{platform}/status``."""

    platform = fields.String()
    schemas = fields.List(fields.Nested(SchemaStatusShape))


class DeploysAnswer(Shape):
    """The answer of ``/admin/deploys``."""

    deploys = fields.List(fields.Nested(LoggedDeployShape))
    count = fields.Integer()

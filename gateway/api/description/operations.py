"""The descriptions of all routes: summary, request, answer and errors of each row of the table of routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, fields

from gateway.api.admin import CopyTenantRequest, CreateTenantRequest, DropRequest, ListRequest
from gateway.api.description import answers
from gateway.api.v1.requests import CallRequest, DeployForm, QueryBody
from gateway.api.v1.responses import MigrateAnswer, RegisterAnswer
from gateway.api.v2.requests import (
    CreateRequest,
    DatabasesQuery,
    MigrateRequest,
    PlatformRequest,
    SchemaForm,
    UndoBody,
)

V1, V2, ADMIN, PAGES, HEALTH, SELF = TAGS = (
    "Version 1", "Version 2", "Administration", "Operator's page", "Health and metrics", "Description"
)  # fmt: skip

#: Error codes of several routes, besides those that follow from their rows in the table of routes.
_DATABASE: Final = ("database_name_conflict", "connection_failed", "pool_exhausted")
_CALL: Final = (*_DATABASE, "database_not_found", "query_failed", "query_timeout")
_DEPLOY: Final = (
    *_DATABASE, "schema_extraction_failed", "extension_not_available", "extension_install_failed", "migration_failed",
    "function_deploy_failed", "storage_failed",
)  # fmt: skip
_STORED: Final = ("platform_not_found", "schema_not_found", "storage_failed")
_PARAMS: Final[dict[str, Any]] = {
    "oneOf": [{"type": "array"}, {"type": "object", "additionalProperties": True}],
    "description": "Values by position, or by the names of the function's parameters. None without it.",
}


class CallBody(CallRequest):
    """The body of ``/call``, with ``params``."""

    params = fields.Raw(metadata=_PARAMS)


class QueryRequestBody(QueryBody):
    """The body of ``/query``, with ``params``."""

    params = fields.List(fields.Raw(), metadata={"description": "The values of $1, $2 … in their order."})


class MigrateAllRequest(MigrateRequest):
    """The body of ``/v2/migrate-all``."""

    class Meta(MigrateRequest.Meta):
        """marshmallow's options."""

        exclude = ("database_id", "uuid", "database_ids")


class TryCallForm(CallRequest):
    """The form of ``/admin/pages/call``."""

    params = fields.String(metadata={"description": "A JSON list or object."})
    token = fields.String(required=True, metadata={"description": "The hidden field of the page's form."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The description of a route.

    :ivar body: of a JSON request
    :ivar form: of a multipart form
    :ivar page_form: of an HTML form
    :ivar query: the query string
    :ivar answer: of success; None for one that is not JSON
    :ivar media_type: of success
    :ivar lines: whether the answer is lines of JSON on request
    :ivar is_200_for_php: whether its success is 200 with PHP_CLIENT_COMPATIBILITY
    :ivar conflicts: codes with the status 409 here and another one elsewhere
    :ivar errors: further error codes
    :ivar example: of the body, the form or the query string
    :ivar answer_example: of the answer
    """

    tag: str
    summary: str
    text: str = ""
    body: Schema | None = None
    form: Schema | None = None
    page_form: Schema | None = None
    query: Schema | None = None
    status: int = 200
    answer: Schema | None = None
    media_type: str = "application/json"
    lines: bool = False
    is_200_for_php: bool = False
    conflicts: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    example: Mapping[str, Any] | None = None
    answer_example: Mapping[str, Any] | None = None


_VALIDATION: Final[dict[str, Any]] = {"safe_changes": [], "dataloss_changes": [], "incompatible_changes": []}
_VERIFICATION: Final = {
    "passed": True, "extensions_verified": True, "types_verified": True, "tables_verified": True,
    "functions_verified": True, "seeders_verified": True, "error_log": [],
}  # fmt: skip
_MIGRATED: Final = {
    "status": "completed", "databases_updated": ["myapp_main"], "migrations_applied": 1, "functions_updated": 2,
    "tables_created": 0, "seeder_validations": [{"table": "roles", "expected": 3, "found": 3}],
    "schema_validation": _VALIDATION, "verification": _VERIFICATION,
    "databases": [{
        "database": "myapp_main", "status": "completed", "migrations_applied": 1, "functions_updated": 2,
        "functions_dropped": 0, "tables_created": 0, "seeder_validations": [], "schema_validation": _VALIDATION,
        "verification": _VERIFICATION, "satisfied_statements": [], "warnings": [], "differences": [], "plan": [],
        "error": None,
    }],
    "execution_time_ms": 240, "dry_run": False, "warnings": [],
}  # fmt: skip
_CALLED: Final = {"rows": [{"id": 1, "title": "Buy milk"}], "row_count": 1, "execution_time_ms": 2}
_STORED_DATABASE: Final = {"platform": "myapp", "schema_name": "tenant_db", "database_id": "store_001"}
_CREATED: Final = {
    "status": "created", **_STORED_DATABASE, "database_name": "myapp_tenant_db_store_001", "extensions_installed": 0,
    "types_deployed": 1, "tables_created": 5, "migrations_applied": 0, "functions_deployed": 12,
    "seeders": [{"table": "roles", "inserted": 3, "skipped": 0}], "warnings": [], "differences": [],
    "execution_time_ms": 90,
}  # fmt: skip
_PLATFORMS: Final = {"platforms": [{"name": "myapp", "schemas": 2, "databases": 5}], "count": 1}
_CREATE: Final = Operation(
    tag=V2,
    summary="Create a database of a stored schema",
    body=CreateRequest(),
    status=201,
    answer=answers.CreatedAnswer(),
    is_200_for_php=True,
    errors=(*_DEPLOY, *_STORED, "database_already_exists"),
    example=_STORED_DATABASE,
    answer_example=_CREATED,
)

#: By method and path, as the table of routes has them.
OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/health"): Operation(
        tag=HEALTH,
        summary="State of the gateway",
        text="Answers within a second, and with 200 even if PostgreSQL is unreachable; then `status` is `degraded`.",
        answer=answers.HealthAnswer(),
        answer_example={
            "status": "healthy", "version": "2.0.0", "postgres_connected": True, "active_pools": 12,
            "total_connections": 31, "max_total_connections": 200, "uptime_seconds": 86400,
        },
    ),
    ("GET", "/health/live"): Operation(
        tag=HEALTH,
        summary="Liveness of the process",
        answer=answers.StatusAnswer(),
        answer_example={"status": "alive"},
    ),
    ("GET", "/health/ready"): Operation(
        tag=HEALTH,
        summary="Readiness to serve requests",
        text="503 `connection_failed` while PostgreSQL does not answer.",
        answer=answers.StatusAnswer(),
        errors=("connection_failed",),
        answer_example={"status": "ready"},
    ),
    ("GET", "/metrics"): Operation(
        tag=HEALTH, summary="Metrics for Prometheus, summed over all workers", media_type="text/plain"
    ),
    ("GET", "/openapi.json"): Operation(tag=SELF, summary="This document"),
    ("GET", "/docs"): Operation(tag=SELF, summary="This document as a page", media_type="text/html"),
    ("POST", "/call"): Operation(
        tag=V1,
        summary="Call a function",
        text="PostgreSQL converts the values to the types of the parameters, and the rows to JSON.",
        body=CallBody(),
        answer=answers.RowsAnswer(),
        errors=(*_CALL, "function_not_found"),
        example={"platform": "myapp", "tenant_id": "clinic-001", "function": "list_notes", "params": {"author": 7}},
        answer_example=_CALLED,
    ),
    ("POST", "/query"): Operation(
        tag=V1,
        summary="Run one statement with bound values",
        text="Only for a platform that has an API key. Every use is logged.",
        body=QueryRequestBody(),
        answer=answers.QueryRowsAnswer(),
        errors=_CALL,
        example={"platform": "myapp", "query": "SELECT id, title FROM notes WHERE id = $1", "params": [1]},
        answer_example=_CALLED,
    ),
    ("POST", "/register"): Operation(
        tag=V1,
        summary="Deploy a schema to one database, and create the database if it is missing",
        text="Containers send it at every start. It is idempotent.",
        form=DeployForm(""),
        answer=RegisterAnswer(),
        errors=_DEPLOY,
        example={"platform": "myapp", "tenant_id": "clinic-001", "schema": "schema.tar.gz"},
        answer_example={
            "status": "ready", "database": "myapp_clinic_001", "created": True, "extensions_installed": 0,
            "types_deployed": 1, "tables_created": 5, "migrations_applied": 2, "functions_deployed": 12,
            "functions_skipped": 0, "functions_dropped": 0,
            "seeders": [{"table": "roles", "inserted": 3, "skipped": 0}], "schema_validation": _VALIDATION,
            "verification": _VERIFICATION, "execution_time_ms": 310, "dry_run": False, "satisfied_statements": [],
            "warnings": [], "differences": [], "plan": [],
        },
    ),
    ("POST", "/migrate"): Operation(
        tag=V1,
        summary="Deploy a schema to the database of a tenant, or to all databases of a platform",
        text="The first database is deployed alone. If a database fails, the answer is 409 and lists the updated, "
        "failed and skipped databases.",
        form=DeployForm(""),
        answer=MigrateAnswer(),
        errors=(*_DEPLOY, "database_not_found"),
        example={"platform": "myapp", "schema": "schema.tar.gz", "dry_run": True},
        answer_example=_MIGRATED,
    ),
    ("POST", "/platform/register"): Operation(
        tag=V2,
        summary="Register a platform",
        body=PlatformRequest(),
        status=201,
        answer=answers.PlatformAnswer(),
        is_200_for_php=True,
        conflicts=("invalid_request",),
        errors=("storage_failed",),
        example={"platform": "myapp"},
        answer_example={"status": "registered", "platform": "myapp", "message": "Platform registered. …"},
    ),
    ("POST", "/platform/<platform>/schema"): Operation(
        tag=V2,
        summary="Store a schema",
        text="It becomes the current version. No database is changed.",
        form=SchemaForm(platform="", sent_by=None, request_id=""),
        status=201,
        answer=answers.UploadAnswer(),
        is_200_for_php=True,
        errors=(*_DEPLOY, *_STORED),
        example={"schema_name": "tenant_db", "schema": "tenant_db.tar.gz"},
        answer_example={
            "status": "registered", "platform": "myapp", "schema_name": "tenant_db", "has_tables": True,
            "has_functions": True, "has_migrations": True, "has_seeders": False, "checksum": "9f86d081884c7d65…",
            "stored_at": "2026-01-31T08:00:00Z", "warnings": [],
        },
    ),
    ("GET", "/platform/<platform>/schemas"): Operation(
        tag=V2,
        summary="List a platform's stored schemas, with all their versions",
        answer=answers.SchemasAnswer(),
        errors=_STORED,
        answer_example={"platform": "myapp", "schemas": [], "count": 0},
    ),
    ("GET", "/platform/<platform>/databases"): Operation(
        tag=V2,
        summary="List the databases made of a platform's stored schemas, or of one",
        query=DatabasesQuery(),
        answer=answers.SchemaDatabasesAnswer(),
        errors=(*_DATABASE, *_STORED),
        example={"schema": "tenant_db"},
        answer_example={
            "platform": "myapp", "count": 1,
            "databases": [{
                "id": "store_001", "database_name": "myapp_tenant_db_store_001", "schema_name": "tenant_db",
                "created_at": "2026-01-31T08:00:00Z",
            }],
        },
    ),
    ("GET", "/platform/<platform>/status"): Operation(
        tag=V2,
        summary="Version and drift of every database of a platform",
        text="Queries every database. A `drifted` database was changed since its last deploy.",
        query=DatabasesQuery(),
        answer=answers.FleetAnswer(),
        errors=(*_DATABASE, *_STORED),
        example={"schema": "tenant_db"},
        answer_example={"platform": "myapp", "schemas": []},
    ),
    ("GET", "/platforms"): Operation(
        tag=V2,
        summary="List the registered platforms",
        answer=answers.PlatformsAnswer(),
        errors=(*_DATABASE, "storage_failed"),
        answer_example=_PLATFORMS,
    ),
    ("POST", "/database/create"): _CREATE,
    ("POST", "/v2/migrate"): Operation(
        tag=V2,
        summary="Migrate one database, or all of a stored schema, to its current version",
        text="With `Accept: application/x-ndjson` the answer has a line for each database when it is done, and a "
        "summary in the last line.",
        body=MigrateRequest(""),
        answer=answers.StoredMigrationAnswer(),
        lines=True,
        errors=(*_DEPLOY, *_STORED, "database_not_found"),
        example={"platform": "myapp", "schema_name": "tenant_db", "dry_run": True},
        answer_example={
            **_MIGRATED, "platform": "myapp", "schema_name": "tenant_db", "databases_skipped": [],
        },
    ),
    ("POST", "/v2/migrate-all"): Operation(
        tag=V2,
        summary="Migrate all databases of a stored schema",
        body=MigrateAllRequest(""),
        answer=answers.StoredMigrationAnswer(),
        lines=True,
        errors=(*_DEPLOY, *_STORED, "database_not_found"),
        example={"platform": "myapp", "schema_name": "tenant_db"},
        answer_example={
            **_MIGRATED, "platform": "myapp", "schema_name": "tenant_db", "databases_skipped": [],
        },
    ),
    ("POST", "/v2/undo"): Operation(
        tag=V2,
        summary="Restore databases from the copies that a migration with `undo` kept",
        body=UndoBody(),
        answer=answers.UndoAnswer(),
        errors=(*_DATABASE, *_STORED, "migration_failed", "database_not_found"),
        example={"platform": "myapp", "schema_name": "tenant_db", "only": ["store_001"]},
        answer_example={"status": "completed", "platform": "myapp", "schema_name": "tenant_db", "databases": []},
    ),
    ("GET", "/admin/databases"): Operation(
        tag=ADMIN,
        summary="List the databases of a platform, of both versions",
        query=ListRequest(),
        answer=answers.DatabasesAnswer(),
        errors=_DATABASE,
        example={"platform": "myapp"},
        answer_example={"platform": "myapp", "databases": [], "count": 0},
    ),
    ("GET", "/admin/deploys"): Operation(
        tag=ADMIN,
        summary="List the running and the last hundred deploys, newest first",
        answer=answers.DeploysAnswer(),
        answer_example={"deploys": [], "count": 0},
    ),
    ("GET", "/admin/platforms"): Operation(
        tag=ADMIN,
        summary="List the registered platforms",
        answer=answers.PlatformsAnswer(),
        errors=(*_DATABASE, "storage_failed"),
        answer_example=_PLATFORMS,
    ),
    ("POST", "/admin/create-tenant"): Operation(
        tag=ADMIN,
        summary="Create an empty database for a tenant",
        body=CreateTenantRequest(),
        status=201,
        answer=answers.TenantAnswer(),
        errors=(*_DATABASE, "database_already_exists"),
        example={"platform": "myapp", "tenant_id": "clinic-001"},
        answer_example={"status": "created", "database": "myapp_clinic_001", "message": "Database … created. …"},
    ),
    ("POST", "/admin/create-tenant-db"): Operation(
        tag=ADMIN,
        summary="Create a database for a tenant, empty or as a copy of a template",
        body=CopyTenantRequest(),
        status=201,
        answer=answers.TenantDatabaseAnswer(),
        errors=(*_DATABASE, "database_already_exists", "database_not_found"),
        example={"platform": "myapp", "tenant_id": "clinic-002", "template": "myapp_clinic_001"},
        answer_example={"database": "myapp_clinic_002", "created": True},
    ),
    ("POST", "/admin/drop-database"): Operation(
        tag=ADMIN,
        summary="Drop a database and everything in it",
        text="Only with the admin key. `confirm` repeats the name of the database.",
        body=DropRequest(),
        answer=answers.DropAnswer(),
        errors=(*_DATABASE, "database_not_found"),
        example={"platform": "myapp", "tenant_id": "clinic-002", "confirm": "myapp_clinic_002"},
        answer_example={"status": "dropped", "database": "myapp_clinic_002"},
    ),
    ("POST", "/admin/database/create"): Operation(
        tag=ADMIN,
        summary="Create a database of a stored schema, with the statuses that older PHP clients know",
        body=CreateRequest(),
        answer=answers.CreatedAnswer(),
        conflicts=("database_already_exists",),
        errors=(*_DEPLOY, *_STORED),
        example=_STORED_DATABASE,
        answer_example=_CREATED,
    ),
    ("GET", "/admin/"): Operation(
        tag=PAGES,
        summary="Overview: connections, functions, platforms",
        text="Off with ADMIN_PAGE=off. A browser sends the admin key as the password of HTTP Basic.",
        media_type="text/html",
    ),
    ("GET", "/admin/pages/platform/<platform>"): Operation(
        tag=PAGES,
        summary="The databases of a platform, with version, size and drift",
        media_type="text/html",
        errors=(*_DATABASE, *_STORED),
    ),
    ("GET", "/admin/pages/deploys"): Operation(
        tag=PAGES, summary="Running and ended deploys", media_type="text/html"
    ),
    ("GET", "/admin/pages/deploys/<deploy>"): Operation(
        tag=PAGES, summary="Report of a deploy", media_type="text/html"
    ),
    ("GET", "/admin/pages/call"): Operation(
        tag=PAGES, summary="The form for a call", media_type="text/html"
    ),
    ("POST", "/admin/pages/call"): Operation(
        tag=PAGES,
        summary="Call a function from the form",
        page_form=TryCallForm(),
        media_type="text/html",
        errors=(*_CALL, "function_not_found"),
        example={"platform": "myapp", "function": "list_notes", "params": "[]", "token": "…"},
    ),
}  # fmt: skip

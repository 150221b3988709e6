"""The descriptions of all routes: summary, request, answer and errors of each row of the table of routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marshmallow import Schema

from gateway.api.admin import CopyTenantRequest, CreateTenantRequest, DropRequest, ListRequest
from gateway.api.description import answers, requests
from gateway.api.v1.requests import DeployForm
from gateway.api.v1.responses import MigrateAnswer, RegisterAnswer
from gateway.api.v2.requests import (
    CreateRequest,
    DatabasesQuery,
    MigrateRequest,
    PlatformRequest,
    SchemaForm,
    UndoBody,
)

TAGS: Final = (
    "Version 1", "Version 2", "Administration", "Operator's page", "Health and metrics", "Description"
)  # fmt: skip
V1, V2, ADMIN, PAGES, HEALTH, SELF = TAGS

#: Error codes of several routes, besides those that follow from their rows in the table of routes.
_DATABASE: Final = ("database_name_conflict", "connection_failed", "pool_exhausted")
_CALL: Final = (*_DATABASE, "database_not_found", "query_failed", "query_timeout")
_DEPLOY: Final = (
    *_DATABASE, "schema_extraction_failed", "extension_not_available", "extension_install_failed", "migration_failed",
    "function_deploy_failed", "storage_failed",
)  # fmt: skip
_STORED: Final = ("platform_not_found", "schema_not_found", "storage_failed")


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


#: By method and path, as the table of routes has them.
OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/health"): Operation(
        tag=HEALTH,
        summary="State of the gateway",
        text="Answers within a second, and with 200 even if PostgreSQL is unreachable or refuses new connections; "
        "then `status` is `degraded`.",
        answer=answers.HealthAnswer(),
    ),
    ("GET", "/health/live"): Operation(
        tag=HEALTH,
        summary="Liveness of the process",
        answer=answers.StatusAnswer(),
    ),
    ("GET", "/health/ready"): Operation(
        tag=HEALTH,
        summary="Readiness to serve requests",
        text="503 `connection_failed` while PostgreSQL does not answer.",
        answer=answers.StatusAnswer(),
        errors=("connection_failed",),
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
        body=requests.CallBody(),
        answer=answers.RowsAnswer(),
        errors=(*_CALL, "function_not_found"),
    ),
    ("POST", "/query"): Operation(
        tag=V1,
        summary="Run one statement with bound values",
        text="Only for a platform that has an API key. Every use is logged.",
        body=requests.QueryRequestBody(),
        answer=answers.QueryRowsAnswer(),
        errors=_CALL,
    ),
    ("POST", "/register"): Operation(
        tag=V1,
        summary="Deploy a schema to one database, and create the database if it is missing",
        text="Containers send it at every start. It is idempotent.",
        form=DeployForm(""),
        answer=RegisterAnswer(),
        errors=_DEPLOY,
    ),
    ("POST", "/migrate"): Operation(
        tag=V1,
        summary="Deploy a schema to the database of a tenant, or to all databases of a platform",
        text="The first database is deployed alone. If a database fails, the answer is 409 and lists the updated, "
        "failed and skipped databases.",
        form=DeployForm(""),
        answer=MigrateAnswer(),
        errors=(*_DEPLOY, "database_not_found"),
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
    ),
    ("GET", "/platform/<platform>/schemas"): Operation(
        tag=V2,
        summary="List a platform's stored schemas, with all their versions",
        answer=answers.SchemasAnswer(),
        errors=_STORED,
    ),
    ("GET", "/platform/<platform>/databases"): Operation(
        tag=V2,
        summary="List the databases made of a platform's stored schemas, or of one",
        query=DatabasesQuery(),
        answer=answers.SchemaDatabasesAnswer(),
        errors=(*_DATABASE, *_STORED),
    ),
    ("GET", "/platform/<platform>/status"): Operation(
        tag=V2,
        summary="Version and drift of every database of a platform",
        text="Queries every database. A `drifted` database was changed since its last deploy, "
        "or that deploy left it different from a new one.",
        query=DatabasesQuery(),
        answer=answers.FleetAnswer(),
        errors=(*_DATABASE, *_STORED),
    ),
    ("GET", "/platforms"): Operation(
        tag=V2,
        summary="List the registered platforms",
        answer=answers.PlatformsAnswer(),
        errors=(*_DATABASE, "storage_failed"),
    ),
    ("POST", "/database/create"): Operation(
        tag=V2,
        summary="Create a database of a stored schema",
        body=CreateRequest(),
        status=201,
        answer=answers.CreatedAnswer(),
        is_200_for_php=True,
        errors=(*_DEPLOY, *_STORED, "database_already_exists"),
    ),
    ("POST", "/v2/migrate"): Operation(
        tag=V2,
        summary="Migrate one database, or all of a stored schema, to its current version",
        text="With `Accept: application/x-ndjson` the answer has a line for each database when it is done, and a "
        "summary in the last line.",
        body=MigrateRequest(""),
        answer=answers.StoredMigrationAnswer(),
        lines=True,
        errors=(*_DEPLOY, *_STORED, "database_not_found"),
    ),
    ("POST", "/v2/migrate-all"): Operation(
        tag=V2,
        summary="Migrate all databases of a stored schema",
        body=requests.MigrateAllRequest(""),
        answer=answers.StoredMigrationAnswer(),
        lines=True,
        errors=(*_DEPLOY, *_STORED, "database_not_found"),
    ),
    ("POST", "/v2/undo"): Operation(
        tag=V2,
        summary="Restore databases from the copies that a migration with `undo` kept",
        body=UndoBody(),
        answer=answers.UndoAnswer(),
        errors=(*_DATABASE, *_STORED, "migration_failed", "database_not_found"),
    ),
    ("GET", "/admin/databases"): Operation(
        tag=ADMIN,
        summary="List the databases of a platform, of both versions",
        query=ListRequest(),
        answer=answers.DatabasesAnswer(),
        errors=_DATABASE,
    ),
    ("GET", "/admin/deploys"): Operation(
        tag=ADMIN,
        summary="List the running and the last hundred deploys, newest first",
        answer=answers.DeploysAnswer(),
    ),
    ("GET", "/admin/platforms"): Operation(
        tag=ADMIN,
        summary="List the registered platforms",
        answer=answers.PlatformsAnswer(),
        errors=(*_DATABASE, "storage_failed"),
    ),
    ("POST", "/admin/create-tenant"): Operation(
        tag=ADMIN,
        summary="Create an empty database for a tenant",
        body=CreateTenantRequest(),
        status=201,
        answer=answers.TenantAnswer(),
        errors=(*_DATABASE, "database_already_exists"),
    ),
    ("POST", "/admin/create-tenant-db"): Operation(
        tag=ADMIN,
        summary="Create a database for a tenant, empty or as a copy of a template",
        body=CopyTenantRequest(),
        status=201,
        answer=answers.TenantDatabaseAnswer(),
        errors=(*_DATABASE, "database_already_exists", "database_not_found"),
    ),
    ("POST", "/admin/drop-database"): Operation(
        tag=ADMIN,
        summary="Drop a database and everything in it",
        text="Only with the admin key. `confirm` repeats the name of the database.",
        body=DropRequest(),
        answer=answers.DropAnswer(),
        errors=(*_DATABASE, "database_not_found"),
    ),
    ("POST", "/admin/database/create"): Operation(
        tag=ADMIN,
        summary="Create a database of a stored schema, with the statuses that older PHP clients know",
        body=CreateRequest(),
        answer=answers.CreatedAnswer(),
        conflicts=("database_already_exists",),
        errors=(*_DEPLOY, *_STORED),
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
        page_form=requests.TryCallForm(),
        media_type="text/html",
        errors=(*_CALL, "function_not_found"),
    ),
}  # fmt: skip

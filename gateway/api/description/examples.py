"""Examples of requests and answers, by method and path as the table of routes has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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
_MIGRATED_BY_SCHEMA: Final = {**_MIGRATED, "platform": "myapp", "schema_name": "tenant_db", "databases_skipped": []}
_CALLED: Final = {"rows": [{"id": 1, "title": "Buy milk"}], "row_count": 1, "execution_time_ms": 2}
_STORED_DATABASE: Final = {"platform": "myapp", "schema_name": "tenant_db", "database_id": "store_001"}
_CREATED: Final = {
    "status": "created", **_STORED_DATABASE, "database_name": "myapp_tenant_db_store_001", "extensions_installed": 0,
    "types_deployed": 1, "tables_created": 5, "migrations_applied": 0, "functions_deployed": 12,
    "seeders": [{"table": "roles", "inserted": 3, "skipped": 0}], "warnings": [], "differences": [],
    "execution_time_ms": 90,
}  # fmt: skip
_PLATFORMS: Final = {"platforms": [{"name": "myapp", "schemas": 2, "databases": 5}], "count": 1}

#: Bodies, forms and query strings.
REQUESTS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("POST", "/call"): {
        "platform": "myapp", "tenant_id": "clinic-001", "function": "list_notes", "params": {"author": 7},
    },
    ("POST", "/query"): {"platform": "myapp", "query": "SELECT id, title FROM notes WHERE id = $1", "params": [1]},
    ("POST", "/register"): {"platform": "myapp", "tenant_id": "clinic-001", "schema": "schema.tar.gz"},
    ("POST", "/migrate"): {"platform": "myapp", "schema": "schema.tar.gz", "dry_run": True},
    ("POST", "/platform/register"): {"platform": "myapp"},
    ("POST", "/platform/<platform>/schema"): {"schema_name": "tenant_db", "schema": "tenant_db.tar.gz"},
    ("GET", "/platform/<platform>/databases"): {"schema": "tenant_db"},
    ("GET", "/platform/<platform>/status"): {"schema": "tenant_db"},
    ("POST", "/database/create"): _STORED_DATABASE,
    ("POST", "/v2/migrate"): {"platform": "myapp", "schema_name": "tenant_db", "dry_run": True},
    ("POST", "/v2/migrate-all"): {"platform": "myapp", "schema_name": "tenant_db"},
    ("POST", "/v2/undo"): {"platform": "myapp", "schema_name": "tenant_db", "only": ["store_001"]},
    ("GET", "/admin/databases"): {"platform": "myapp"},
    ("POST", "/admin/create-tenant"): {"platform": "myapp", "tenant_id": "clinic-001"},
    ("POST", "/admin/create-tenant-db"): {
        "platform": "myapp", "tenant_id": "clinic-002", "template": "myapp_clinic_001",
    },
    ("POST", "/admin/drop-database"): {"platform": "myapp", "tenant_id": "clinic-002", "confirm": "myapp_clinic_002"},
    ("POST", "/admin/database/create"): _STORED_DATABASE,
    ("POST", "/admin/pages/call"): {"platform": "myapp", "function": "list_notes", "params": "[]", "token": "…"},
}  # fmt: skip

#: Bodies of success.
ANSWERS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("GET", "/health"): {
        "status": "healthy", "version": "2.0.0", "postgres_connected": True, "active_pools": 12,
        "total_connections": 31, "max_total_connections": 200, "uptime_seconds": 86400,
    },
    ("GET", "/health/live"): {"status": "alive"},
    ("GET", "/health/ready"): {"status": "ready"},
    ("POST", "/call"): _CALLED,
    ("POST", "/query"): _CALLED,
    ("POST", "/register"): {
        "status": "ready", "database": "myapp_clinic_001", "created": True, "extensions_installed": 0,
        "types_deployed": 1, "tables_created": 5, "migrations_applied": 2, "functions_deployed": 12,
        "functions_skipped": 0, "functions_dropped": 0,
        "seeders": [{"table": "roles", "inserted": 3, "skipped": 0}], "schema_validation": _VALIDATION,
        "verification": _VERIFICATION, "execution_time_ms": 310, "dry_run": False, "satisfied_statements": [],
        "warnings": [], "differences": [], "plan": [],
    },
    ("POST", "/migrate"): _MIGRATED,
    ("POST", "/platform/register"): {"status": "registered", "platform": "myapp", "message": "Platform registered. …"},
    ("POST", "/platform/<platform>/schema"): {
        "status": "registered", "platform": "myapp", "schema_name": "tenant_db", "has_tables": True,
        "has_functions": True, "has_migrations": True, "has_seeders": False, "checksum": "9f86d081884c7d65…",
        "stored_at": "2026-01-31T08:00:00Z", "warnings": [],
    },
    ("GET", "/platform/<platform>/schemas"): {"platform": "myapp", "schemas": [], "count": 0},
    ("GET", "/platform/<platform>/databases"): {
        "platform": "myapp", "count": 1,
        "databases": [{
            "id": "store_001", "database_name": "myapp_tenant_db_store_001", "schema_name": "tenant_db",
            "created_at": "2026-01-31T08:00:00Z",
        }],
    },
    ("GET", "/platform/<platform>/status"): {"platform": "myapp", "schemas": []},
    ("GET", "/platforms"): _PLATFORMS,
    ("POST", "/database/create"): _CREATED,
    ("POST", "/v2/migrate"): _MIGRATED_BY_SCHEMA,
    ("POST", "/v2/migrate-all"): _MIGRATED_BY_SCHEMA,
    ("POST", "/v2/undo"): {"status": "completed", "platform": "myapp", "schema_name": "tenant_db", "databases": []},
    ("GET", "/admin/databases"): {"platform": "myapp", "databases": [], "count": 0},
    ("GET", "/admin/deploys"): {"deploys": [], "count": 0},
    ("GET", "/admin/platforms"): _PLATFORMS,
    ("POST", "/admin/create-tenant"): {
        "status": "created", "database": "myapp_clinic_001", "message": "Database … created. …",
    },
    ("POST", "/admin/create-tenant-db"): {"database": "myapp_clinic_002", "created": True},
    ("POST", "/admin/drop-database"): {"status": "dropped", "database": "myapp_clinic_002"},
    ("POST", "/admin/database/create"): _CREATED,
}  # fmt: skip

"""Version 2: platforms are registered, schemas stored, databases made of them and migrated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.schemas import BROKEN_FUNCTION, COUNT_USERS, SHOP, USERS
from tests.support.running_gateway import Gateway, make_archive

STORES = {
    **SHOP,
    "migrations/001_email.pssql": "ALTER TABLE users ADD COLUMN email TEXT;\n",
}


@pytest.fixture
def registered(gateway: Gateway, platform: str) -> str:
    """A registered platform with a stored schema ``tenant_db``."""
    gateway.post_json("/platform/register", {"platform": platform})
    upload(gateway, platform, "tenant_db", SHOP)
    return platform


def upload(gateway: Gateway, platform: str, schema: str, files, **names: str):
    """Send the form as documented; *names* renames its fields."""
    fields = {names.get("name", "schema_name"): schema, names.get("file", "schema"): make_archive(files)}
    return gateway.post_form(f"/platform/{platform}/schema", fields)


def create(gateway: Gateway, platform: str, database_id: str, schema: str = "tenant_db", path="/database/create"):
    return gateway.post_json(path, {"platform": platform, "schema_name": schema, "database_id": database_id})


def migrate(gateway: Gateway, platform: str, **more):
    return gateway.post_json("/v2/migrate", {"platform": platform, "schema_name": "tenant_db", **more})


def test_a_platform_is_registered_once(gateway, platform) -> None:
    answer = gateway.post_json("/platform/register", {"platform": platform})
    assert (answer.status, answer.json) == (
        201,
        {
            "status": "registered",
            "platform": platform,
            "message": "Platform registered. Use POST /platform/{platform}/schema to add schemas.",
        },
    )
    again = gateway.post_json("/platform/register", {"platform": platform})
    assert (again.status, again.json["error"]) == (400, "invalid_request")
    assert again.json["message"] == f"Platform '{platform}' is already registered"


@pytest.mark.parametrize("names", [{}, {"name": "name"}, {"file": "file"}, {"name": "name", "file": "file"}])
def test_a_schema_is_stored_under_all_documented_field_names(gateway, platform, names) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    answer = upload(gateway, platform, "tenant_db", STORES, **names)
    assert answer.status == 201
    assert (
        answer.json.items()
        >= {
            "status": "registered",
            "platform": platform,
            "schema_name": "tenant_db",
            "has_tables": True,
            "has_functions": True,
            "has_migrations": True,
        }.items()
    )
    assert len(answer.json["checksum"]) == 64
    stored = gateway.data_dir / platform / "tenant_db" / "tables" / "users.pssql"
    assert stored.read_text() == USERS


def test_schemas_are_listed(gateway, platform) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    upload(gateway, platform, "tenant_db", {"tables/users.sql": USERS})
    upload(gateway, platform, "main_db", STORES)
    answer = gateway.get(f"/platform/{platform}/schemas").json
    flags = ("has_tables", "has_functions", "has_migrations", "has_seeders")
    assert (answer["platform"], answer["count"]) == (platform, 2)
    assert [(one["name"], *(one[flag] for flag in flags)) for one in answer["schemas"]] == [
        ("main_db", True, True, True, True),
        ("tenant_db", True, False, False, False),
    ]


def test_a_database_is_made_listed_called_and_migrated(gateway, registered) -> None:
    made = create(gateway, registered, "store_001")
    assert made.status == 201
    assert (
        made.json.items()
        >= {
            "status": "created",
            "platform": registered,
            "schema_name": "tenant_db",
            "database_name": f"{registered}_tenant_db_store_001",
            "extensions_installed": 0,
            "types_deployed": 0,
            "tables_created": 2,
            "functions_deployed": 2,
            "seeders": [{"table": "users", "inserted": 2, "skipped": 0}],
        }.items()
    )
    assert made.json["execution_time_ms"] > 0
    upload(gateway, registered, "other", SHOP)
    create(gateway, registered, "main", schema="other")

    listed = gateway.get(f"/platform/{registered}/databases").json
    assert [(one["id"], one["database_name"], one["schema_name"]) for one in listed["databases"]] == [
        ("main", f"{registered}_other_main", "other"),
        ("store_001", f"{registered}_tenant_db_store_001", "tenant_db"),
    ]
    assert all(one["created_at"].endswith("Z") for one in listed["databases"])
    filtered = gateway.get(f"/platform/{registered}/databases?schema=tenant_db").json
    assert (filtered["platform"], filtered["count"]) == (registered, 1)
    platforms = {one["name"]: one for one in gateway.get("/platforms").json["platforms"]}
    assert platforms[registered] == {"name": registered, "schemas": 2, "databases": 2}

    for address in (
        {"tenant_id": "tenant_db_store_001"},
        {"schema_name": "tenant_db", "database_id": "store_001"},
        {"schema_name": "tenant_db", "uuid": "store_001"},
    ):
        assert gateway.call(registered, "count_users", **address).json["rows"] == [{"count_users": 2}]

    upload(gateway, registered, "tenant_db", STORES)
    migrated = migrate(gateway, registered)
    assert migrated.status == 200
    assert (
        migrated.json.items()
        >= {
            "status": "completed",
            "platform": registered,
            "schema_name": "tenant_db",
            "databases_updated": [f"{registered}_tenant_db_store_001"],
            "migrations_applied": 1,
            "functions_updated": 0,
        }.items()
    )
    assert migrated.json["verification"].items() >= {"passed": True, "seeders_verified": True}.items()
    again = migrate(gateway, registered, database_id="store_001").json
    assert (again["migrations_applied"], again["schema_validation"]["safe_changes"]) == (0, [])


def test_a_database_is_made_once(gateway, registered) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: create(gateway, registered, "x"), range(4)))
    assert sorted(answer.status for answer in answers) == [201, 400, 400, 400]
    refused = next(answer.json for answer in answers if answer.status == 400)
    assert (refused["error"], refused["database"]) == ("database_already_exists", f"{registered}_tenant_db_x")


def test_uuid_is_another_name_of_database_id(gateway, registered) -> None:
    body = {"platform": registered, "schema_name": "tenant_db", "uuid": "7d0e"}
    assert gateway.post_json("/database/create", body).json["database_name"] == f"{registered}_tenant_db_7d0e"
    assert migrate(gateway, registered, uuid="7d0e").json["databases_updated"] == [f"{registered}_tenant_db_7d0e"]
    both = gateway.post_json("/database/create", {**body, "database_id": "another"})
    assert (both.status, both.json["error"]) == (400, "invalid_request")
    assert "uuid" in both.json["message"]


def test_a_missing_platform_or_schema_is_named(gateway, platform, registered) -> None:
    unknown = f"{platform}x"
    assert upload(gateway, unknown, "s", SHOP).json["error"] == "platform_not_found"
    assert create(gateway, unknown, "a").json["error"] == "platform_not_found"
    assert create(gateway, registered, "a", schema="nosuch").json["error"] == "schema_not_found"
    for path in (f"/platform/{unknown}/schemas", f"/platform/{unknown}/databases"):
        assert (gateway.get(path).status, gateway.get(path).json["error"]) == (404, "platform_not_found")
    listed = gateway.get(f"/platform/{registered}/databases?schema=nosuch")
    assert (listed.status, listed.json["error"]) == (404, "schema_not_found")
    assert "has no schema 'nosuch', it has 'tenant_db'; " in listed.json["message"]
    assert gateway.get(f"/platform/{registered}/databases?schema=tenant_db").json["count"] == 0
    nothing = migrate(gateway, registered)
    assert (nothing.status, nothing.json["error"]) == (404, "database_not_found")
    assert migrate(gateway, registered, database_id="x").json["error"] == "database_not_found"
    assert migrate(gateway, unknown).json["error"] == "platform_not_found"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/platform/register", {"platform": "a", "plattform": "a"}, "plattform"),
        ("/database/create", {"platform": "a", "schema_name": "s", "database_id": "d", "db": "x"}, "db"),
        ("/database/create", {"platform": "a", "schema_name": "s"}, "database_id"),
        ("/v2/migrate", {"platform": "a", "schema_name": "s", "databaseid": "x"}, "databaseid"),
        ("/v2/migrate", {"platform": "a", "schema_name": "s", "database_id": None}, "database_id"),
        ("/v2/migrate", {"platform": "a", "schema_name": "s", "database_id": ""}, "database_id"),
        ("/v2/migrate", {"platform": "a"}, "schema_name"),
        ("/v2/migrate-all", {"platform": "a", "schema_name": "s", "database_id": "x"}, "database_id"),
        ("/v2/migrate", {"platform": "../a", "schema_name": "s"}, "platform"),
        ("/platform/register", {"platform": "p" * 60}, "platform"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_done(gateway, path, body, field) -> None:
    answer = gateway.post_json(path, body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert field in answer.json["message"]


def test_an_upload_that_cannot_be_read_changes_nothing(gateway, registered) -> None:
    before = gateway.get(f"/platform/{registered}/schemas").json
    for archive in (b"rubbish", b"", make_archive({"tables/a.sql": b"\xff"})):
        fields = {"schema_name": "tenant_db", "schema": archive}
        answer = gateway.post_form(f"/platform/{registered}/schema", fields)
        assert (answer.status, answer.json["error"]) == (400, "schema_extraction_failed")
        assert answer.json["schema_name"] == "tenant_db"
    for fields in ({"schema_name": "tenant_db"}, {"schema": make_archive(SHOP)}):
        assert gateway.post_form(f"/platform/{registered}/schema", fields).status == 400
    twice = {"schema_name": "s", "schema": make_archive(SHOP), "file": make_archive(STORES)}
    assert "one of them" in gateway.post_form(f"/platform/{registered}/schema", twice).json["message"]
    assert gateway.post_form("/platform/%2e%2e/schema", twice).status == 400
    assert gateway.get(f"/platform/{registered}/schemas").json == before


def test_a_schema_that_does_not_work_leaves_no_database(gateway, registered, admin) -> None:
    upload(gateway, registered, "tenant_db", {**SHOP, "functions/broken.sql": BROKEN_FUNCTION})
    failed = create(gateway, registered, "a")
    assert (failed.status, failed.json["error"]) == (409, "function_deploy_failed")
    assert failed.json["file"] == "functions/broken.sql"
    assert gateway.get(f"/platform/{registered}/databases").json["count"] == 0
    upload(gateway, registered, "tenant_db", SHOP)
    assert create(gateway, registered, "a").status == 201


def test_a_failed_migration_lists_the_result_of_every_database(gateway, registered) -> None:
    for name in ("a", "b", "c"):
        create(gateway, registered, name)
    upload(gateway, registered, "tenant_db", {**SHOP, "functions/broken.sql": BROKEN_FUNCTION})
    failed = migrate(gateway, registered)
    assert (failed.status, failed.json["error"]) == (409, "function_deploy_failed")
    assert failed.json["databases_updated"] == []
    assert failed.json["databases_failed"] == [f"{registered}_tenant_db_a"]
    assert failed.json["databases_skipped"] == [f"{registered}_tenant_db_{name}" for name in "bc"]


def test_a_dry_run_changes_nothing_and_force_does_what_loses_data(gateway, registered) -> None:
    create(gateway, registered, "a")
    upload(
        gateway, registered, "tenant_db", {**SHOP, "tables/users.pssql": USERS.replace("name TEXT NOT NULL", "n INT")}
    )
    assert migrate(gateway, registered).json["error"] == "migration_failed"
    upload(gateway, registered, "tenant_db", STORES)
    dry = migrate(gateway, registered, dry_run=True).json
    assert (dry["dry_run"], dry["databases_updated"], dry["migrations_applied"]) == (True, [], 1)
    assert [one["file"] for one in dry["databases"][0]["plan"]] == ["migrations/001_email.pssql"]
    assert migrate(gateway, registered, force=True).json["migrations_applied"] == 1


def test_databases_of_version_1_are_left_alone(gateway, registered) -> None:
    gateway.register(registered, {"tables/users.sql": USERS, "functions/c.sql": COUNT_USERS}, tenant_id="t")
    create(gateway, registered, "a")
    upload(gateway, registered, "tenant_db", STORES)
    updated = gateway.post_json("/v2/migrate-all", {"platform": registered, "schema_name": "tenant_db"}).json
    assert updated["databases_updated"] == [f"{registered}_tenant_db_a"]
    assert gateway.get(f"/platform/{registered}/databases").json["count"] == 1


def test_older_php_clients_receive_the_statuses_they_expect(gateway, start_gateway, registered, platform) -> None:
    assert create(gateway, registered, "a", path="/admin/database/create").status == 200
    again = create(gateway, registered, "a", path="/admin/database/create")
    assert (again.status, again.json["error"]) == (409, "database_already_exists")
    names = [one["name"] for one in gateway.get("/admin/platforms").json["platforms"]]
    assert registered in names

    older = start_gateway(PHP_CLIENT_COMPATIBILITY="on", WORKERS="1")
    assert older.post_json("/platform/register", {"platform": platform}).status == 200
    again = older.post_json("/platform/register", {"platform": platform})
    assert (again.status, again.json["error"]) == (409, "invalid_request")
    assert upload(older, platform, "tenant_db", SHOP).status == 200
    assert create(older, platform, "b").status == 200
    assert create(older, platform, "b").status == 400


def test_a_migration_adds_missing_seeded_rows_on_request(gateway, platform) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    upload(gateway, platform, "tenant_db", {k: v for k, v in SHOP.items() if not k.startswith("seeders/")})
    assert create(gateway, platform, "one").status == 201
    upload(gateway, platform, "tenant_db", SHOP)
    refused = migrate(gateway, platform)
    assert (refused.status, refused.json["error"]) == (409, "migration_failed")
    assert "id = 1 (seeders/users.pssql)" in refused.body.decode()
    assert migrate(gateway, platform, seed="maybe").status == 400
    added = migrate(gateway, platform, seed="insert")
    assert (added.status, added.json["seeder_validations"]) == (200, [{"table": "users", "expected": 2, "found": 2}])
    assert migrate(gateway, platform).status == 200

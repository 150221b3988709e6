"""POST /migrate: one database or all of a platform, each wholly or not at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.acceptance.schemas import BROKEN_FUNCTION, SHOP
from tests.support.running_gateway import Gateway, make_archive

KEYS = [
    "status", "databases_updated", "migrations_applied", "functions_updated", "tables_created", "seeder_validations",
    "schema_validation", "verification", "databases", "execution_time_ms",
]  # fmt: skip
EMPTY_VALIDATION = {"safe_changes": [], "dataloss_changes": [], "incompatible_changes": []}
ADD_AGE = {**SHOP, "migrations/001_age.pssql": "ALTER TABLE users ADD COLUMN age int;\n"}
ADD_ROW = {**SHOP, "migrations/001_row.pssql": "INSERT INTO users (id, name) VALUES (100, 'Once');\n"}


@pytest.fixture
def registered(gateway: Gateway, platform: str) -> str:
    for tenant in ("", "a", "b"):
        answer = gateway.register(platform, SHOP, tenant_id=tenant)
        assert answer.status == 200, answer.body
    return platform


def execute(admin: psycopg.Connection, database: str, statement: str) -> list[tuple]:
    conninfo = psycopg.conninfo.make_conninfo(admin.info.dsn, dbname=database)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_migrate_reaches_every_database_of_the_platform_main_first(gateway: Gateway, registered: str) -> None:
    answer = gateway.migrate(registered, ADD_AGE)
    assert answer.status == 200, answer.body
    assert list(answer.json)[: len(KEYS)] == KEYS
    names = [f"{registered}_{suffix}" for suffix in ("main", "a", "b")]
    assert answer.json["status"] == "completed"
    assert answer.json["databases_updated"] == names
    assert answer.json["migrations_applied"] == 3
    assert answer.json["seeder_validations"] == [{"table": "users", "expected": 6, "found": 6}]
    assert [(one["database"], one["status"], one["migrations_applied"], one["error"]) for one in
            answer.json["databases"]] == [(name, "completed", 1, None) for name in names]  # fmt: skip
    assert answer.json["verification"]["passed"] is True
    assert answer.json["verification"]["error_log"] == []


@pytest.mark.parametrize(("tenant_id", "suffix"), [("a", "a"), ("main", "main"), ("", "main")])
def test_migrate_with_a_tenant_reaches_one_database(
    gateway: Gateway, registered: str, tenant_id: str, suffix: str
) -> None:
    answer = gateway.migrate(registered, ADD_AGE, tenant_id=tenant_id)
    assert answer.json["databases_updated"] == [f"{registered}_{suffix}"], answer.body
    assert answer.json["migrations_applied"] == 1


def test_a_second_migrate_has_nothing_to_do(gateway: Gateway, registered: str) -> None:
    for _ in range(2):
        answer = gateway.migrate(registered, SHOP)
        assert answer.status == 200, answer.body
        assert answer.json["migrations_applied"] == answer.json["functions_updated"] == 0
        assert answer.json["tables_created"] == 0
        assert answer.json["schema_validation"] == EMPTY_VALIDATION
        assert all(one["schema_validation"] == EMPTY_VALIDATION for one in answer.json["databases"])


def test_four_migrates_at_once_apply_a_migration_once(
    gateway: Gateway, admin: psycopg.Connection, registered: str
) -> None:
    barrier = threading.Barrier(4)
    archive = make_archive(ADD_ROW)

    def migrate(_number: int):
        barrier.wait()
        return gateway.migrate(registered, archive)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(migrate, range(4)))
    assert [answer.status for answer in answers] == [200] * 4, [answer.body for answer in answers]
    assert sum(answer.json["migrations_applied"] for answer in answers) == 3
    for suffix in ("main", "a", "b"):
        assert execute(admin, f"{registered}_{suffix}", "SELECT count(*) FROM users WHERE id = 100") == [(1,)]


def test_a_failure_after_the_first_database_lists_the_result_of_each(
    gateway: Gateway, admin: psycopg.Connection, registered: str
) -> None:
    execute(admin, f"{registered}_a", "INSERT INTO users (id, name) VALUES (100, 'in the way')")
    answer = gateway.migrate(registered, ADD_ROW)
    assert answer.status == 409, answer.body
    assert answer.json["error"] == "migration_failed"
    assert answer.json["databases_updated"] == [f"{registered}_main", f"{registered}_b"]
    assert answer.json["databases_failed"] == [f"{registered}_a"]
    assert answer.json["databases_skipped"] == []
    assert answer.json["file"] == "migrations/001_row.pssql"
    assert answer.json["sqlstate"] == "23505"
    failed = next(one for one in answer.json["databases"] if one["status"] == "failed")
    assert (failed["database"], failed["error"]) == (f"{registered}_a", "migration_failed")
    assert "duplicate key" in failed["cause"]


def test_a_failure_of_the_first_database_skips_the_others(
    gateway: Gateway, admin: psycopg.Connection, registered: str
) -> None:
    execute(admin, f"{registered}_main", "INSERT INTO users (id, name) VALUES (100, 'in the way')")
    answer = gateway.migrate(registered, ADD_ROW)
    assert answer.status == 409, answer.body
    assert answer.json["databases_updated"] == []
    assert answer.json["databases_failed"] == [f"{registered}_main"]
    assert answer.json["databases_skipped"] == [f"{registered}_a", f"{registered}_b"]
    assert [one["status"] for one in answer.json["databases"]] == ["failed", "skipped", "skipped"]
    assert execute(admin, f"{registered}_a", "SELECT count(*) FROM users WHERE id = 100") == [(0,)]


def test_a_failed_migrate_leaves_the_old_functions(gateway: Gateway, registered: str) -> None:
    changed = SHOP["functions/count_users.pssql"].replace("count(*)", "-1")
    broken = {**SHOP, "functions/count_users.pssql": changed, "functions/zz.pssql": BROKEN_FUNCTION}
    answer = gateway.migrate(registered, broken)
    assert (answer.status, answer.json["error"]) == (409, "function_deploy_failed")
    assert gateway.call(registered, "count_users").json["rows"] == [{"count_users": 2}]


def test_loss_of_data_is_refused_listed_and_counted(gateway: Gateway, registered: str) -> None:
    without_name = {**SHOP, "tables/users.pssql": "CREATE TABLE users (id SERIAL PRIMARY KEY);"}
    del without_name["seeders/users.pssql"], without_name["functions/add_user.pssql"]
    answer = gateway.migrate(registered, without_name)
    assert (answer.status, answer.json["error"]) == (409, "migration_failed"), answer.body
    (change,) = answer.json["schema_validation"]["dataloss_changes"]
    assert list(change) == [
        "table", "change_type", "column", "from_type", "to_type", "compatibility", "reason", "rows_at_risk", "file",
    ]  # fmt: skip
    assert (change["table"], change["column"], change["rows_at_risk"]) == ("users", "name", 2)

    forced = gateway.migrate(registered, without_name, force="true")
    assert forced.status == 200, forced.body
    assert forced.json["status"] == "completed_with_warnings"


def test_platforms_with_a_common_prefix_are_separate(gateway: Gateway, platform: str) -> None:
    for name in (platform, f"{platform}2", f"{platform}_app"):
        assert gateway.register(name, SHOP).status == 200
    assert gateway.migrate(platform, ADD_AGE).json["databases_updated"] == [f"{platform}_main"]


def test_a_platform_or_tenant_without_a_database_is_not_found(gateway: Gateway, registered: str) -> None:
    for answer in (gateway.migrate(f"{registered}x", SHOP), gateway.migrate(registered, SHOP, tenant_id="nobody")):
        assert (answer.status, answer.json["error"]) == (404, "database_not_found")
    bad = gateway.migrate(registered, b"rubbish")
    assert (bad.status, bad.json["error"]) == (400, "schema_extraction_failed")


def test_a_dry_run_updates_nothing(gateway: Gateway, registered: str) -> None:
    planned = gateway.migrate(registered, ADD_AGE, dry_run="yes")
    assert planned.status == 200, planned.body
    assert planned.json["databases_updated"] == []
    assert planned.json["migrations_applied"] == 3
    assert all("ADD COLUMN age" in str(one["plan"]) for one in planned.json["databases"])
    assert gateway.migrate(registered, ADD_AGE).json["migrations_applied"] == 3


def test_missing_seeded_rows_are_named_and_added_on_request(gateway: Gateway, platform: str) -> None:
    without = {label: text for label, text in SHOP.items() if not label.startswith("seeders/")}
    assert gateway.register(platform, without).status == 200

    refused = gateway.migrate(platform, SHOP)
    assert (refused.status, refused.json["error"]) == (409, "migration_failed")
    assert "id = 1 (seeders/users.pssql)" in refused.body.decode()
    assert gateway.migrate(platform, SHOP, seed="maybe").status == 400

    added = gateway.migrate(platform, SHOP, seed="insert")
    assert (added.status, added.json["seeder_validations"]) == (200, [{"table": "users", "expected": 2, "found": 2}])
    again = gateway.register(platform, SHOP, seed="insert")
    assert again.json["seeders"] == [{"table": "users", "inserted": 0, "skipped": 2}]

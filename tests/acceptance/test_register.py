"""POST /register over a real gateway with several workers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from tests.acceptance.schemas import BROKEN_FUNCTION, SHOP
from tests.support.running_gateway import Gateway, make_archive

KEYS = [
    "status", "database", "created", "extensions_installed", "types_deployed", "tables_created", "migrations_applied",
    "functions_deployed", "functions_skipped", "functions_dropped", "seeders", "schema_validation", "verification",
    "execution_time_ms",
]  # fmt: skip
EMPTY_VALIDATION = {"safe_changes": [], "dataloss_changes": [], "incompatible_changes": []}


def databases_of(admin: psycopg.Connection, platform: str) -> list[str]:
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
    return [name for (name,) in admin.execute(query, [platform])]


def temporary_databases(admin: psycopg.Connection) -> list[str]:
    return databases_of(admin, "_stonescriptdb_gateway_new_")


def test_register_makes_the_database_and_a_second_one_has_nothing_to_do(gateway: Gateway, platform: str) -> None:
    first = gateway.register(platform, SHOP)
    assert first.status == 200, first.body
    assert list(first.json)[: len(KEYS)] == KEYS
    assert first.json["status"] == "ready"
    assert first.json["database"] == f"{platform}_main"
    assert first.json["created"] is True
    assert first.json["tables_created"] == 2
    assert (first.json["functions_deployed"], first.json["functions_skipped"]) == (2, 0)
    assert first.json["seeders"] == [{"table": "users", "inserted": 2, "skipped": 0}]
    assert first.json["verification"]["passed"] is True
    assert isinstance(first.json["execution_time_ms"], int)
    assert first.headers["X-Request-ID"]

    second = gateway.register(platform, SHOP)
    assert second.status == 200, second.body
    assert second.json["created"] is False
    assert second.json["tables_created"] == second.json["migrations_applied"] == 0
    assert (second.json["functions_deployed"], second.json["functions_skipped"]) == (2, 2)
    assert second.json["seeders"] == [{"table": "users", "inserted": 0, "skipped": 2}]
    assert second.json["schema_validation"] == EMPTY_VALIDATION

    called = gateway.call(platform, "add_user", ["Barbara"])
    assert called.status == 200, called.body
    assert called.json["rows"] == [{"user_id": 3, "user_name": "Barbara"}]
    assert called.json["row_count"] == 1


@pytest.mark.parametrize("tenant_id", ["", "null", "main"])
def test_some_tenant_ids_mean_the_main_database(gateway: Gateway, platform: str, tenant_id: str) -> None:
    answer = gateway.register(platform, SHOP, tenant_id=tenant_id)
    assert (answer.status, answer.json["database"]) == (200, f"{platform}_main")
    called = gateway.call(platform, "count_users", tenant_id=tenant_id)
    assert called.json["rows"] == [{"count_users": 2}]


def test_tenants_have_databases_of_their_own(gateway: Gateway, platform: str) -> None:
    for tenant in ("clinic-001", "clinic-002"):
        answer = gateway.register(platform, SHOP, tenant_id=tenant)
        assert (answer.status, answer.json["database"]) == (200, f"{platform}_{tenant.replace('-', '_')}")
    gateway.call(platform, "add_user", ["Barbara"], tenant_id="clinic-002")
    counts = [gateway.call(platform, "count_users", tenant_id=f"clinic-00{n}").json["rows"] for n in (1, 2)]
    assert counts == [[{"count_users": 2}], [{"count_users": 3}]]


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (b"not an archive", (400, "schema_extraction_failed")),
        (b"", (400, "schema_extraction_failed")),
        ({**SHOP, "functions/broken.pssql": BROKEN_FUNCTION}, (409, "function_deploy_failed")),
        ({**SHOP, "seeders/users.pssql": "INSERT INTO users (id, name) VALUES (1, NULL);"}, (409, "migration_failed")),
        ({**SHOP, "tables/users.pssql": "CREATE TABEL users (id int);"}, (409, "migration_failed")),
        ({**SHOP, "migrations/001.pssql": "SELECT 1/0;"}, (409, "migration_failed")),
        ({**SHOP, "extensions/no_such_extension.sql": "-- none"}, (400, "extension_not_available")),
    ],
    ids=["rubbish", "empty", "function", "seeder", "table", "migration", "extension"],
)
def test_a_failed_register_leaves_nothing_and_the_corrected_one_works(
    gateway: Gateway, admin: psycopg.Connection, platform: str, fault, failure: tuple[int, str]
) -> None:
    failed = gateway.register(platform, fault)
    assert (failed.status, failed.json["error"]) == failure, failed.body
    assert failed.json["platform"] == platform
    assert failed.json["request_id"] == failed.headers["X-Request-ID"]
    if failure[1] == "migration_failed":
        assert {"schema_validation", "verification"} <= set(failed.json)
    if failure[0] == 409:
        assert failed.json["file"]
        assert failed.json["cause"]
        assert failed.json["sqlstate"]
    assert databases_of(admin, platform) == []
    assert temporary_databases(admin) == []
    assert gateway.register(platform, SHOP).json["created"] is True


def test_a_failed_register_leaves_an_existing_database_as_it_was(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    changed = {**SHOP, "functions/count_users.pssql": SHOP["functions/count_users.pssql"].replace("count(*)", "-1")}
    failed = gateway.register(platform, {**changed, "functions/zz_broken.pssql": BROKEN_FUNCTION})
    assert failed.status == 409, failed.body
    assert gateway.call(platform, "count_users").json["rows"] == [{"count_users": 2}]


def test_eight_identical_registers_at_once_make_one_database(
    gateway: Gateway, admin: psycopg.Connection, platform: str
) -> None:
    barrier = threading.Barrier(8)
    archive = make_archive(SHOP)

    def register(_number: int):
        barrier.wait()
        return gateway.register(platform, archive)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(register, range(8)))
    assert [answer.status for answer in answers] == [200] * 8, [answer.body for answer in answers]
    assert sorted(answer.json["created"] for answer in answers) == [False] * 7 + [True]
    assert sum(seeder["inserted"] for answer in answers for seeder in answer.json["seeders"]) == 2
    assert databases_of(admin, platform) == [f"{platform}_main"]


def test_a_dry_run_returns_the_plan_and_leaves_nothing(
    gateway: Gateway, admin: psycopg.Connection, platform: str
) -> None:
    planned = gateway.register(platform, SHOP, dry_run="true")
    assert planned.status == 200, planned.body
    assert planned.json["created"] is False
    assert planned.json["dry_run"] is True
    assert planned.json["tables_created"] == 2
    assert any("CREATE TABLE users" in statement["sql"] for statement in planned.json["plan"])
    assert databases_of(admin, platform) == temporary_databases(admin) == []

    gateway.register(platform, SHOP)
    again = gateway.register(
        platform, {**SHOP, "migrations/001.pssql": "ALTER TABLE users ADD COLUMN age int;"}, dry_run="1"
    )
    assert again.json["migrations_applied"] == 1, again.body
    with psycopg.connect(_conninfo(admin, f"{platform}_main")) as connection:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'users' ORDER BY ordinal_position"
        ).fetchall()
    assert columns == [("id",), ("name",)]


def test_register_adopts_a_database_made_by_hand_if_it_can_be_deployed(
    gateway: Gateway, admin: psycopg.Connection, platform: str
) -> None:
    name = f"{platform}_main"
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(_conninfo(admin, name)) as connection:
        connection.execute("CREATE TABLE users (id SERIAL PRIMARY KEY, name TEXT NOT NULL)")
        connection.execute("INSERT INTO users (name) VALUES ('Mary')")

    assert gateway.call(platform, "count_users").json["error"] == "database_name_conflict"
    assert gateway.register(platform, {"functions/broken.pssql": BROKEN_FUNCTION}).status == 409
    assert gateway.register(platform, SHOP, dry_run="true").status == 200
    assert gateway.call(platform, "count_users").json["error"] == "database_name_conflict"

    adopted = gateway.register(platform, SHOP)
    assert (adopted.status, adopted.json["created"]) == (200, False), adopted.body
    assert gateway.call(platform, "count_users").json["rows"] == [{"count_users": 1}]
    listed = gateway.get(f"/admin/databases?platform={platform}").json["databases"]
    assert [(one["name"], one["created_at"]) for one in listed] == [(name, None)]
    assert listed[0]["adopted_at"]


def test_the_request_s_own_id_is_kept(gateway: Gateway, platform: str) -> None:
    answer = gateway.request("POST", "/register", b"", {"X-Request-ID": "deploy-17"})
    assert answer.headers["X-Request-ID"] == answer.json["request_id"] == "deploy-17"


def _conninfo(admin: psycopg.Connection, name: str) -> str:
    return psycopg.conninfo.make_conninfo(admin.info.dsn, dbname=name)


def test_registers_of_many_platforms_at_once_fit_into_a_small_budget(
    start_gateway, admin: psycopg.Connection, platform: str
) -> None:
    gateway: Gateway = start_gateway(MAX_TOTAL_CONNECTIONS="6", WORKERS="2")
    archive = make_archive(SHOP)
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda number: gateway.register(f"{platform}-{number}", archive), range(10)))
    assert [answer.status for answer in answers] == [200] * 10, [answer.body for answer in answers]
    assert len(databases_of(admin, platform)) == 10

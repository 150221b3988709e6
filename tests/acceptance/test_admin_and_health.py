"""The administration of databases, and the routes for the health of the gateway."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gateway.embedded_postgres import EmbeddedPostgres
from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway
from tests.support.waiting import wait_until


def test_create_tenant_makes_an_empty_database_once(gateway: Gateway, platform: str) -> None:
    body = {"platform": platform, "tenant_id": "clinic-001"}
    made = gateway.post_json("/admin/create-tenant", body)
    assert made.status == 201, made.body
    assert list(made.json) == ["status", "database", "message"]
    assert (made.json["status"], made.json["database"]) == ("created", f"{platform}_clinic_001")

    again = gateway.post_json("/admin/create-tenant", body)
    assert (again.status, again.json["error"]) == (400, "database_already_exists")
    assert again.json["database"] == f"{platform}_clinic_001"
    other = gateway.post_json("/admin/create-tenant", {**body, "tenant_id": "clinic_001"})
    assert (other.status, other.json["error"]) == (409, "database_name_conflict")

    filled = gateway.migrate(platform, SHOP, tenant_id="clinic-001")
    assert filled.status == 200, filled.body
    assert filled.json["tables_created"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant_id": "a"},
        {"platform": "a"},
        {"platform": "a", "tenant_id": None},
        {"platform": "a", "tenant_id": ""},
        {"platform": "a", "tenant_id": "b", "tempalte": "c"},
    ],
)
def test_create_tenant_names_the_wrong_field(gateway: Gateway, body: dict) -> None:
    answer = gateway.post_json("/admin/create-tenant", body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert answer.json["fields"]


def test_databases_are_listed_by_owner(gateway: Gateway, admin: psycopg.Connection, platform: str) -> None:
    for owner, tenant in ((platform, "main"), (platform, "b-1"), (f"{platform}_b", "x"), (f"{platform}2", "main")):
        gateway.post_json("/admin/create-tenant", {"platform": owner, "tenant_id": tenant})
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"{platform}_byhand")))

    answer = gateway.get(f"/admin/databases?platform={platform}")
    assert answer.status == 200
    assert list(answer.json) == ["platform", "databases", "count"]
    assert (answer.json["platform"], answer.json["count"]) == (platform, 2)
    tenant, main = answer.json["databases"]
    assert list(main)[:5] == ["name", "type", "tenant_id", "size_mb", "created_at"]
    assert (main["name"], main["type"], main["tenant_id"]) == (f"{platform}_main", "main", None)
    assert (tenant["name"], tenant["type"], tenant["tenant_id"]) == (f"{platform}_b_1", "tenant", "b-1")
    assert main["size_mb"] > 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", main["created_at"])


def test_listing_databases_needs_a_platform(gateway: Gateway, platform: str) -> None:
    assert gateway.get(f"/admin/databases?platform={platform}").json == {
        "platform": platform, "databases": [], "count": 0,
    }  # fmt: skip
    for query in (
        "",
        "?platform=",
        "?platform=%25",
        "?platfrom=a",
        "?platform=a&platform=b",
        "?platform=" + "a" * 7000,
    ):
        answer = gateway.get(f"/admin/databases{query}")
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), query


def test_health_reports_the_state_of_the_gateway(gateway: Gateway) -> None:
    answer = gateway.get("/health")
    assert answer.status == 200
    assert list(answer.json) == [
        "status", "version", "postgres_connected", "active_pools", "total_connections", "max_total_connections",
        "uptime_seconds",
    ]  # fmt: skip
    assert (answer.json["status"], answer.json["postgres_connected"]) == ("healthy", True)
    assert answer.json["total_connections"] >= 1
    assert answer.json["max_total_connections"] == 200
    assert gateway.get("/health/live").status == 200
    assert gateway.get("/health/ready").status == 200


def test_total_connections_are_those_of_all_workers(start_gateway, admin: psycopg.Connection, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="3")
    gateway.register(platform, SHOP)
    for _ in range(30):
        assert gateway.call(platform, "count_users").status == 200
    told = gateway.get("/health").json["total_connections"]
    counted = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'stonescriptdb-gateway%'"
    ).fetchone()[0]
    assert 1 <= told <= counted


@pytest.fixture
def server_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        yield Path(folder)


@pytest.fixture
def own_server(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test alone, which it may stop."""
    with EmbeddedPostgres(server_folder, durable=False) as server:
        yield server


@contextmanager
def hanging(folder: Path) -> Iterator[None]:
    """Keep every process of the server in *folder* from running."""
    postmaster = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    children = [int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
    for pid in (postmaster, *children):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (postmaster, *children):
            os.kill(pid, signal.SIGCONT)


def test_health_answers_while_postgresql_hangs_and_calls_pile_up(
    start_gateway, own_server: EmbeddedPostgres, server_folder: Path, platform: str
) -> None:
    # The calls are to wait for as long as PostgreSQL hangs.
    gateway: Gateway = start_gateway(
        DATABASE_URL=own_server.url,
        WORKERS="2",
        THREADS="1",
        POOL_WAIT_TIMEOUT_SECS="3600",
        STATEMENT_TIMEOUT_MS="3600000",
    )
    assert gateway.register(platform, SHOP).status == 200
    assert gateway.call(platform, "count_users").status == 200
    with ThreadPoolExecutor(12) as callers:
        with hanging(server_folder):
            calls = [callers.submit(gateway.call, platform, "count_users") for _ in range(12)]
            for path in ("/health", "/health/ready", "/health/live") * 4:
                started = time.monotonic()
                gateway.get(path)
                assert time.monotonic() - started < 4.5  # one second is allowed, an attempt to connect takes five
            assert gateway.get("/health/ready").status == 503
            assert gateway.get("/health").json["postgres_connected"] is False
            assert not all(call.done() for call in calls)
        assert {call.result().status for call in calls} <= {200, 503, 504}
    wait_until(lambda: gateway.get("/health").json["status"] == "healthy")
    wait_until(lambda: gateway.call(platform, "count_users").status == 200)


def test_health_is_degraded_while_new_connections_are_refused(
    start_gateway, own_server: EmbeddedPostgres, platform: str
) -> None:
    gateway: Gateway = start_gateway(DATABASE_URL=own_server.url)
    limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
    role = sql.Identifier(str(conninfo_to_dict(own_server.url)["user"]))
    for tenant in ("warm", "cold"):
        assert gateway.register(platform, SHOP, tenant_id=tenant).status == 200
    assert gateway.call(platform, "count_users", tenant_id="warm").status == 200
    with psycopg.connect(own_server.superuser_url, autocommit=True) as superuser:
        superuser.execute(limit.format(role, 0))
        try:
            assert gateway.call(platform, "count_users", tenant_id="cold").status == 503
            assert gateway.call(platform, "count_users", tenant_id="warm").status == 200
            health = gateway.get("/health").json
            assert (health["status"], health["postgres_connected"]) == ("degraded", True)
            assert gateway.get("/health/ready").status == 200
        finally:
            superuser.execute(limit.format(role, -1))
    assert gateway.call(platform, "count_users", tenant_id="cold").status == 200
    assert gateway.get("/health").json["status"] == "healthy"


def test_readiness_follows_postgresql(start_gateway, own_server: EmbeddedPostgres) -> None:
    gateway: Gateway = start_gateway(DATABASE_URL=own_server.url)
    assert gateway.get("/health").json["status"] == "healthy"
    own_server.stop()
    # Each worker has its own last answer, which counts for half a second.
    wait_until(lambda: all(gateway.get("/health/ready").status == 503 for _ in range(8)))
    wait_until(lambda: gateway.get("/health").json["status"] == "degraded")
    ready = wait_until(lambda: (answer := gateway.get("/health/ready")).status == 503 and answer)
    assert ready.json["error"] == "connection_failed"
    assert ready.headers["Retry-After"]
    health = gateway.get("/health").json
    assert (health["total_connections"], health["active_pools"]) == (0, 0)
    for answer, known in (
        (gateway.register("a", SHOP, tenant_id="b"), {"database": "a_b", "platform": "a", "tenant_id": "b"}),
        (gateway.migrate("a", SHOP, tenant_id="b"), {"database": "a_b", "platform": "a", "tenant_id": "b"}),
        (gateway.migrate("a", SHOP), {"platform": "a"}),
        (gateway.call("a", "f"), {"database": "a_main", "platform": "a"}),
        (gateway.get("/admin/databases?platform=a"), {"platform": "a"}),
        (gateway.post_json("/admin/create-tenant", {"platform": "a", "tenant_id": "b"}), {"database": "a_b"}),
    ):
        assert (answer.status, answer.json["error"]) == (503, "connection_failed"), answer.body
        assert answer.headers["Retry-After"]
        assert known.items() <= answer.json.items()
    own_server.start()
    wait_until(lambda: all(gateway.get("/health/ready").status == 200 for _ in range(8)))

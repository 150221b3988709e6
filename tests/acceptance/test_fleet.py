"""Many databases of one schema: seen, planned, migrated in waves and followed as one."""

from __future__ import annotations

import http.client
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.schemas import BROKEN_FUNCTION, SHOP
from tests.support.running_gateway import Gateway, make_archive
from tests.support.waiting import wait_until

EMAIL = {**SHOP, "migrations/001_email.pssql": "ALTER TABLE users ADD COLUMN email TEXT;\n"}
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def connect(postgres_url, platform):
    """Connect to a database by its id."""

    def connect(database_id: str) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(postgres_url, dbname=name_of(platform, database_id)), autocommit=True)

    return connect


@pytest.fixture
def fleet(gateway: Gateway, platform: str) -> str:
    """A platform with four databases of the schema ``shop``."""
    gateway.post_json("/platform/register", {"platform": platform})
    store(gateway, platform, SHOP)
    for name in NAMES:
        body = {"platform": platform, "schema_name": "shop", "database_id": name}
        assert gateway.post_json("/database/create", body, {"X-Request-ID": f"make-{name}"}).status == 201
    return platform


def name_of(platform: str, database_id: str) -> str:
    return f"{platform}_shop_{database_id}"


def names(platform: str, ids: str) -> list[str]:
    return [name_of(platform, one) for one in ids]


def store(gateway: Gateway, platform: str, files) -> None:
    answer = gateway.post_form(f"/platform/{platform}/schema", {"schema_name": "shop", "schema": make_archive(files)})
    assert answer.status == 201, answer.json


def migrate(gateway: Gateway, platform: str, headers=None, **more):
    return gateway.post_json("/v2/migrate", {"platform": platform, "schema_name": "shop", **more}, headers)


def status(gateway: Gateway, platform: str):
    return gateway.get(f"/platform/{platform}/status?schema=shop").json["schemas"][0]


def states(gateway: Gateway, platform: str) -> dict[str, str]:
    return {one["database_id"]: one["state"] for one in status(gateway, platform)["databases"]}


def test_the_status_has_the_version_of_each_database(gateway, fleet, connect) -> None:
    store(gateway, fleet, EMAIL)
    migrate(gateway, fleet, {"X-Request-ID": "the-migration"}, only=["a", "b"])
    with connect("c") as connection, connect("b") as other:
        connection.execute("ALTER TABLE users ADD COLUMN by_hand int")
        other.execute("DROP FUNCTION count_users()")
    found = status(gateway, fleet)
    assert (found["schema_name"], found["version"], found["count"]) == ("shop", 2, 4)
    assert [(one["database_id"], one["state"], one["version"], one["request_id"]) for one in found["databases"]] == [
        ("a", "current", 2, "the-migration"),
        ("b", "drifted", 2, "the-migration"),
        ("c", "drifted", 1, "make-c"),
        ("d", "behind", 1, "make-d"),
    ]
    assert all(one["deployed_at"].endswith("Z") for one in found["databases"])
    differences = {group["databases"][0]: group["differences"] for group in found["groups"]}
    assert "by_hand" in "".join(differences[name_of(fleet, "c")])
    assert "count_users" in "".join(differences[name_of(fleet, "b")])
    assert differences[name_of(fleet, "a")] == differences[name_of(fleet, "d")] == []


def test_a_database_that_a_deploy_has_left_different_from_a_new_one_is_drifted(gateway, fleet, connect) -> None:
    store(gateway, fleet, {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int, body text);"})
    migrate(gateway, fleet)
    with connect("b") as connection:
        connection.execute("ALTER TABLE users ADD COLUMN by_hand int")
    store(gateway, fleet, {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int);"})
    assert migrate(gateway, fleet, only=["a", "b"], force=True).status == 200
    found = status(gateway, fleet)
    assert [(one["state"], one["version"]) for one in found["databases"]] == [
        ("drifted", 3), ("drifted", 3), ("behind", 2), ("behind", 2),
    ]  # fmt: skip
    differences = {group["databases"][0]: group["differences"] for group in found["groups"]}
    assert ["notes.body" in line for line in differences[name_of(fleet, "a")]] == [True]
    subjects = sorted(line.partition(" ")[0] for line in differences[name_of(fleet, "b")])
    assert subjects == ["notes.body", "users.by_hand"]
    with connect("b") as connection:
        connection.execute("ALTER TABLE users DROP COLUMN by_hand; ALTER TABLE notes DROP COLUMN body")
    with connect("a") as connection:
        connection.execute("ALTER TABLE notes DROP COLUMN body")
    assert migrate(gateway, fleet).status == 409  # "c" and "d" are not forced
    assert [one["state"] for one in status(gateway, fleet)["databases"]][:2] == ["current", "current"]


def test_identical_databases_are_one_group_in_status_and_plan(gateway, fleet, connect) -> None:
    assert [group["count"] for group in status(gateway, fleet)["groups"]] == [4]
    with connect("d") as connection:
        connection.execute("CREATE TABLE extra (id int)")
    store(gateway, fleet, EMAIL)
    plan = migrate(gateway, fleet, dry_run=True).json
    assert sorted(group["databases"] for group in plan["groups"]) == [names(fleet, "abc"), names(fleet, "d")]
    assert {one["file"] for group in plan["groups"] for one in group["plan"]} == {"migrations/001_email.pssql"}
    assert plan["estimated_ms"] > 0
    assert [one["database"] for one in plan["databases"]] == names(fleet, "abcd")
    assert set(states(gateway, fleet).values()) == {"behind", "drifted"}


def test_rows_at_risk_are_counted_in_every_database(gateway, fleet, connect) -> None:
    store(gateway, fleet, {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int, body text);"})
    migrate(gateway, fleet)
    with connect("b") as connection:
        connection.execute("INSERT INTO notes SELECT n, 'text' FROM generate_series(1, 5) AS n")
    store(gateway, fleet, {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int);"})
    plan = migrate(gateway, fleet, dry_run=True, force=True).json
    assert [group["count"] for group in plan["groups"]] == [4]
    changes = [one["schema_validation"]["dataloss_changes"] for one in plan["databases"]]
    assert [[change["rows_at_risk"] for change in one] for one in changes] == [[0], [5], [0], [0]]


def test_each_wave_migrates_databases_that_are_left(gateway, fleet) -> None:
    store(gateway, fleet, EMAIL)
    first = migrate(gateway, fleet, first=3).json
    assert (first["databases_updated"], first["databases_skipped"]) == (names(fleet, "abc"), names(fleet, "d"))
    second = migrate(gateway, fleet, first=3).json
    assert (second["databases_updated"], second["databases_skipped"]) == (names(fleet, "d"), [])
    third = migrate(gateway, fleet, first=3).json
    assert (third["status"], third["databases_updated"]) == ("completed", [])
    planned = migrate(gateway, fleet, first=3, dry_run=True)
    assert (planned.status, planned.json["groups"], planned.json["databases"]) == (200, [], [])
    unknown = migrate(gateway, fleet, only=["a", "nosuch"])
    assert (unknown.status, unknown.json["error"]) == (404, "database_not_found")
    for wrong in ({"only": []}, {"only": ["a"], "database_id": "b"}, {"first": 0}, {"first": "3"}, {"only": "a"}):
        assert migrate(gateway, fleet, **wrong).status == 400


def test_after_a_failure_no_further_databases_start_unless_requested(start_gateway, platform, connect) -> None:
    gateway = start_gateway(PARALLEL_DEPLOYS="1", WORKERS="1")
    gateway.post_json("/platform/register", {"platform": platform})
    store(gateway, platform, SHOP)
    for name in NAMES:
        gateway.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": name})
    with connect("b") as connection:
        connection.execute("INSERT INTO users (name) VALUES ('Ada')")
    store(gateway, platform, {**SHOP, "migrations/1.sql": "ALTER TABLE users ADD UNIQUE (name);"})
    stopped = migrate(gateway, platform)
    assert stopped.status == 409
    assert stopped.json["databases_updated"] == names(platform, "a")
    assert stopped.json["databases_failed"] == names(platform, "b")
    assert stopped.json["message"].startswith(
        f"1 of 2 databases failed and 2 were not begun, first {platform}_shop_b: "
    )
    assert stopped.json["databases_skipped"] == names(platform, "cd")
    went_on = migrate(gateway, platform, continue_on_error=True).json
    assert went_on["databases_updated"] == names(platform, "acd")
    assert went_on["databases_failed"] == names(platform, "b")


def test_a_failure_of_every_kind_leaves_the_verification_unpassed(gateway, fleet) -> None:
    broken = {"migrations/1.sql": "SELECT 1/0;"}, {"functions/f.sql": BROKEN_FUNCTION}
    for files, code in zip(broken, ("migration_failed", "function_deploy_failed"), strict=True):
        store(gateway, fleet, SHOP | files)
        failed = migrate(gateway, fleet)
        assert (failed.status, failed.json["error"]) == (409, code)
        assert failed.json["verification"]["passed"] is False
        assert failed.json["verification"]["tables_verified"] is False
        assert [line.partition(":")[0] for line in failed.json["verification"]["error_log"]] == names(fleet, "a")


def test_lines_are_streamed_while_databases_finish(gateway, fleet) -> None:
    store(gateway, fleet, EMAIL)
    answer = migrate(gateway, fleet, {"Accept": "application/x-ndjson"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    begin, *databases, summary = [json.loads(line) for line in answer.body.splitlines()]
    assert begin == {"event": "begin", "total": 4}
    assert sorted(one["database"] for one in databases) == names(fleet, "abcd")
    assert {(one["event"], one["status"], one["migrations_applied"]) for one in databases} == {
        ("database", "completed", 1)
    }
    assert summary.items() >= {"event": "summary", "status": "completed", "migrations_applied": 4}.items()
    assert "databases" not in summary

    store(gateway, fleet, {**SHOP, "migrations/2.sql": "SELECT 1/0;"})
    failed = migrate(gateway, fleet, {"Accept": "application/x-ndjson"})
    begin, *databases, summary = [json.loads(line) for line in failed.body.splitlines()]
    assert [one["status"] for one in databases] == ["failed", "skipped", "skipped", "skipped"]
    assert summary.items() >= {"event": "summary", "status": "failed", "error": "migration_failed"}.items()
    assert summary["databases_failed"] == names(fleet, "a")
    missing = migrate(gateway, fleet, {"Accept": "application/x-ndjson"}, only=["nosuch"])
    assert (missing.status, missing.json["error"]) == (404, "database_not_found")


def test_time_outs_of_a_database_or_role_do_not_end_its_migration(gateway, fleet, admin) -> None:
    settings = ["statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
    if admin.info.server_version >= 170000:
        settings.append("transaction_timeout")
    for name in settings:
        admin.execute(f"ALTER DATABASE {name_of(fleet, 'a')} SET {name} = 1")
    store(gateway, fleet, {**EMAIL, "migrations/002_slow.sql": "SELECT pg_sleep(0.05);"})
    assert migrate(gateway, fleet, undo="keep").status == 200
    assert set(states(gateway, fleet).values()) == {"current"}


@contextmanager
def migration_held_up(gateway: Gateway, platform: str, holder: psycopg.Connection, **more):
    """A migration that waits for a lock in its first database; its client, and its entry in the log of deploys."""
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port)) as client, holder.transaction():
        holder.execute("LOCK TABLE users")
        body = json.dumps({"platform": platform, "schema_name": "shop", **more})
        headers = {"Content-Type": "application/json"}
        client.request("POST", "/v2/migrate", body, headers)
        [running] = wait_until(lambda: [one for one in deploys_of(gateway, platform) if one["status"] == "running"])
        yield client, running


@pytest.mark.parametrize("detach", [False, True])
def test_a_migration_ends_with_its_client_unless_it_is_detached(gateway, fleet, connect, detach) -> None:
    store(gateway, fleet, EMAIL)
    with connect("a") as holder, migration_held_up(gateway, fleet, holder, detach=detach) as (client, running):
        assert (running["total"], running["done"]) == (4, 0)
        client.sock.close()
    ended = wait_until(lambda: [one for one in deploys_of(gateway, fleet) if one["status"] != "running"])
    assert (ended[0]["status"], ended[0]["done"]) == (("completed", 4) if detach else ("interrupted", 1))
    assert set(list(states(gateway, fleet).values())[2:]) == {"current" if detach else "behind"}


@pytest.mark.parametrize("only", [None, ["a", "c"]])
def test_a_database_dropped_during_a_migration_is_skipped_unless_it_was_named(
    gateway, fleet, connect, admin, only
) -> None:
    store(gateway, fleet, EMAIL)
    more = {} if only is None else {"only": only}
    with ThreadPoolExecutor(1) as client, connect("a") as holder:
        with holder.transaction():
            holder.execute("LOCK TABLE users")
            answered = client.submit(migrate, gateway, fleet, **more)
            wait_until(lambda: [one for one in deploys_of(gateway, fleet) if one["status"] == "running"])
            admin.execute(f"DROP DATABASE {name_of(fleet, 'c')} WITH (FORCE)")
        answer = answered.result()
    body = answer.json
    if only is None:
        assert (answer.status, body["databases_updated"]) == (200, names(fleet, "abd"))
        assert body["databases_skipped"] == names(fleet, "c")
        assert {one["database"]: one.get("message") for one in body["databases"]}[name_of(fleet, "c")] == (
            "the database was dropped after the migration had begun"
        )
    else:
        assert (answer.status, body["databases_failed"]) == (409, names(fleet, "c"))


def deploys_of(gateway: Gateway, platform: str):
    return [one for one in gateway.get("/admin/deploys").json["deploys"] if one["platform"] == platform]


def test_an_interrupted_migration_is_listed_as_such(start_gateway, gateway, fleet, connect) -> None:
    other = start_gateway(WORKERS="1", DATA_DIR=str(gateway.data_dir))
    store(gateway, fleet, EMAIL)
    with connect("a") as holder, migration_held_up(other, fleet, holder):
        for pid in other.worker_pids():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: [one for one in deploys_of(gateway, fleet) if one["status"] == "interrupted"])
    assert migrate(gateway, fleet).json["databases_updated"] == names(fleet, "abcd")


def test_calls_succeed_during_a_migration(gateway, fleet, connect) -> None:
    store(gateway, fleet, EMAIL)
    with connect("a") as holder, migration_held_up(gateway, fleet, holder, detach=True):
        for name in "bcd":
            assert gateway.call(fleet, "count_users", tenant_id=f"shop_{name}").status == 200
    wait_until(lambda: set(states(gateway, fleet).values()) == {"current"})

"""The commands about fleets: lines in a pipe, the answers as JSON, and statuses that scripts can rely on."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway, make_archive
from tests.support.waiting import wait_until

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-m", "gateway.cli"]


@pytest.fixture
def environment(gateway: Gateway, postgres_url: str) -> dict[str, str]:
    """For the command: where the gateway is, and for --direct its PostgreSQL and its folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/",
        "TERM": "xterm",
        "DB_GATEWAY_URL": gateway.url,
        "DATABASE_URL": postgres_url,
        "DATA_DIR": str(gateway.data_dir),
    }


@pytest.fixture
def run(environment, tmp_path) -> Run:
    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env={**environment, **changes},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def fleet(gateway: Gateway, platform: str) -> str:
    gateway.post_json("/platform/register", {"platform": platform})
    store(gateway, platform, SHOP)
    for name in ("a", "b"):
        gateway.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": name})
    return platform


def store(gateway: Gateway, platform: str, files) -> None:
    gateway.post_form(f"/platform/{platform}/schema", {"schema_name": "shop", "schema": make_archive(files)})


def test_from_status_over_a_plan_to_a_migration(run, gateway, fleet) -> None:
    current = run("status", fleet)
    assert (current.returncode, current.stderr) == (0, "")
    assert [line.split("\t")[:3] for line in current.stdout.splitlines()[1:]] == [
        [f"{fleet}_shop_{name}", "current", "1"] for name in "ab"
    ]
    store(gateway, fleet, {**SHOP, "migrations/1.sql": "ALTER TABLE users ADD COLUMN email text;"})
    behind = run("status", fleet, "--json")
    assert behind.returncode == 3
    assert [one["state"] for one in json.loads(behind.stdout)["schemas"][0]["databases"]] == ["behind", "behind"]
    planned = run("plan", fleet, "shop")
    assert planned.returncode == 0
    assert planned.stdout.splitlines()[:3] == [
        f"2 databases alike ({fleet}_shop_a, {fleet}_shop_b):",
        "  -- migrations/1.sql: AccessExclusiveLock on users",
        "  ALTER TABLE users ADD COLUMN email text;",
    ]
    done = run("migrate", fleet, "shop", "--first", "1")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [f"{fleet}_shop_a\tcompleted", "completed: 1 updated, 1 left"],
    )
    direct = run("migrate", fleet, "shop", "--direct", DB_GATEWAY_URL="http://127.0.0.1:1")
    assert (direct.returncode, direct.stdout.splitlines()) == (
        0,
        [
            f"{fleet}_shop_a\tcompleted\tnothing to do",
            f"{fleet}_shop_b\tcompleted",
            "completed: 1 updated, 1 unchanged",
        ],
    )
    assert run("status", fleet, "--schema", "shop").returncode == 0


def test_what_a_migration_warns_of_is_printed_to_standard_error(run, gateway, fleet) -> None:
    store(gateway, fleet, {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int, body text);"})
    assert run("migrate", fleet, "shop").stderr == ""
    store(gateway, fleet, {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int);", "tests/a.sql": "SELECT 1;"})
    forced = run("migrate", fleet, "shop", "--force")
    assert (forced.returncode, forced.stdout.splitlines()[-1]) == (0, "completed_with_warnings: 2 updated")
    assert "Warning: notes.body: drop_column: 0 rows at risk\n" in forced.stderr
    assert all(line.startswith("Warning: ") for line in forced.stderr.splitlines())


def test_a_failure_exits_with_1_and_prints_the_reason(run, gateway, fleet) -> None:
    store(gateway, fleet, {**SHOP, "migrations/1.sql": "SELECT 1/0;"})
    planned = run("plan", fleet, "shop")
    assert planned.returncode == 1
    assert "would fail: " in planned.stdout
    assert planned.stderr.startswith("Error: 2 of 2 databases would fail, first ")
    failed = run("migrate", fleet, "shop", "--json")
    assert failed.returncode == 1
    lines = [json.loads(line) for line in failed.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["begin", "database", "database", "summary"]
    assert "division by zero" in failed.stderr
    unknown = run("status", f"{fleet}x")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "is not registered" in unknown.stderr
    nobody = run("status", fleet, "--url", "http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "no gateway answers at http://127.0.0.1:1 (Connection refused)" in nobody.stderr
    assert run("migrate", fleet).returncode == 2


def test_a_failure_is_printed_with_the_detail_and_the_hint_of_postgresql_on_one_line(run, gateway, fleet) -> None:
    raised = "RAISE EXCEPTION E'no\\tway\\nout' USING DETAIL = E'two\\nlines', HINT = 'Turn back.';"
    store(gateway, fleet, {**SHOP, "migrations/1.sql": f"DO $$ BEGIN {raised} END $$"})
    expected = "no way out. two lines. Turn back."
    failed = run("migrate", fleet, "shop", "--continue-on-error")
    first, second, summary = failed.stdout.splitlines()
    assert summary == "failed: 0 updated, 2 failed"
    for line, name in ((first, "a"), (second, "b")):
        assert line.split("\t")[:2] == [f"{fleet}_shop_{name}", "failed"]
        assert line.endswith(expected)
    planned = run("plan", fleet, "shop")
    assert " at most" not in planned.stdout
    for result in (failed, planned):
        assert result.stderr.startswith("Error: 2 of 2 databases ")
        assert result.stderr.endswith(f"{expected}\n")
        assert result.stderr.count("\n") == 1


def test_missing_rows_of_seeders_are_inserted_on_request(run, gateway, fleet, postgres_url) -> None:
    with psycopg.connect(make_conninfo(postgres_url, dbname=f"{fleet}_shop_b")) as connection:
        connection.execute("DELETE FROM users WHERE id = 2")
    refused = run("migrate", fleet, "shop")
    assert (refused.returncode, "seed=insert" in refused.stderr) == (1, True)
    assert run("plan", fleet, "shop", "--seed", "insert").returncode == 0
    inserted = run("migrate", fleet, "shop", "--seed", "insert")
    assert (inserted.returncode, inserted.stdout.splitlines()[-1]) == (0, "completed: 1 updated, 1 unchanged")
    assert run("migrate", fleet, "shop").stdout.splitlines()[-1] == "completed: 0 updated, 2 unchanged"


def test_an_undo_prints_a_line_for_each_database(run, gateway, fleet) -> None:
    store(gateway, fleet, {**SHOP, "migrations/1.sql": "UPDATE users SET id = id;"})
    assert run("migrate", fleet, "shop", "--undo", "keep").returncode == 0
    undone = run("undo", fleet, "shop")
    assert (undone.returncode, undone.stdout) == (0, f"{fleet}_shop_a\trestored\n{fleet}_shop_b\trestored\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "interrupted; running migrations of databases are finished, and no further ones start"),
        (["--detach"], "interrupted; the migration goes on"),
    ],
)
def test_an_interrupted_migration_says_what_becomes_of_it(environment, gateway, fleet, options, expected) -> None:
    store(gateway, fleet, {**SHOP, "migrations/1.sql": "ALTER TABLE users ADD COLUMN email text;"})

    def deploys() -> list[dict[str, str]]:
        return [one for one in gateway.get("/admin/deploys").json["deploys"] if one["platform"] == fleet]

    with psycopg.connect(make_conninfo(environment["DATABASE_URL"], dbname=f"{fleet}_shop_a")) as connection:
        connection.execute("LOCK TABLE users")
        command = [*COMMAND, "migrate", fleet, "shop", *options]
        with subprocess.Popen(command, cwd="/", env=environment, stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: [one["status"] for one in deploys()] == ["running"])
            process.send_signal(signal.SIGINT)
            _, printed = process.communicate()
    assert process.returncode == 1
    assert printed.startswith(f"Error: {expected}")
    assert printed.count("\n") == 1
    wait_until(lambda: deploys()[0]["status"] != "running")


def test_databases_that_cannot_be_connected_to_are_named_with_the_reason(run, fleet, superuser) -> None:
    name, reason = f"{fleet}_shop_a", "is not currently accepting connections"
    superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    status, planned = run("status", fleet), run("plan", fleet, "shop")
    migrated = run("migrate", fleet, "shop", "--continue-on-error")
    assert (status.returncode, planned.returncode, migrated.returncode) == (3, 1, 1)
    assert f"{name}\tunreachable" in status.stdout
    for text in (status.stdout, planned.stdout, planned.stderr, migrated.stdout, migrated.stderr):
        assert reason in text
    assert migrated.stdout.splitlines()[-1] == "failed: 0 updated, 1 unchanged, 1 failed"


def test_a_server_that_cannot_be_reached_directly_is_reported_in_one_line(run) -> None:
    result = run("status", "shop", "--direct", DATABASE_URL="postgres://x@127.0.0.1:1/postgres")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("Error: PostgreSQL cannot be reached")


def test_names_with_spaces_and_names_that_are_none(run, gateway) -> None:
    name = f"my shop.{os.getpid()}"
    assert gateway.post_json("/platform/register", {"platform": name}).status == 201
    for command in ("status", "databases", "schemas"):
        assert (run(command, name).returncode, run(command, "../x").returncode) == (0, 2)
    assert run("status", name).stdout == f"{name} has no stored schema and no databases\n"
    assert "platform" in run("status", "").stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--url", "nosuch"], "is not the URL of a gateway"),
        (["--url", "ftp://127.0.0.1:1"], "is not the URL of a gateway"),
        (["--url", "http://127.0.0.1:x"], "is not the URL of a gateway"),
        (["--key", "secret\nkey"], "characters that a header cannot contain"),
        (["--direct"], "DATA_DIR"),
    ],
)
def test_what_no_request_can_be_sent_with_is_refused_in_one_line(run, arguments, reason) -> None:
    result = run("status", "shop", *arguments, DATA_DIR="/dev/null/data")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no gateway answers"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "not that of a gateway"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1, 2]\r\n\n", "not that of a gateway"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n{}", "not that of a gateway"),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n{"event":"begin","total":40}\n\r\n', "cut off"),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"event":"be', "cut off"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"event":"begin","total":40}\n', "cut off"),
        (
            b'HTTP/1.1 401 Unauthorized\r\n\r\n{"error":"unauthorized","message":"no key"}',
            "no key; commands send the key",
        ),
    ],
)
def test_an_answer_that_cannot_be_used_is_reported_in_one_line(run, answer, reason) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:

        def serve() -> None:
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):  # closing with unread bytes would discard the answer
                    pass

        threads.submit(serve)
        result = run("migrate", "shop", "shop", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr


def test_databases_and_versions_are_listed(run, gateway, fleet) -> None:
    store(
        gateway, fleet, {**SHOP, "functions/more.sql": "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'"}
    )
    listed = run("schemas", fleet)
    assert [line.split("\t")[:2] for line in listed.stdout.splitlines()] == [["shop", "1"], ["shop", "2"]]
    databases = run("databases", fleet)
    assert [line.split("\t")[:3] for line in databases.stdout.splitlines()] == [
        [f"{fleet}_shop_{name}", "schema", "shop"] for name in "ab"
    ]


def test_a_platform_without_databases_is_named(run) -> None:
    listed = run("databases", "nobody")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "nobody has no databases\n")


def test_a_platform_without_schemas_is_named(run, gateway, platform) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    listed = run("schemas", platform)
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", f"{platform} has no stored schema\n")


def test_a_terminal_shows_a_progress_bar(environment, gateway, fleet, tmp_path) -> None:
    leader, follower = pty.openpty()
    command = [*COMMAND, "migrate", fleet, "shop"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        try:
            while data := os.read(leader, 4096):
                shown += data
        except OSError:  # the command has ended
            pass
        finally:
            os.close(leader)
    assert process.returncode == 0
    assert b"2/2" in shown
    assert b"completed: 0 updated, 2 unchanged" in shown

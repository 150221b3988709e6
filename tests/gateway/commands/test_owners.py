"""The commands that adopt and release databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from gateway.platforms import PlatformRegistry, SchemaUpload

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(postgres_url: str, tmp_path: Path) -> Run:
    def run(
        *arguments: str, answer: str = "", url: str = postgres_url, command: str = "adopt"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", command, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": "/", "DATABASE_URL": url},
            input=answer,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def by_hand(admin: psycopg.Connection, superuser: psycopg.Connection) -> Iterator[Callable[[str], None]]:
    made: list[sql.Identifier] = []

    def make(name: str) -> None:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(sql.Identifier(name))

    yield make
    for name in made:
        superuser.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def stamps(admin: psycopg.Connection, platform: str) -> dict[str, str | None]:
    query = "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE starts_with(datname, %s)"
    return dict(admin.execute(query, [platform]).fetchall())


def test_databases_to_adopt_are_shown_for_confirmation_first(run: Run, admin, by_hand, platform: str) -> None:
    by_hand(f"{platform}_main")
    declined = run(platform, answer="n\n")
    assert declined.returncode == 1
    assert f"{platform}_main: the main database" in declined.stdout
    assert stamps(admin, platform) == {f"{platform}_main": None}

    done = run(platform, answer="y\n")
    assert done.returncode == 0, done.stderr
    assert '"tenant_id":null' in (stamps(admin, platform)[f"{platform}_main"] or "")
    again = run(platform, "--yes")
    assert again.returncode == 1
    assert "already" in again.stderr


def test_a_released_database_has_its_earlier_comment_and_can_be_adopted_for_another(
    run: Run, admin, by_hand, platform: str
) -> None:
    old, new = f"{platform}_old", f"{platform}_new"
    by_hand(old)
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS 'the shop'").format(sql.Identifier(old)))
    assert run(platform, "--tenant-id", "old", "--yes").returncode == 0
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
    assert run(platform, "--tenant-id", "new", "--yes").returncode == 1
    try:
        declined = run(new, command="release", answer="n\n")
        assert declined.returncode == 1
        assert declined.stdout.startswith(f"{new}: tenant old of platform {platform}\n")
        assert '"tenant_id":"old"' in (stamps(admin, platform)[new] or "")

        done = run(new, command="release", answer="y\n")
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(f"Released {new}\n")
        assert stamps(admin, platform) == {new: "the shop"}
        assert run(platform, "--tenant-id", "new", "--yes").returncode == 0
    finally:
        admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(new)))


def test_only_databases_with_an_owner_are_released(run: Run, admin, by_hand, platform: str) -> None:
    for tenant in ("a", "b"):
        by_hand(f"{platform}_{tenant}")
    assert run(platform, "--tenant-id", "a", "--yes").returncode == 0
    before = stamps(admin, platform)
    for other, problem in (
        (f"{platform}_b", f"the database '{platform}_b' has no recorded owner"),
        (f"{platform}_c", f"there is no database '{platform}_c'"),
        ("_stonescriptdb_gateway_scratch", "there is no database '_stonescriptdb_gateway_scratch'"),
    ):
        result = run(f"{platform}_a", other, "--yes", command="release")
        assert (result.returncode, result.stderr) == (1, f"Error: {problem}\n")
    assert stamps(admin, platform) == before


def test_one_tenant_gets_the_id_that_the_application_uses(run: Run, admin, by_hand, platform: str) -> None:
    by_hand(f"{platform}_x_1")
    assert run(platform, "--tenant-id", "x-1", "--yes").returncode == 0
    assert '"tenant_id":"x-1"' in (stamps(admin, platform)[f"{platform}_x_1"] or "")
    other = run(platform, "--tenant-id", "x_1", "--yes")
    assert (other.returncode, len(other.stderr.splitlines())) == (1, 1)


def test_all_are_those_without_an_owner_and_named_so(run: Run, admin, by_hand, platform: str) -> None:
    for name in (f"{platform}_main", f"{platform}_a_1", f"{platform}_", f"{platform}_A", f"{platform}2_main"):
        by_hand(name)
    done = run(platform, "--all", "--yes")
    assert done.returncode == 0, done.stderr
    stamped = {name for name, stamp in stamps(admin, platform).items() if stamp}
    assert stamped == {f"{platform}_main", f"{platform}_a_1"}
    assert run(platform, "--all", "--yes").stdout.startswith("There is no database")


def test_failures_are_one_line(run: Run, platform: str) -> None:
    for arguments in ((platform,), (platform, "--tenant-id", "%"), ("%", "--all"), ("a" * 60,)):
        result = run(*arguments, "--yes")
        assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr
    away = run(platform, "--yes", url="postgres://nobody:s3cret@127.0.0.1:1/postgres")
    assert (away.returncode, len(away.stderr.splitlines())) == (1, 1), away.stderr
    assert "the settings name host=127.0.0.1 port=1 dbname=postgres user=nobody" in away.stderr
    assert "s3cret" not in away.stderr


def test_databases_of_a_stored_schema_are_adopted(run: Run, admin, by_hand, platform: str, tmp_path: Path) -> None:
    for name in ("a", "b_1"):
        by_hand(f"{platform}_shop_{name}")
    one = run(platform, "--schema", "shop", "--database-id", "b-1", "--yes")
    assert one.returncode == 0, one.stderr
    assert f"{platform}_shop_b_1: database b-1 of schema shop" in one.stdout
    every = run(platform, "--schema", "shop", "--all", "--yes")
    assert every.returncode == 0, every.stderr
    owners = [json.loads(stamp or "{}") for _, stamp in sorted(stamps(admin, platform).items())]
    assert [(owner["schema_name"], owner["database_id"]) for owner in owners] == [("shop", "a"), ("shop", "b-1")]
    assert (tmp_path / "data" / platform / "platform.json").exists()


def test_all_are_databases_of_the_stored_schema_in_their_name_or_else_tenants(
    run: Run, admin, by_hand, platform: str, tmp_path: Path
) -> None:
    for name in ("main", "x", "shop_a", "shop_eu_a", "shopping"):
        by_hand(f"{platform}_{name}")
    (tmp_path / "data").mkdir()
    registry = PlatformRegistry(tmp_path / "data")
    registry.register(platform)
    for schema in ("shop", "shop_eu"):
        files = {"tables/t.sql": b"CREATE TABLE t (id int);"}
        registry.store(platform, schema, SchemaUpload(files=files, checksum="c", sent_by=None, request_id="r"))
    done = run(platform, "--all", "--yes")
    assert done.returncode == 0, done.stderr
    stamped = {name: json.loads(stamp or "{}") for name, stamp in stamps(admin, platform).items()}
    owners = {
        name: (one.get("tenant_id"), one.get("schema_name"), one.get("database_id")) for name, one in stamped.items()
    }
    assert owners == {
        f"{platform}_main": (None, None, None),
        f"{platform}_x": ("x", None, None),
        f"{platform}_shop_a": (None, "shop", "a"),
        f"{platform}_shop_eu_a": (None, "shop_eu", "a"),
        f"{platform}_shopping": ("shopping", None, None),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        ["--database-id", "x"],
        ["--schema", "shop"],
        ["--schema", "shop", "--tenant-id", "x"],
        ["--schema", "shop", "--database-id", "x", "--all"],
    ],
)
def test_options_that_do_not_go_together_are_refused(run: Run, wrong) -> None:
    assert run("myapp", *wrong).returncode == 2

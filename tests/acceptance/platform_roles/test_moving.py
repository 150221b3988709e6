"""The command ``platform-roles``: databases from before PLATFORM_ROLES get the roles of their platforms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.acceptance.platform_roles.walls import (
    ROLE,
    RUN,
    SCHEMA,
    conninfo_url,
)
from tests.support.running_gateway import Gateway, make_archive, running_gateway


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways one after the other that share a DATA_DIR; each ends when the next begins."""
    with ExitStack() as stack:

        def begin(url: str, **settings: str) -> Gateway:
            stack.close()
            return stack.enter_context(running_gateway(url, tmp_path, **settings))

        yield begin


def command(url: str, folder: Path, *arguments: str, status: int = 0) -> str:
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "platform-roles", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr + done.stdout
    return done.stdout + done.stderr


def test_existing_databases_are_moved_over_while_they_are_served(
    url: str, gateway_role: str, tmp_path: Path, superuser: psycopg.Connection, start: Callable[..., Gateway]
) -> None:
    platform = f"older-{RUN}"
    old = start(url)
    for tenant in ("main", "t1"):
        form = {"platform": platform, "tenant_id": tenant, "schema": make_archive(SCHEMA)}
        assert old.post_form("/register", form).status == 200
    assert old.call(platform, "whoami").json["rows"] == [{"whoami": gateway_role}]
    too_early = start(url, PLATFORM_ROLES="on")
    answer = too_early.call(platform, "count_secrets")
    assert (answer.status, answer.json["error"]) == (409, "database_name_conflict")
    assert "platform-roles" in answer.json["message"]

    old = start(url)
    assert old.call(platform, "count_secrets").status == 200
    shown = command(url, tmp_path, "--platform", platform, "--yes")
    assert f"older_{RUN}_main: owned by {gateway_role}, open to every role; {ROLE(platform)} becomes the owner" in shown
    assert f"Moved older_{RUN}_t1" in shown
    assert "already" in command(url, tmp_path, "--platform", platform)
    owners = "SELECT datname, datdba::regrole::text FROM pg_database WHERE datname LIKE %s ORDER BY 1"
    assert superuser.execute(owners, [f"older\\_{RUN}%"]).fetchall() == [
        (f"older_{RUN}_main", ROLE(platform)), (f"older_{RUN}_t1", ROLE(platform)),
    ]  # fmt: skip
    assert old.call(platform, "count_secrets").json["rows"] == [{"count_secrets": 1}]

    walled = start(url, PLATFORM_ROLES="on")
    for tenant in ("main", "t1"):
        assert walled.call(platform, "whoami", tenant_id=tenant).json["rows"] == [{"whoami": ROLE(platform)}]
        assert walled.call(platform, "run", ["DROP TABLE secrets"], tenant_id=tenant).status == 200
    again = walled.register(platform, SCHEMA, tenant_id="t2")
    assert again.status == 200, again.json
    (tmp_path / "data/.platform-roles").unlink()
    assert f"Set the password of {ROLE(platform)}" in command(url, tmp_path, "--new-passwords")
    with psycopg.connect(conninfo_url(superuser, f"older_{RUN}_main")) as inside:
        query = "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        assert inside.execute(query).fetchall() == [(ROLE(platform),)]
    for database in (f"older_{RUN}_main", f"older_{RUN}_t1", f"older_{RUN}_t2"):
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def test_a_database_with_objects_of_a_third_role_is_not_moved_by_half(
    url: str, gateway_role: str, tmp_path: Path, superuser: psycopg.Connection, start: Callable[..., Gateway]
) -> None:
    platform, database = f"mixed-{RUN}", f"mixed_{RUN}_main"
    assert start(url).register(platform, SCHEMA).status == 200
    with psycopg.connect(conninfo_url(superuser, database), autocommit=True) as inside:
        inside.execute("CREATE TABLE by_hand (i int)")  # by the superuser
    shown = command(url, tmp_path, "--platform", platform, "--yes", status=1)
    assert f"1 objects in {database} belong to postgres and not to the gateway's role: by_hand (postgres)" in shown
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = %s"
    assert superuser.execute(owner, [database]).fetchone() == (gateway_role,)
    with psycopg.connect(conninfo_url(superuser, database), autocommit=True) as inside:
        inside.execute(sql.SQL("ALTER TABLE by_hand OWNER TO {}").format(sql.Identifier(gateway_role)))
    assert f"Moved {database}" in command(url, tmp_path, "--platform", platform, "--yes")
    superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

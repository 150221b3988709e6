"""Processes killed at random points of a migration of a fleet, while a database is made and a schema is stored.

``FLEET_SIZE=40 FLEET_KILLS=33 pytest tests/faults/test_fleet_crash.py -s`` is the long form, of which the table in
``docs/crashes.md`` was printed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.schemas import USERS
from tests.support.running_gateway import Gateway, make_archive
from tests.support.waiting import wait_until

SIZE = int(os.environ.get("FLEET_SIZE", "4"))
KILLS = int(os.environ.get("FLEET_KILLS", "1"))
UNFINISHED = "_stonescriptdb_gateway_new_"
CUT = (OSError, HTTPException)


def schema(version: int) -> bytes:
    """Return a version with so many columns by migrations, and a function that returns its number."""
    files = {f"migrations/{n:03}.sql": f"ALTER TABLE users ADD COLUMN c_{n} int;" for n in range(1, version + 1)}
    flag = f"CREATE FUNCTION flag() RETURNS int LANGUAGE sql AS 'SELECT {version}';"
    return make_archive({"tables/users.sql": USERS, "functions/flag.sql": flag, **files})


class Fleet:
    """A gateway that is killed and started again, and what its requests have left."""

    def __init__(self, start_gateway, server, folder: Path) -> None:
        self._start = start_gateway
        self._server = server
        self.folder = folder
        self.version = 0
        self.gateway: Gateway
        self.start()

    def start(self) -> None:
        self.gateway = self._start(
            DATABASE_URL=self._server.url, DATA_DIR=str(self.folder), WORKERS="2", PARALLEL_DEPLOYS="3"
        )

    def post(self, path: str, **body):
        return self.gateway.post_json(path, {"platform": "fleet", **body})

    def store(self) -> None:
        self.version += 1
        self.upload(self.version)

    def upload(self, version: int):
        fields = {"schema_name": "shop", "schema": schema(version)}
        return self.gateway.post_form("/platform/fleet/schema", fields)

    def names(self) -> list[str]:
        listed = self.gateway.get("/platform/fleet/databases").json["databases"]
        return [one["database_name"] for one in listed]

    def version_of(self, name: str) -> int:
        """Which version a database is at: in its columns, its function and its records alike."""
        with psycopg.connect(make_conninfo(self._server.url, dbname=name)) as connection:
            columns = "SELECT count(*) FROM information_schema.columns WHERE column_name LIKE 'c\\_%'"
            applied = "SELECT count(*) FROM _stonescriptdb_gateway_migrations"
            found = {connection.execute(query).fetchone()[0] for query in (columns, applied, "SELECT flag()")}
        assert len(found) == 1, (name, found)
        return found.pop()

    def kill(self, victim: str) -> None:
        if victim == "worker":
            pid = random.choice(self.gateway.worker_pids())
            os.kill(pid, signal.SIGKILL)
        elif victim == "gateway":
            for pid in [self.gateway.process.pid, *self.gateway.worker_pids()]:
                os.kill(pid, signal.SIGKILL)
            self.gateway.process.wait()
            self.start()
        else:
            self.kill_backend()

    def kill_backend(self) -> None:
        """Kill a session of the gateway's, which makes PostgreSQL cut all off and recover."""
        query = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'stonescriptdb-gateway')"
        with self._server.observe() as connection:
            pids = [pid for (pid,) in connection.execute(query)]
        if pids:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(random.choice(pids), signal.SIGKILL)
        wait_until(self._answers, pause_seconds=0.2)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), self._server.observe() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
        return False


@pytest.fixture
def fleet(start_gateway, own_server, tmp_path) -> Iterator[Fleet]:
    fleet = Fleet(start_gateway, own_server, tmp_path / "data")
    fleet.post("/platform/register")
    fleet.store()
    for number in range(SIZE):
        made = fleet.post("/database/create", schema_name="shop", database_id=f"d{number:02}")
        assert made.status == 201, made.json
    yield fleet
    with psycopg.connect(own_server.superuser_url, autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'fleet%'").fetchall():
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def cut_short(act, outcomes: Counter, name: str) -> threading.Thread:
    """Send a request that may lose its answer."""

    def run() -> None:
        try:
            outcomes[f"{name} {act().status}"] += 1
        except CUT:
            outcomes[f"{name} without an answer"] += 1

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("victim", ["worker", "gateway", "server"])
def test_every_database_is_old_or_new_and_the_next_run_finishes(fleet, own_server, victim) -> None:
    seconds, found, outcomes = 2.0, Counter(), Counter()
    for number in range(KILLS):
        fleet.store()
        requests = [
            cut_short(lambda: fleet.post("/v2/migrate", schema_name="shop"), outcomes, "migrate"),
            cut_short(
                lambda n=number: fleet.post("/database/create", schema_name="shop", database_id=f"x{n}"),
                outcomes,
                "create",
            ),
            cut_short(lambda: fleet.upload(fleet.version), outcomes, "upload"),
        ]
        time.sleep(random.uniform(0, seconds))
        fleet.kill(victim)
        for one in requests:
            one.join()
        wait_until(lambda: answers(fleet), pause_seconds=0.2)

        versions = [fleet.version_of(name) for name in fleet.names()]
        assert set(versions) <= {fleet.version - 1, fleet.version}
        assert len(versions) in (SIZE + number, SIZE + number + 1)
        found.update("new" if version == fleet.version else "old" for version in versions)

        began = time.monotonic()
        finished = wait_until(lambda: migrated(fleet), pause_seconds=0.2)
        seconds = time.monotonic() - began
        assert sorted(finished["databases_updated"]) == sorted(fleet.names())
        assert {fleet.version_of(name) for name in fleet.names()} == {fleet.version}
        if f"fleet_shop_x{number}" not in fleet.names():
            assert fleet.post("/database/create", schema_name="shop", database_id=f"x{number}").status == 201
        left = [path for path in fleet.folder.rglob(".incoming-*") if ".deploys" not in path.parts]
        assert left == []
        wait_until(lambda: nothing_unfinished(fleet, own_server), pause_seconds=0.5)
    print(f"\n| {victim} | {KILLS} | {SIZE} | {found['old']} | {found['new']} | {dict(sorted(outcomes.items()))} |")


def answers(fleet: Fleet) -> bool:
    with suppress(*CUT):
        return fleet.gateway.get("/health").json["status"] == "healthy"
    return False


def migrated(fleet: Fleet):
    with suppress(*CUT):
        answer = fleet.post("/v2/migrate", schema_name="shop")
        return answer.json if answer.status == 200 else None
    return None


def nothing_unfinished(fleet: Fleet, server) -> bool:
    """Run mend, and return whether nothing is left; the session that held its name may need some time to end."""
    environment = {**os.environ, **fleet.gateway.environment}
    command = [sys.executable, "-m", "gateway.cli", "mend"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    with server.observe() as connection:
        query = "SELECT FROM pg_database WHERE starts_with(datname, %s)"
        return connection.execute(query, [UNFINISHED]).fetchone() is None

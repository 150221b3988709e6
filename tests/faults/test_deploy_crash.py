"""A deploy that is cut off anywhere leaves the old database or the new one, and the next deploy succeeds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres
from migrations_engine import SCRATCH_NAME_PREFIX, DeployOptions, EngineError, deploy_schema, read_folder
from tests.support.structure import structure_of
from tests.support.waiting import wait_until

WORKER = Path(__file__).parent / "deploy_worker.py"
CRASHES = 6

OLD = {f"tables/t{n}.pssql": f"CREATE TABLE t{n} (id serial PRIMARY KEY, a int, b varchar(10));" for n in range(8)} | {
    f"functions/f{n}.pssql": f"CREATE FUNCTION f{n}() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t{n}'"
    for n in range(8)
}
NEW = (
    {
        f"tables/t{n}.pssql": f"CREATE TABLE t{n} (id serial PRIMARY KEY, a bigint, b varchar(20), c text DEFAULT 'c');"
        f"CREATE INDEX t{n}_a ON t{n} (a);"
        for n in range(9)
    }
    | {
        f"functions/f{n}.pssql": f"CREATE FUNCTION f{n}() RETURNS int LANGUAGE sql AS 'SELECT max(id) FROM t{n}'"
        for n in range(1, 9)
    }
    | {
        "types/mood.pssql": "CREATE TYPE mood AS ENUM ('a', 'b');",
        "migrations/001.pssql": "INSERT INTO t0 (a) VALUES (100); ALTER TABLE t1 ADD COLUMN m mood;",
        "seeders/t8.pssql": "INSERT INTO t8 (id) VALUES (1), (2);",
    }
)
OUTSIDE = NEW | {
    "migrations/002.pssql": "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY t0_b ON t0 (b);\n"
    "CREATE INDEX CONCURRENTLY t1_b ON t1 (b);\nCREATE INDEX CONCURRENTLY t2_b ON t2 (b);",
    "migrations/003.pssql": "INSERT INTO t0 (a) VALUES (300);",
}


class Deploys:
    """A database of a server that may be killed, and processes that deploy to it."""

    def __init__(self, server: EmbeddedPostgres, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._number = 0

    def new_database(self) -> str:
        self._number += 1
        name = f"crash_{self._number}"
        with psycopg.connect(self.server.url, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return make_conninfo(self.server.url, dbname=name)

    def write(self, name: str, files: dict[str, str]) -> Path:
        root = self.folder / name
        for label, text in files.items():
            (root / label).parent.mkdir(parents=True, exist_ok=True)
            (root / label).write_text(text)
        return root

    def deploy(self, conninfo: str, schema: Path) -> None:
        with psycopg.connect(conninfo) as connection:
            deploy_schema(connection, read_folder(schema), DeployOptions(purpose="migrate"))

    def start(self, conninfo: str, schema: Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER), conninfo, str(schema)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert worker.stdout.readline() == "ready\n"
        return worker

    def seconds(self, conninfo: str, schema: Path) -> float:
        worker = self.start(conninfo, schema)
        began = time.monotonic()
        assert worker.wait() == 0
        return time.monotonic() - began

    def wait_until_alone(self, conninfo: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            wait_until(lambda: connection.execute(others).fetchone() is None)

    def kill_server(self) -> None:
        """Stop it as a crash would, at once and without a checkpoint, and start it again."""
        pid = int((self.folder / "pg" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        self.server.stop()
        self.server.start()


@pytest.fixture(scope="module")
def deploys() -> Iterator[Deploys]:
    with tempfile.TemporaryDirectory(prefix="pg-crash-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "pg", durable=False) as server:  # processes are killed, not the machine
            with psycopg.connect(server.superuser_url, autocommit=True) as admin:
                admin.execute("ALTER SYSTEM SET synchronous_commit = on")
                admin.execute("SELECT pg_reload_conf()")
            yield Deploys(server, folder)


def kill_worker(deploys: Deploys, worker: subprocess.Popen[str], conninfo: str) -> None:
    worker.kill()
    worker.wait()
    deploys.wait_until_alone(conninfo)


def kill_server(deploys: Deploys, worker: subprocess.Popen[str], conninfo: str) -> None:
    deploys.kill_server()
    worker.wait()


@pytest.mark.parametrize("kill", [kill_worker, kill_server])
def test_a_crash_leaves_the_old_or_the_new_database(deploys: Deploys, kill: Callable[..., None]):
    old, new = deploys.write("old", OLD), deploys.write("new", NEW)
    reference = deploys.new_database()
    deploys.deploy(reference, old)
    before = contents(reference)
    needed = deploys.seconds(reference, new)
    after = contents(reference)
    seen = []
    for moment in moments(needed):
        conninfo = deploys.new_database()
        deploys.deploy(conninfo, old)
        worker = deploys.start(conninfo, new)
        time.sleep(moment)
        kill(deploys, worker, conninfo)
        found = contents(conninfo)
        assert found in (before, after)
        seen.append(found == before)
        deploys.deploy(conninfo, new)
        assert contents(conninfo) == after
    assert any(seen)


def test_a_crash_between_migrations_outside_a_transaction_is_resumed(deploys: Deploys):
    old, new = deploys.write("old", OLD), deploys.write("outside", OUTSIDE)
    reference = deploys.new_database()
    deploys.deploy(reference, old)
    needed = deploys.seconds(reference, new)
    after = contents(reference)
    for moment in moments(needed):
        conninfo = deploys.new_database()
        deploys.deploy(conninfo, old)
        worker = deploys.start(conninfo, new)
        time.sleep(moment)
        kill_worker(deploys, worker, conninfo)
        deploys.deploy(conninfo, new)
        assert contents(conninfo) == after


def test_a_stopping_server_is_reported_as_a_lost_connection(deploys: Deploys):
    conninfo = deploys.new_database()
    fatal = "CREATE TABLE t (a int); SELECT pg_terminate_backend(pg_backend_pid());"
    with pytest.raises(EngineError) as failure:
        deploys.deploy(conninfo, deploys.write("fatal", {"migrations/001.pssql": fatal}))
    assert failure.value.code == "connection_failed"
    assert structure_of(conninfo) == structure_of(deploys.new_database())


def test_scratch_databases_left_by_a_crash_are_dropped_once_they_are_old(deploys: Deploys):
    left, recent = f"{SCRATCH_NAME_PREFIX}_1000000000_dead", f"{SCRATCH_NAME_PREFIX}_{int(time.time())}_beef"
    used = f"{SCRATCH_NAME_PREFIX}_1000000000_used"
    with psycopg.connect(deploys.server.url, autocommit=True) as admin:
        for name in (left, recent, used):
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(make_conninfo(deploys.server.url, dbname=used)):
            conninfo = deploys.new_database()
            deploys.deploy(conninfo, deploys.write("old", OLD))
            deploys.deploy(conninfo, deploys.write("new", NEW))
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        names = {name for (name,) in admin.execute(query, [SCRATCH_NAME_PREFIX])}
    assert left not in names
    assert {recent, used} <= names


def moments(seconds: float) -> list[float]:
    """When to strike: at once, and all over the time a deploy needs, elsewhere in every run."""
    return [0, *(seconds * (number + random.random()) / CRASHES for number in range(CRASHES))]


def contents(conninfo: str) -> tuple[object, ...]:
    """The structure, the rows that a migration made, and the records of the deploy."""
    with psycopg.connect(conninfo) as connection:
        rows = [
            connection.execute(query).fetchall()
            for query in (
                "SELECT a FROM t0 ORDER BY 1",
                "SELECT migration_file, statements_done FROM _stonescriptdb_gateway_migrations ORDER BY 1",
                "SELECT signature, body_checksum FROM _stonescriptdb_gateway_functions ORDER BY 1",
                "SELECT table_name, checksum FROM _stonescriptdb_gateway_tables ORDER BY 1",
            )
        ]
    return structure_of(conninfo), rows

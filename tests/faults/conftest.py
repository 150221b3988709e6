"""For tests that break things: a PostgreSQL of their own, worker processes, and a sampler of what exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.embedded import EmbeddedPostgres

WORKER = Path(__file__).parent / "load_worker.py"


OBSERVER = "observer"  # the application name of connections that belong to the test, and are not counted


class Server(EmbeddedPostgres):
    """A PostgreSQL no other module uses, with a log of every connection."""

    SETTINGS: ClassVar = {"log_connections": "on", "log_disconnections": "on", "log_line_prefix": "%p "}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, durable=False)
        self.log = folder / "server.log"

    def observe(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(make_conninfo(self.url, dbname=database, application_name=OBSERVER), autocommit=True)

    def log_connections(self) -> None:
        with self.observe() as connection:
            for name, value in self.SETTINGS.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
            connection.execute("SELECT pg_reload_conf()")
        while not self._logs():  # a session keeps what it began with, so each look needs a new one
            time.sleep(0.01)

    def _logs(self) -> bool:
        with self.observe() as connection:
            return connection.execute("SHOW log_disconnections").fetchone() == ("on",)

    def most_alive(self, after: int) -> int:
        """The most connections alive at once, by the server's log after a byte offset.

        A backend is logged before it enters pg_stat_activity and after it has left it, and the lines are in order: so
        this is exact, which a sample, read row by row while backends come and go, is not.
        """
        lines = self.log.read_bytes()[after:].decode(errors="replace").splitlines()
        events = [match.groups() for line in lines if (match := LOGGED.match(line))]
        ours = {
            pid for pid, what, rest in events if what == "authorized" and f"application_name={OBSERVER}" not in rest
        }
        alive: set[str] = set()
        most = 0
        for pid, what, _ in events:
            if what == "received" and pid in ours:
                alive.add(pid)
            elif what == "disconnection":
                alive.discard(pid)
            most = max(most, len(alive))
        return most


LOGGED = re.compile(r"(\d+) LOG:  (?:connection )?(received|authorized|disconnection)(.*)")


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pg-faults-") as folder, Server(Path(folder)) as server:
        server.log_connections()
        yield server


@pytest.fixture(scope="module")
def databases(own_server: Server) -> list[str]:
    names = [f"tenant_{number:02}" for number in range(40)]
    with own_server.observe() as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(name)))
    return names


class Sampler:
    """Counts client backends over and over, and afterwards in the server's log, on a connection it does not count."""

    QUERY = b"""SELECT count(*), coalesce(max(per_database) FILTER (WHERE datname <> 'postgres'), 0),
                       extract(epoch FROM clock_timestamp() - statement_timestamp()) < 0.005
        FROM (SELECT datname, count(*) OVER (PARTITION BY datname) AS per_database FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND application_name <> 'observer') AS backends"""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._log_offset = server.log.stat().st_size
        self._connection = server.observe()
        self.samples: list[int] = []
        self.most_per_database = 0
        self.error: Exception | None = None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                count, per_database, at_once = self._connection.execute(self.QUERY).fetchone()
                if at_once:  # a reading that was interrupted shows backends that never were there together
                    self.samples.append(count)
                    self.most_per_database = max(self.most_per_database, per_database)
                self._stop.wait(0.0005)
        except psycopg.OperationalError as error:  # the server was stopped, which only some tests do
            self.error = error

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def most(self) -> int:
        """The most connections there ever were, in the samples and in the log alike."""
        assert self.error is None
        assert len(self.samples) > 100
        logged = self._server.most_alive(self._log_offset)
        assert max(self.samples) <= logged
        return logged


class LoadWorker:
    """A process of ``load_worker.py``."""

    def __init__(self, task: dict) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()

    def wait_until_ready(self) -> None:
        assert self.process.stdout.readline() == "ready\n"

    def stop(self) -> dict[str, int]:
        out, _ = self.process.communicate("stop\n", timeout=60)
        assert self.process.returncode == 0
        return json.loads(out)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start_worker(own_server: Server, databases: list[str], tmp_path: Path) -> Iterator[Callable]:
    """Start a worker process with some of its task given; all of a test share one budget."""
    workers: list[LoadWorker] = []

    def start(*, ready: bool = True, limit: int = 24, per_pool: int = 10, **task) -> LoadWorker:
        registry = {
            "conninfo": own_server.url,
            "max_total_connections": limit,
            "max_connections_per_pool": per_pool,
            "max_pools": limit,
            "idle_timeout_seconds": 60,
            "max_lifetime_seconds": 60,
            "wait_timeout_seconds": 5,
        } | task.pop("registry", {})
        defaults = {"threads": 16, "databases": databases, "query_seconds": 0.004, "seed": len(workers)}
        worker = LoadWorker({"slots_path": str(tmp_path / "slots"), "registry": registry} | defaults | task)
        workers.append(worker)
        if ready:
            worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()


@pytest.fixture
def sampler(own_server: Server, databases: list[str]) -> Iterator[Sampler]:
    with Sampler(own_server) as sampler:
        yield sampler

"""For tests with faults: a PostgreSQL of their own, worker processes, and a sampler of connections."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.errors import PoolExhausted
from gateway.pools import ConnectionRegistry, PoolOptions
from tests.support.waiting import PATIENCE_SECONDS, wait_until

WORKER = Path(__file__).parent / "load_worker.py"


OBSERVER = "observer"  # the application name of connections that belong to the test, and are not counted


class LoggingServer(EmbeddedPostgres):
    """A PostgreSQL no other module uses, with a log of every connection."""

    SETTINGS: ClassVar = {"log_connections": "on", "log_disconnections": "on", "log_line_prefix": "%p "}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, durable=False)
        self.log = folder / "server.log"

    def observe(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(make_conninfo(self.url, dbname=database, application_name=OBSERVER), autocommit=True)

    def log_connections(self) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            for name, value in self.SETTINGS.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
            connection.execute("SELECT pg_reload_conf()")
        wait_until(self._logs)  # a session keeps its first snapshot, so each sample needs a new one

    def _logs(self) -> bool:
        with self.observe() as connection:
            return connection.execute("SHOW log_disconnections").fetchone() == ("on",)

    def most_alive(self, after: int, *, start: str = "received") -> tuple[int, int]:
        """Return the maximum of connections at once, and to one database, by the server's log after a byte offset.

        A backend is logged before it enters pg_stat_activity and after it has left it, and the lines are in order: so
        this is exact, unlike a sample, which is read row by row while backends start and end. Where the gateway learns
        from pg_stat_activity that a lost backend has ended, the next one may be received before that is logged, and on
        a busy machine also authorized. Then *start* is "authorized", and a backend that was terminated counts until it
        has logged that it will end.
        """
        ends = {"disconnection"} | ({"terminating"} if start == "authorized" else set())
        lines = self.log.read_bytes()[after:].decode(errors="replace").splitlines()
        events = [match.groups() for line in lines if (match := LOGGED.match(line))]
        databases = {
            pid: LOGGED_DATABASE.findall(rest)[0]
            for pid, what, rest in events
            if what == "authorized" and f"application_name={OBSERVER}" not in rest
        }
        alive: set[str] = set()
        per_database: Counter[str] = Counter()
        most = most_per_database = 0
        for pid, what, _ in events:
            if what == start and pid in databases:
                alive.add(pid)
                per_database[databases[pid]] += 1
                most_per_database = max(most_per_database, per_database[databases[pid]])
            elif what in ends and pid in alive:
                alive.discard(pid)
                per_database[databases[pid]] -= 1
            most = max(most, len(alive))
        return most, most_per_database


LOGGED = re.compile(r"(\d+) (?:LOG|FATAL):  (?:connection )?(received|authorized|terminating|disconnection)(.*)")
LOGGED_DATABASE = re.compile(r" database=(\S+)")


@pytest.fixture(scope="module")
def own_server() -> Iterator[LoggingServer]:
    with tempfile.TemporaryDirectory(prefix="pg-faults-") as folder, LoggingServer(Path(folder)) as server:
        server.log_connections()
        yield server


@pytest.fixture(scope="module")
def databases(own_server: LoggingServer) -> list[str]:
    names = [f"tenant_{number:02}" for number in range(40)]
    with own_server.observe() as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(name)))
    return names


class Sampler:
    """Counts the gateway's backends repeatedly, and afterwards in the server's log, on a connection of its own.

    A backend has its application name only after its start; the log has it from the first line.
    """

    QUERY = b"""SELECT count(*), extract(epoch FROM clock_timestamp() - statement_timestamp()) < 0.002
        FROM pg_stat_activity WHERE starts_with(application_name, 'stonescriptdb-gateway')"""

    def __init__(self, server: LoggingServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._log_offset = server.log.stat().st_size
        self._connection = server.observe()
        self.samples: list[int] = []
        self.error: Exception | None = None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                count, at_once = self._connection.execute(self.QUERY).fetchone()
                if at_once:  # a reading that was interrupted shows backends that never were there together
                    self.samples.append(count)
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
        wait_until(lambda: self.error or self.samples)
        assert self.error is None
        logged, _ = self._server.most_alive(self._log_offset)
        assert max(self.samples) <= logged
        return logged

    def most_per_database(self) -> int:
        """The most connections there ever were to one database."""
        return self._server.most_alive(self._log_offset)[1]


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

    def progress(self) -> Counter[str]:
        """Return the outcomes of its leases so far."""
        self.process.stdin.write("tell\n")
        self.process.stdin.flush()
        return Counter(json.loads(self.process.stdout.readline()))

    def wait_for(self, *, more: int, of: str = "right") -> None:
        """Wait until *more* leases than now have this outcome."""
        before = self.progress()[of]
        wait_until(lambda: self.progress()[of] >= before + more, pause_seconds=0.1)

    def wait_for_every(self, databases: list[str]) -> None:
        """Wait until each of the databases has been used."""
        wait_until(lambda: {f"on {name}" for name in databases} <= set(self.progress()), pause_seconds=0.1)

    def stop(self) -> Counter[str]:
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0
        return Counter(json.loads(out))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class SharedBudget:
    """A budget that the workers of a test share."""

    def __init__(self, server: LoggingServer, slots_path: Path, databases: list[str]) -> None:
        self._server = server
        self._slots_path = slots_path
        self._databases = databases

    def settings(self, *, limit: int, per_pool: int, **changes) -> dict:
        """Return the arguments of a registry that uses this budget."""
        return {
            "conninfo": self._server.url,
            "max_total_connections": limit,
            "max_connections_per_pool": per_pool,
            "max_pools": limit,
            "idle_timeout_seconds": 600,
            "max_lifetime_seconds": 600,
            "wait_timeout_seconds": PATIENCE_SECONDS,  # nothing here may fail because the machine is slow
            "slots_path": str(self._slots_path),
        } | changes

    def use_up(self, limit: int, *, per_pool: int = 10, databases: list[str] | None = None) -> None:
        """Lease every connection of the budget at the same time, and check that there is not one more.

        All except the one that is reserved for checking lost connections.
        """
        registry = ConnectionRegistry(
            PoolOptions(**self.settings(limit=limit, per_pool=per_pool) | {"slots_path": self._slots_path})
        )
        registry.open()
        names = databases or self._databases
        try:
            with ExitStack() as leases:
                for number in range(min(limit - 1, per_pool * len(names))):
                    leases.enter_context(registry.lease(names[number % len(names)]))
                with pytest.raises(PoolExhausted), registry.lease(names[0], wait_timeout_seconds=0.1):
                    pass
        finally:
            registry.close()


@pytest.fixture
def budget(own_server: LoggingServer, databases: list[str], tmp_path: Path) -> SharedBudget:
    return SharedBudget(own_server, tmp_path / "slots", databases)


@pytest.fixture
def start_worker(databases: list[str], budget: SharedBudget) -> Iterator[Callable]:
    """Start a worker process with some of its task given; all of a test share one budget."""
    workers: list[LoadWorker] = []

    def start(*, limit: int = 24, per_pool: int = 10, **task) -> LoadWorker:
        defaults = {
            "registry": budget.settings(limit=limit, per_pool=per_pool),
            "threads": 16,
            "databases": databases,
            "query_seconds": 0.004,
            "seed": len(workers),
        }
        worker = LoadWorker(defaults | task)
        workers.append(worker)
        worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()


@pytest.fixture
def sampler(own_server: LoggingServer, databases: list[str]) -> Iterator[Sampler]:
    with Sampler(own_server) as sampler:
        yield sampler

"""The cost of operations on many databases: an unchanged deploy, a migration, the status, each relative to a minimum.

Run ``python -m benchmarks.bench_fleet [--databases N] [--postgres-version 16|18]``. Everything runs eight
at a time. An unchanged deploy is compared with connecting to each database and reading its mark, which shows whether a
catalog has changed; the status with an unchanged deploy; a migration with the same statement through ``psql``, a
process for each database. So is the least that a gateway has to do for a migration: the lock of the database, the
statement and its records, with nothing proved. CPU time, of the client or gateway and of PostgreSQL, depends less on
other load than wall time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres, packaged_programs
from migrations_engine.catalog import READ_MARK
from tests.support.running_gateway import Gateway, make_archive, running_gateway

AT_ONCE = 8

RECORDED = """
    SELECT pg_advisory_xact_lock(1);
    ALTER TABLE t00 ADD COLUMN recorded text;
    INSERT INTO _stonescriptdb_gateway_migrations (migration_file, checksum) VALUES ('recorded.sql', md5('recorded'));
    INSERT INTO _stonescriptdb_gateway_changelog (change_type, object_name) VALUES ('migration', 'recorded.sql');
"""

_TICKS = os.sysconf("SC_CLK_TCK")


def schema(columns: int) -> bytes:
    files = {
        f"tables/t{n:02}.sql": f"CREATE TABLE t{n:02} (id serial PRIMARY KEY, name text NOT NULL, made timestamptz);"
        for n in range(20)
    }
    files |= {
        f"functions/f{n:02}.sql": f"CREATE FUNCTION f{n:02}(i int) RETURNS int LANGUAGE sql AS 'SELECT i + {n}';"
        for n in range(20)
    }
    files |= {f"migrations/{n}.sql": f"ALTER TABLE t00 ADD COLUMN c{n} text;" for n in range(columns)}
    return make_archive(files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Wall time, and CPU time of the client's side and of PostgreSQL, in seconds."""

    clock: float
    client: float
    server: float

    def compared(self, other: Cost) -> str:
        clock, processors = self.clock / other.clock, (self.client + self.server) / (other.client + other.server)
        return f"{self}   {clock:5.2f}   {processors:5.2f}"

    def __str__(self) -> str:
        return f"{self.clock:7.2f} s   {self.client:7.2f} s   {self.server:7.2f} s"


def ticks(pid: int, *places: int) -> float:
    """Return the sum of some CPU times of a process, by their positions in ``/proc/*/stat``."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[place - 3]) for place in places) / _TICKS


class Fleet:
    """The measured operations."""

    def __init__(self, gateway: Gateway, url: str, postmaster: int, psql: Path, count: int) -> None:
        self._gateway = gateway
        self._psql = psql
        self._url = url
        self._postmaster = postmaster
        gateway.post_json("/platform/register", {"platform": "bench"})
        self.store(0)
        for number in range(count):
            body = {"platform": "bench", "schema_name": "s", "database_id": str(number)}
            assert gateway.post_json("/database/create", body).status == 201
        self._names = [f"bench_s_{number}" for number in range(count)]

    def store(self, columns: int) -> None:
        fields = {"schema_name": "s", "schema": schema(columns)}
        assert self._gateway.post_form("/platform/bench/schema", fields).status == 201

    def migrate(self) -> None:
        answer = self._gateway.post_json("/v2/migrate", {"platform": "bench", "schema_name": "s"})
        assert answer.status == 200, answer.body

    def status(self) -> None:
        assert self._gateway.get("/platform/bench/status").status == 200

    def cost(self, act: Callable[[], object]) -> Cost:
        """Run *act*, and return the time it took."""
        began, before = time.perf_counter(), self._processors()
        act()
        clock = time.perf_counter() - began
        time.sleep(0.5)  # until the backends have ended, whose times the postmaster has then
        after = self._processors()
        return Cost(clock=clock, client=after[0] - before[0], server=after[1] - before[1])

    def _processors(self) -> tuple[float, float]:
        own = ticks(os.getpid(), 14, 15, 16, 17)
        workers = sum(ticks(pid, 14, 15) for pid in self._gateway.worker_pids())
        return own + workers, ticks(self._postmaster, 14, 15, 16, 17)

    def read_marks(self) -> None:
        self._in_all(self._read_mark)

    def run_psql(self) -> None:
        self._in_all(self._run_psql)

    def run_recorded(self) -> None:
        self._in_all(self._run_recorded)

    def _in_all(self, act: Callable[[str], object]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(act, self._names))

    def _read_mark(self, name: str) -> None:
        with psycopg.connect(make_conninfo(self._url, dbname=name)) as connection:
            connection.execute(READ_MARK)

    def _run_psql(self, name: str) -> None:
        statement = "ALTER TABLE t00 ADD COLUMN by_psql text"
        command = [self._psql, "-q1d", make_conninfo(self._url, dbname=name), "-c", statement]
        subprocess.run(command, check=True)

    def _run_recorded(self, name: str) -> None:
        with psycopg.connect(make_conninfo(self._url, dbname=name)) as connection:
            connection.execute(RECORDED)


def run(fleet: Fleet) -> None:
    fleet.migrate()
    fleet.status()  # so that no measured operation is the first to read its tables
    marks, nothing, status = fleet.cost(fleet.read_marks), fleet.cost(fleet.migrate), fleet.cost(fleet.status)
    fleet.store(1)
    migration = fleet.cost(fleet.migrate)
    by_psql, recorded = fleet.cost(fleet.run_psql), fleet.cost(fleet.run_recorded)
    print(f"{'':30}{'clock':>9}{'client':>12}{'PostgreSQL':>12}   ratio of the clock, of the processors")
    print(f"{'connect and ask for the mark':30}{marks}")
    print(f"{'nothing to do':30}{nothing.compared(marks)}   of that")
    print(f"{'status':30}{status.compared(nothing)}   of nothing to do")
    print(f"{'one statement through psql':30}{by_psql}")
    print(f"{'the same with its records':30}{recorded.compared(by_psql)}   of psql")
    print(f"{'one migration':30}{migration.compared(by_psql)}   of psql")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres-version", type=int, default=18)
    parser.add_argument("--databases", type=int, default=200)
    arguments = parser.parse_args()
    programs = packaged_programs(arguments.postgres_version)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        tempfile.TemporaryDirectory(prefix="pg-") as data,
        EmbeddedPostgres(Path(data), programs=programs) as server,
        running_gateway(server.url, Path(folder), PARALLEL_DEPLOYS=str(AT_ONCE)) as gateway,
    ):
        postmaster = int((Path(data) / "data" / "postmaster.pid").read_text().split()[0])
        run(Fleet(gateway, server.url, postmaster, programs.folder / "psql", arguments.databases))


if __name__ == "__main__":
    main()

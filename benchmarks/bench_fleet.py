"""What a fleet costs: nothing to do, one migration, and the status, against the least that each could be.

Run ``PYTHONPATH=. python benchmarks/bench_fleet.py [--databases N] [--postgres-version 16|18]``. Everything runs eight
at a time. Nothing to do is compared with connecting to each database and reading its catalog once; a migration with
the same statement through ``psql -1``, a process for each database; the status with nothing to do.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.postgres_programs import packaged_programs
from migrations_engine.queries import load_queries
from tests.support.running_gateway import Gateway, make_archive, running_gateway

AT_ONCE = 8
_CATALOG = load_queries("migrations_engine.catalog")["catalog"]


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


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


class Fleet:
    """The measured deeds."""

    def __init__(self, gateway: Gateway, server: EmbeddedPostgres, psql: Path, count: int) -> None:
        self._gateway = gateway
        self._psql = psql
        self._url = server.url
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

    def read_catalogs(self) -> None:
        self._in_all(self._read_catalog)

    def run_psql(self) -> None:
        self._in_all(self._run_psql)

    def _in_all(self, act: Callable[[str], object]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(act, self._names))

    def _read_catalog(self, name: str) -> None:
        with psycopg.connect(make_conninfo(self._url, dbname=name)) as connection:
            connection.execute(_CATALOG).fetchone()

    def _run_psql(self, name: str) -> None:
        statement = "ALTER TABLE t00 ADD COLUMN by_psql text"
        command = [self._psql, "-q1d", make_conninfo(self._url, dbname=name), "-c", statement]
        subprocess.run(command, check=True)


def run(fleet: Fleet) -> None:
    fleet.migrate()
    catalogs, nothing = timed(fleet.read_catalogs), timed(fleet.migrate)
    status = timed(fleet.status)
    fleet.store(1)
    migration = timed(fleet.migrate)
    by_psql = timed(fleet.run_psql)
    print(f"connect and read the catalog  {catalogs:7.2f} s")
    print(f"nothing to do                 {nothing:7.2f} s   {nothing / catalogs:.2f} of that")
    print(f"status                        {status:7.2f} s   {status / nothing:.2f} of nothing to do")
    print(f"one statement through psql    {by_psql:7.2f} s")
    print(f"one migration                 {migration:7.2f} s   {migration / by_psql:.2f} of psql")


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
        run(Fleet(gateway, server, programs.folder / "psql", arguments.databases))


if __name__ == "__main__":
    main()

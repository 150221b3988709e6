"""The cost of a deploy: of an unchanged schema relative to a bare catalog query, of a new one relative to ``psql -1``.

Run ``python -m benchmarks.bench_deploy [--postgres-version 16|18] [--rounds N]``. Every figure is a ratio of medians
of alternating measurements in the same run, because machines are noisy.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres, packaged_programs
from migrations_engine import DeployOptions, DesiredSchemas, Schema, SchemaFile, deploy_schema
from migrations_engine.queries import load_queries

TABLES = 60
FUNCTIONS = 120
_CATALOG = load_queries("migrations_engine.catalog")["catalog"]


def schema() -> Schema:
    """Return sixty tables in chains of foreign keys, with indexes and checks, and 120 functions on them."""
    tables = []
    for n in range(TABLES):
        parent = f"parent_id int REFERENCES table_{n - 1:03}(id)," if n % 10 else ""
        text = f"""CREATE TABLE table_{n:03} (id serial PRIMARY KEY, {parent} name varchar(100) NOT NULL,
            amount numeric(10,2) DEFAULT 0 CHECK (amount >= 0), made timestamptz NOT NULL DEFAULT now(), note text);
            CREATE INDEX table_{n:03}_name ON table_{n:03} (name);"""
        tables.append(SchemaFile(folder="tables", path=f"table_{n:03}.pssql", content=text.encode()))
    functions = []
    for n in range(FUNCTIONS):
        text = f"""CREATE OR REPLACE FUNCTION function_{n:03}(p_name text, p_limit int DEFAULT 10)
            RETURNS TABLE (id int, name text, amount numeric) LANGUAGE plpgsql AS $$
            BEGIN
                -- the rows of that name, the dearest first
                RETURN QUERY SELECT t.id, t.name::text, t.amount FROM table_{n % TABLES:03} t
                    WHERE t.name = p_name ORDER BY t.amount DESC LIMIT p_limit;
            END $$;"""
        functions.append(SchemaFile(folder="functions", path=f"function_{n:03}.pssql", content=text.encode()))
    return Schema(tables=tuple(tables), functions=tuple(functions))


class Bench:
    """The measured operations, each on databases of its own."""

    def __init__(self, server: EmbeddedPostgres, psql: Path) -> None:
        self._server = server
        self._psql = psql
        self._schema = schema()
        self._number = 0
        self._admin = psycopg.connect(server.url, autocommit=True)
        self._options = DeployOptions(desired_schemas=DesiredSchemas())

    def new_database(self) -> str:
        self._number += 1
        name = f"bench_{self._number}"
        self._admin.execute(f"CREATE DATABASE {name}".encode())
        return make_conninfo(self._server.url, dbname=name)

    def deploy(self, conninfo: str) -> None:
        with psycopg.connect(conninfo) as connection:
            deploy_schema(connection, self._schema, self._options)

    def catalog_query(self, conninfo: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(_CATALOG).fetchone()

    def replay(self, conninfo: str) -> None:
        files = (*self._schema.tables, *self._schema.functions)
        script = b"\n".join(file.content for file in files)
        subprocess.run([self._psql, "-1", "-q", "-v", "ON_ERROR_STOP=1", conninfo], input=script, check=True)

    def statements_of(self, conninfo: str) -> int:
        with tempfile.TemporaryFile("w+") as trace, psycopg.connect(conninfo) as connection:
            connection.pgconn.trace(trace.fileno())
            deploy_schema(connection, self._schema, self._options)
            connection.pgconn.untrace()
            trace.seek(0)
            return sum(1 for line in trace if "\tF\t" in line and ("\tQuery\t" in line or "\tExecute\t" in line))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres-version", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    programs = packaged_programs(arguments.postgres_version)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "pg", programs=programs) as server:
            bench = Bench(server, programs.folder / "psql")
            unchanged = bench.new_database()
            bench.deploy(unchanged)
            print(f"statements of an unchanged deploy: {bench.statements_of(unchanged)}")
            times: dict[str, list[float]] = {"unchanged": [], "catalog": [], "first": [], "replay": []}
            for _ in range(arguments.rounds):
                times["catalog"].append(seconds(lambda: bench.catalog_query(unchanged)))
                times["unchanged"].append(seconds(lambda: bench.deploy(unchanged)))
                times["replay"].append(seconds(lambda: bench.replay(bench.new_database())))
                times["first"].append(seconds(lambda: bench.deploy(bench.new_database())))
            medians = {name: statistics.median(values) * 1000 for name, values in times.items()}
            for name, median in medians.items():
                print(f"{name:10} {median:8.1f} ms (median of {arguments.rounds})")
            print(f"unchanged deploy / (connect + catalog query): {medians['unchanged'] / medians['catalog']:.2f}")
            print(f"first deploy / (CREATE DATABASE + psql -1):    {medians['first'] / medians['replay']:.2f}")


if __name__ == "__main__":
    main()

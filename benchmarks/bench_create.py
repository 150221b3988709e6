"""The cost of ``/database/create``, relative to a bare copy of the same database and to a deploy of the files.

Run ``python -m benchmarks.bench_create [--postgres-version 16|18] [--rounds N]``. The schema has 40 tables
and 80 functions. Each round creates one database in each way; the ratios are of medians, because machines are noisy.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from gateway.embedded_postgres import EmbeddedPostgres, packaged_programs
from tests.support.running_gateway import Gateway, make_archive, running_gateway

TABLES = 40
FUNCTIONS = 80


def schema() -> dict[str, str]:
    files = {"seeders/table_00.sql": "INSERT INTO table_00 (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');\n"}
    for n in range(TABLES):
        files[f"tables/table_{n:02}.sql"] = (
            f"CREATE TABLE table_{n:02} (id serial PRIMARY KEY, name text NOT NULL, amount numeric(10,2) DEFAULT 0,"
            f" made timestamptz NOT NULL DEFAULT now());\nCREATE INDEX table_{n:02}_name ON table_{n:02} (name);\n"
        )
    for n in range(FUNCTIONS):
        files[f"functions/function_{n:02}.sql"] = (
            f"CREATE OR REPLACE FUNCTION function_{n:02}(p_id int) RETURNS SETOF table_{n % TABLES:02} LANGUAGE plpgsql"
            f" AS $$ BEGIN RETURN QUERY SELECT * FROM table_{n % TABLES:02} WHERE id = p_id; END $$;\n"
        )
    return files


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def run(gateway: Gateway, replaying: Gateway, admin: psycopg.Connection, rounds: int) -> None:
    archive = make_archive(schema())
    for one in (gateway, replaying):
        one.post_json("/platform/register", {"platform": "bench"})
        one.post_form("/platform/bench/schema", {"schema_name": "s", "schema": archive})

    def create(through: Gateway, name: str) -> None:
        answer = through.post_json("/database/create", {"platform": "bench", "schema_name": "s", "database_id": name})
        assert answer.status == 201, answer.body

    create(gateway, "warm")
    create(replaying, "warm_replayed")
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, '_stonescriptdb_gateway_template_')"
    [(template,)] = admin.execute(query).fetchall()
    copies, creates, replays = [], [], []
    for number in range(rounds):
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(f"bare_{number}"), sql.Identifier(template)
        )
        copies.append(timed(lambda statement=statement: admin.execute(statement)))
        creates.append(timed(lambda number=number: create(gateway, f"c{number}")))
        replays.append(timed(lambda number=number: create(replaying, f"r{number}")))
    copy, made, replayed = (statistics.median(times) for times in (copies, creates, replays))
    print(f"bare copy                 {copy * 1000:7.1f} ms")
    print(f"/database/create          {made * 1000:7.1f} ms   {made / copy:.2f} of the bare copy")
    print(f"without templates         {replayed * 1000:7.1f} ms   {replayed / copy:.2f} of the bare copy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres-version", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        tempfile.TemporaryDirectory(prefix="pg-") as data,
        EmbeddedPostgres(Path(data), programs=packaged_programs(arguments.postgres_version)) as server,
        running_gateway(server.url, Path(folder) / "copying") as copying,
        running_gateway(server.url, Path(folder) / "replaying", TEMPLATE_DATABASES="0") as replaying,
        psycopg.connect(server.url, autocommit=True) as admin,
    ):
        run(copying, replaying, admin, arguments.rounds)


if __name__ == "__main__":
    main()

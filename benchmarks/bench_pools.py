"""The cost of the pools: a lease, a first connection, many databases in turn, memory. Prints a table of ratios.

Run ``python -m benchmarks.bench_pools [--databases 400]`` on a quiet machine; it starts a PostgreSQL of its own.
Each figure is the median of several rounds, alternating with its baseline.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import perf_counter, process_time

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.pools import ConnectionRegistry, PoolOptions

BUDGET = 200
ROUNDS = 9


@contextmanager
def registry(url: str, folder: Path, **changes: int) -> Iterator[ConnectionRegistry]:
    options = {
        "conninfo": url,
        "max_total_connections": BUDGET,
        "max_connections_per_pool": 10,
        "max_pools": BUDGET,
        "idle_timeout_seconds": 600,
        "max_lifetime_seconds": 3600,
        "wait_timeout_seconds": 5,
        "slots_path": folder / "slots",
    }
    registry = ConnectionRegistry(PoolOptions(**options | changes))
    registry.open()
    try:
        yield registry
    finally:
        registry.close()


def compare(ours: Callable[[], float], other: Callable[[], float]) -> tuple[float, float, float]:
    """Measure both in turn; return both medians and the median of the ratios ``ours / other``."""
    pairs = [(ours(), other()) for _ in range(ROUNDS)]
    return (
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        statistics.median(mine / theirs for mine, theirs in pairs),
    )


def show(what: str, unit: str, other: str, figures: tuple[float, float, float]) -> None:
    ours, theirs, ratio = figures
    print(f"{what:28} {ours:9.3f} {unit}   {other:32} {theirs:9.3f} {unit}   ratio {ratio:5.2f}")


def cpu_us(action: Callable[[], object], count: int = 20_000) -> float:
    began = process_time()
    for _ in range(count):
        action()
    return (process_time() - began) / count * 1e6


def bench_lease(url: str, folder: Path) -> None:
    with registry(url, folder) as ours, ConnectionPool(url, min_size=1, kwargs={"autocommit": True}) as plain:

        def lease() -> None:
            with ours.lease("tenant_0"):
                pass

        lease()
        plain.wait()
        figures = compare(lambda: cpu_us(lease), lambda: cpu_us(lambda: plain.putconn(plain.getconn())))
    show("lease and release, CPU", "µs", "psycopg_pool getconn + putconn", figures)


def query(connection: psycopg.Connection) -> None:
    connection.execute("SELECT 1").fetchone()


def wall_ms(action: Callable[[str], None], names: list[str]) -> float:
    began = perf_counter()
    for name in names:
        action(name)
    return (perf_counter() - began) / len(names) * 1e3


def bench_in_turn(url: str, folder: Path, names: list[str]) -> None:
    def anew(name: str) -> None:
        with psycopg.connect(make_conninfo(url, dbname=name), autocommit=True) as connection:
            query(connection)

    with registry(url, folder) as ours:

        def lease(name: str) -> None:
            with ours.lease(name) as connection:
                query(connection)

        wall_ms(lease, names[:100])
        hundred = names[:100] * 10
        with ExitStack() as stack:
            bare = {name: stack.enter_context(psycopg.connect(make_conninfo(url, dbname=name))) for name in names[:100]}
            for connection in bare.values():
                connection.autocommit = True
            figures = compare(lambda: wall_ms(lease, hundred), lambda: wall_ms(lambda name: query(bare[name]), hundred))
        show("100 databases in turn", "ms", "100 connections without pools", figures)
        wall_ms(lease, names)
        figures = compare(lambda: wall_ms(lease, names), lambda: wall_ms(anew, names))
        show(f"{len(names)} databases in turn", "ms", "connecting anew", figures)

    def cold() -> float:
        with registry(url, folder) as fresh:

            def lease_cold(name: str) -> None:
                with fresh.lease(name) as connection:
                    query(connection)

            return wall_ms(lease_cold, names[:50])

    show("first query, cold", "ms", "connect and query", compare(cold, lambda: wall_ms(anew, names[:50])))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def bench_memory(url: str, folder: Path, names: list[str]) -> None:
    with registry(url, folder) as ours:
        with ours.lease(names[0]) as connection:
            query(connection)
        before = resident_mb()
        for name in names[:BUDGET]:
            with ours.lease(name) as connection:
                query(connection)
        print(
            f"memory, {BUDGET} warm         {resident_mb() - before:8.1f} MB more than with one; "
            f"{threading.active_count()} threads, {ours.statistics().total_connections} connections"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the connection pools.")
    parser.add_argument("--databases", type=int, default=400)
    count = parser.parse_args().databases
    names = [f"tenant_{number}" for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="bench-pools-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder / "server", durable=False) as server:
            with closing(psycopg.connect(server.url, autocommit=True)) as connection:
                for database in names:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(database))
                    )
            bench_memory(make_conninfo(server.url), folder, names)
            bench_lease(make_conninfo(server.url, dbname="tenant_0"), folder)
            bench_in_turn(make_conninfo(server.url), folder, names)


if __name__ == "__main__":
    main()

"""What a call costs inside the gateway, without HTTP and without a pool: CPU time of this process and of the backend.

Run it as ``python benchmarks/bench_call_core.py``; it starts the embedded PostgreSQL. Linux only: the backend's CPU time
is read from /proc. The raw rows are the same function through ``exec_prepared`` and nothing else, for comparison.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

from gateway.embedded import EmbeddedPostgres
from gateway.functions import SignatureCache, session_options
from gateway.functions.session import CLEANING
from gateway.naming import tenant_database
from gateway.operations.call_function import FunctionCall, call_function

CALLS = 3000
ROUNDS = 5

FUNCTIONS = b"""
CREATE FUNCTION get_rows(p_count integer)
RETURNS TABLE (id integer, name text, price numeric, active boolean, changed_at timestamptz, note text)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT i, 'name ' || i, 1.5::numeric + i, true, now(), 'some note' FROM generate_series(1, p_count) i;
END $$;
"""


class OneConnection:
    """A registry that always leases the same connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    @contextmanager
    def lease(self, _: str) -> Iterator[psycopg.Connection[Any]]:
        yield self.connection


def services_on(connection: psycopg.Connection[Any]) -> Any:  # noqa: ANN401 - only what a call needs
    found = SimpleNamespace(name="bench", oid=1)
    return SimpleNamespace(
        settings=SimpleNamespace(max_connections_per_pool=1, max_response_bytes=2**25, statement_timeout_ms=30_000),
        registry=OneConnection(connection),
        directory=SimpleNamespace(find_for_call=lambda _: found, is_open_on=lambda *_: True),
        signatures=SignatureCache(schemas=("public",)),
    )


def backend_cpu(pid: int) -> float:
    """Microseconds of CPU that a backend has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1000


def measure(label: str, call: Callable[[], object], pid: int) -> None:
    for _ in range(CALLS // 10):
        call()
    rounds = []
    for _ in range(ROUNDS):
        process, backend, wall = time.process_time(), backend_cpu(pid), time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append(
            (
                (time.process_time() - process) * 1e6 / CALLS,
                (backend_cpu(pid) - backend) / CALLS,
                (time.perf_counter() - wall) * 1e6 / CALLS,
            )
        )
    gateway, server, elapsed = min(rounds)
    print(f"{label:44} gateway {gateway:6.1f}  backend {server:6.1f}  wall {elapsed:6.1f} µs per call")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder), durable=False) as server:
        settings = session_options(statement_timeout_ms=30_000, lock_timeout_ms=5_000)
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        with closing(psycopg.connect(server.url, autocommit=True, options=options)) as connection:
            pid = connection.info.backend_pid
            connection.execute(FUNCTIONS)
            cores = sorted(os.sched_getaffinity(0))  # one each, so that luck of placement does not count
            os.sched_setaffinity(0, {cores[0]})
            os.sched_setaffinity(pid, {cores[-1]})
            pgconn = connection.pgconn
            pgconn.prepare(b"raw", b"SELECT row_to_json(r)::text FROM get_rows($1) AS r", [23])
            for count in (1, 100):
                value = str(count).encode()

                def raw(value: bytes = value) -> bytes:
                    result = pgconn.exec_prepared(b"raw", [value])
                    return b",".join([result.get_value(row, 0) or b"" for row in range(result.ntuples)])

                measure(f"raw exec_prepared, {count} rows", raw, pid)
            measure("raw cleaning, waited for", lambda: pgconn.exec_(CLEANING), pid)
            services = services_on(connection)
            for label, params in (("by order", [1]), ("by name", {"count": 1}), ("by order, 100 rows", [100])):
                call = FunctionCall(owner=tenant_database("bench"), function="get_rows", params=params)
                measure(f"call_function, {label}", lambda call=call: call_function(services, call), pid)


if __name__ == "__main__":
    main()

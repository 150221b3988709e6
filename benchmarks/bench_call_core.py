"""The cost of a call inside the gateway, without HTTP and without a pool: CPU time of this process and of the backends.

Run it as ``python -m benchmarks.bench_call_core``; it starts the embedded PostgreSQL. Linux only: the backends' CPU
time is read from /proc. The raw rows call the same function with ``exec_prepared`` alone. Calls alternate between two
connections, so that one is cleaned while the other is used, as in a pool.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.functions import SignatureCache, session_options
from gateway.functions.cleaning import CLEANING
from gateway.naming import tenant_database
from gateway.operations.call_function import FunctionCall, call_steps
from gateway.pools import CountedConnection
from gateway.steps import run

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


class InTurn:
    """A registry that leases its connections in turn."""

    def __init__(self, connections: Sequence[psycopg.Connection[Any]]) -> None:
        self._next = itertools.cycle(connections).__next__

    def take_idle(self, _: str) -> psycopg.Connection[Any]:
        """Return the next connection."""
        return self._next()

    def give_back(self, connection: psycopg.Connection[Any]) -> None:
        """Do nothing."""


def services_on(connections: Sequence[psycopg.Connection[Any]]) -> Any:  # noqa: ANN401 - only what a call needs
    """Return the services that ``call_steps`` needs."""
    found = SimpleNamespace(name="bench", oid=1)
    return SimpleNamespace(
        settings=SimpleNamespace(max_connections_per_pool=1, max_response_bytes=2**25, statement_timeout_ms=30_000),
        registry=InTurn(connections),
        directory=SimpleNamespace(remembered=lambda _: found, was_asked=lambda _: True, is_open_on=lambda *_: True),
        signatures=SignatureCache(schemas=("public",)),
    )


def backend_cpu(pids: Sequence[int]) -> float:
    """Return the CPU time of the backends in microseconds."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) for pid in pids) / 1000


def measure(label: str, call: Callable[[], object], pids: Sequence[int]) -> None:
    """Print the best of several rounds."""
    rounds = []
    for _ in range(ROUNDS + 1):  # the first one warms up
        process, backend, wall = time.process_time(), backend_cpu(pids), time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.process_time() - process, (backend_cpu(pids) - backend) / 1e6, time.perf_counter() - wall))
    gateway, server, elapsed = (seconds * 1e6 / CALLS for seconds in min(rounds[1:]))
    print(f"{label:32} gateway {gateway:6.1f}  backends {server:6.1f}  wall {elapsed:6.1f} µs per call")


def main() -> None:
    """Measure raw statements, then calls."""
    settings = session_options(statement_timeout_ms=30_000, lock_timeout_ms=5_000)
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedPostgres(Path(stack.enter_context(TemporaryDirectory())), durable=False))
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("CREATE DATABASE bench")
        conninfo = make_conninfo(server.url, dbname="bench", options=options)
        connections = [
            stack.enter_context(closing(CountedConnection.connect(conninfo, connect_timeout=5))) for _ in range(2)
        ]
        connections[0].execute(FUNCTIONS)
        pids = [connection.info.backend_pid for connection in connections]
        cores = sorted(os.sched_getaffinity(0))  # one each, so that luck of placement does not count
        os.sched_setaffinity(0, {cores[0]})
        for pid in pids:
            os.sched_setaffinity(pid, {cores[-1]})
        pgconn = connections[0].pgconn
        pgconn.prepare(b"raw", b"SELECT row_to_json(r)::text FROM get_rows($1) AS r", [23])
        for count in (1, 100):
            value = str(count).encode()

            def raw(value: bytes = value) -> bytes:
                result = pgconn.exec_prepared(b"raw", [value])
                return b",".join([result.get_value(row, 0) or b"" for row in range(result.ntuples)])

            measure(f"raw exec_prepared, {count} rows", raw, pids)
        measure("raw cleaning, waited for", lambda: pgconn.exec_(b"; ".join(CLEANING)), pids)
        services = services_on(connections)
        for label, params in (("by order", [1]), ("by name", {"count": 1}), ("100 rows", [100])):
            call = FunctionCall(owner=tenant_database("bench"), function="get_rows", params=params)
            measure(f"call_steps, {label}", lambda call=call: run(call_steps(services, call)), pids)


if __name__ == "__main__":
    main()

"""The cost of ``POST /call`` over HTTP: requests per second, latencies, and CPU per request of the serving processes.

Run ``python -m benchmarks.bench_calls [--seconds S] [--tenants N]``. It starts the embedded PostgreSQL, the gateway and
two baseline servers, all on this machine, and loads them with wrk (Debian's package ``wrk``). The compared runs
alternate, *S* seconds in all for each. Linux only: CPU time is read from /proc.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import EmbeddedPostgres, packaged_programs

WORKERS, THREADS, CLIENTS = 2, 8, 8
ROUNDS = 3  #: of the compared runs, alternating
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
BENCHMARKS = Path(__file__).parent

FUNCTION = """
CREATE FUNCTION bench_rows(p_count integer)
RETURNS TABLE (id integer, name text, price numeric, active boolean, changed_at timestamptz, note text)
LANGUAGE sql STABLE AS $$
    SELECT i, 'name ' || i, 1.5::numeric + i, true, timestamptz '2024-01-01', 'some note'
      FROM generate_series(1, p_count) i
$$;
"""
#: The script for wrk: sends the bodies in turn, each thread from another offset.
LUA = """
local bodies = { %s }
local n = 0
local threads = 0
function setup(thread) thread:set("n", threads * 7919); threads = threads + 1 end
function request()
    n = n + 1
    return wrk.format("POST", "/call", { ["Content-Type"] = "application/json", ["Connection"] = "%s" },
                      bodies[n %% #bodies + 1])
end
function done(summary, latency)
    io.write(string.format("RESULT %%d %%f %%f %%f %%d\\n", summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout
        + summary.errors.connect))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The result of one run of wrk, and its cost on the server."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_microseconds: float  #: per request, of the server's processes

    @classmethod
    def median(cls, loads: Sequence[Self]) -> Self:
        """Return the median of every figure, and the sum of errors."""
        figures = {field.name: statistics.median(getattr(load, field.name) for load in loads) for field in fields(cls)}
        return cls(**figures | {"errors": sum(load.errors for load in loads)})

    def __str__(self) -> str:
        return (
            f"{self.requests_per_second:8.0f} req/s  p50 {self.p50_ms:6.2f} ms  p99 {self.p99_ms:6.2f} ms  "
            f"CPU {self.cpu_microseconds:6.0f} µs/req  errors {self.errors}"
        )


class Server:
    """A gunicorn master with its workers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in children.split() if b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self.worker_pids():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def resident_megabytes(self) -> list[float]:
        found = []
        for pid in self.worker_pids():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            match = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
            assert match is not None
            found.append(int(match[1]) / 1024)
        return found

    def client(self) -> closing[http.client.HTTPConnection]:
        """Return a connection that is opened on first use, and closed at the end of a ``with`` statement."""
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120))

    def load(
        self, bodies: list[dict[str, Any]], seconds: float, *, keep_alive: bool = True, clients: int = CLIENTS
    ) -> Load:
        quoted = ", ".join(json.dumps(json.dumps(body)) for body in bodies)
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(LUA % (quoted, "keep-alive" if keep_alive else "close"))
            script.flush()
            cpu = self.cpu_seconds()
            url = f"http://127.0.0.1:{self.port}/call"
            command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "-s", script.name, url]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            cpu = self.cpu_seconds() - cpu
        match = re.search(r"RESULT (\d+) ([\d.]+) ([\d.]+) ([\d.]+) (\d+)", output)
        assert match is not None, output
        requests, duration = int(match[1]), float(match[2])
        return Load(
            requests_per_second=requests / duration,
            p50_ms=float(match[3]),
            p99_ms=float(match[4]),
            errors=int(match[5]),
            cpu_microseconds=cpu / max(requests, 1) * 1e6,
        )


@contextmanager
def started(command: list[str], environment: dict[str, str], port: int) -> Iterator[Server]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=BENCHMARKS,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(1)
        yield Server(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gateway(database_url: str, folder: Path) -> Iterator[Server]:
    port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "GATEWAY_PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "WORKERS": str(WORKERS),
        "THREADS": str(THREADS),
        "LOG_LEVEL": "warning",
    }
    with started([sys.executable, "-m", "gateway.cli", "serve"], environment, port) as server:
        yield server


@contextmanager
def baseline(name: str, conninfo: str) -> Iterator[Server]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", str(WORKERS), "--threads", str(THREADS)),
        *("--preload", "--keep-alive", "75", "-b", f"127.0.0.1:{port}", f"baseline_apps:{name}"),
    ]
    with started(command, {"DATABASE_URL": conninfo}, port) as server:
        yield server


def post(client: http.client.HTTPConnection, body: dict[str, Any], path: str = "/call") -> tuple[int, float]:
    """Return the status of the answer to *body*, and its time in seconds."""
    start = time.perf_counter()
    client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = client.getresponse()
    answer.read()
    return answer.status, time.perf_counter() - start


def body(tenant: int, count: int = 1) -> dict[str, Any]:
    return {"platform": "bench", "tenant_id": f"t{tenant}", "function": "bench_rows", "params": [count]}


def make_tenants(server: Server, database_url: str, count: int) -> None:
    """Create the databases of the tenants through the gateway, and the function in each directly."""

    def make(tenant: int) -> None:
        with server.client() as client:
            status, _ = post(client, {"platform": "bench", "tenant_id": f"t{tenant}"}, "/admin/create-tenant")
            assert status == 201
        with psycopg.connect(make_conninfo(database_url, dbname=f"bench_t{tenant}"), autocommit=True) as database:
            database.execute(FUNCTION.encode())

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(make, range(count)))


def pgbench(binaries: Path, conninfo: str, seconds: float) -> float:
    """Return the transactions per second of the same function with pgbench."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("SELECT row_to_json(r)::text FROM bench_rows(1) r;\n")
        script.flush()
        command = [
            str(binaries / "pgbench"),
            "-n",
            "-M",
            "prepared",
            "-c",
            str(CLIENTS),
            "-j",
            "1",
            "-T",
            str(int(seconds)),
        ]
        output = subprocess.run(
            [*command, "-f", script.name, conninfo], check=True, capture_output=True, text=True
        ).stdout
    match = re.search(r"tps = ([\d.]+)", output)
    assert match is not None
    return float(match[1])


def connecting_anew(database_url: str, tenants: int, seconds: float) -> float:
    """Return the queries per second with a new connection for each, the tenants in turn, a thread per client."""
    deadline = time.monotonic() + seconds

    def work(start: int) -> int:
        done = 0
        while time.monotonic() < deadline:
            conninfo = make_conninfo(database_url, dbname=f"bench_t{(start * 53 + done) % tenants}")
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute("SELECT row_to_json(r)::text FROM bench_rows(1) r").fetchall()
            done += 1
        return done

    with ThreadPoolExecutor(CLIENTS) as threads:
        return sum(threads.map(work, range(CLIENTS))) / seconds


def cold_calls(server: Server, database_url: str, tenants: range) -> tuple[float, float, float]:
    """Return median seconds of a bare connect with the query, and of first calls on a kept and on new connections.

    The three alternate, and each first call is to another database.
    """
    bare, kept, anew = [], [], []
    with server.client() as always:
        post(always, body(0))
        for tenant in tenants:
            conninfo = make_conninfo(database_url, dbname=f"bench_t{tenant}")
            start = time.perf_counter()
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute("SELECT row_to_json(r)::text FROM bench_rows(1) r").fetchall()
                bare.append(time.perf_counter() - start)
            with server.client() as once:
                client, times = (once, anew) if tenant % 2 else (always, kept)
                status, elapsed = post(client, body(tenant))
            assert status == 200
            times.append(elapsed)
    return statistics.median(bare), statistics.median(kept), statistics.median(anew)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=9)
    parser.add_argument("--tenants", type=int, default=400)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    seconds, tenants = arguments.seconds, arguments.tenants
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "pg") as postgres:
            measure(postgres, folder, seconds, tenants)


def in_turns(seconds: float, *runs: Callable[[float], Any]) -> list[list[Any]]:
    """Return the results of several alternating rounds, so that changes of the machine's load affect all of them."""
    rounds = [[run(seconds / ROUNDS) for run in runs] for _ in range(ROUNDS)]
    return [list(results) for results in zip(*rounds, strict=True)]


def settle(url: str) -> None:
    """Write dirty buffers to disk, so that the creation of the databases does not disturb the measurement.

    :param url: of the superuser
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    os.sync()


def measure(postgres: EmbeddedPostgres, folder: Path, seconds: float, tenants: int) -> None:
    url = postgres.url
    one = make_conninfo(url, dbname="bench_t0")
    with gateway(url, folder) as server, baseline("wsgi", one) as wsgi, baseline("plain_flask", one) as flask:
        make_tenants(server, url, tenants)
        settle(postgres.superuser_url)
        print(f"pgbench -M prepared: {pgbench(packaged_programs().folder, one, seconds):8.0f} tps")
        measure_calls(server, [wsgi, flask], seconds)
        measure_many(server, url, tenants, seconds)
        with server.client() as client:
            missing = [post(client, {**body(0), "tenant_id": f"nosuch{n}"})[1] for n in range(50)]
        print(f"missing database, median: {statistics.median(missing) * 1000:.2f} ms")
    with gateway(url, folder) as server:
        connect, *calls = cold_calls(server, url, range(1, min(120, tenants)))
        for how, call in zip(("a kept", "a new"), calls, strict=True):
            print(f"first call to a cold database, on {how} connection: {call * 1000:.1f} ms,", end=" ")
            print(f"{call / connect:.2f} of connect and query")


def measure_calls(server: Server, baselines: Sequence[Server], seconds: float) -> None:
    """Measure calls of one tenant, and the same query without a gateway."""
    for each in (server, *baselines):
        each.load([body(0)], 2)
    kept, anew, hundred, *others = (
        Load.median(loads)
        for loads in in_turns(
            seconds,
            partial(server.load, [body(0)]),
            partial(server.load, [body(0)], keep_alive=False),
            partial(server.load, [body(0, 100)]),
            *(partial(one.load, [body(0)], keep_alive=keep) for one in baselines for keep in (True, False)),
        )
    )
    print("one row, kept connections:    ", kept)
    print("one row, new connections:     ", anew)
    print("100 rows of 6 columns:        ", hundred)
    names = [f"{name}, {how} connections" for name in ("WSGI", "Flask") for how in ("kept", "new")]
    for name, other in zip(names, others, strict=True):
        print(f"{name + ':':31}", other)
    print(f"one row / bare WSGI:       {kept.cpu_microseconds / others[0].cpu_microseconds:.2f} of the CPU")
    print(f"new / kept connections:    {anew.cpu_microseconds / kept.cpu_microseconds:.2f} of the CPU")
    print(f"100 rows / one row:        {hundred.cpu_microseconds / kept.cpu_microseconds:.2f} of the CPU")


def measure_many(server: Server, url: str, tenants: int, seconds: float) -> None:
    """Measure calls of many tenants, in turn."""
    memory = server.resident_megabytes()
    some, every = ([body(tenant) for tenant in range(min(count, tenants))] for count in (100, tenants))
    server.load(some, 3)
    of_one, of_some = map(Load.median, in_turns(seconds, partial(server.load, some[:1]), partial(server.load, some)))
    print("100 tenants in turn:          ", of_some)
    print(f"100 tenants / one tenant:  {of_some.requests_per_second / of_one.requests_per_second:.2f} of the requests")
    server.load(every[:200], 5)
    grown = [after - before for before, after in zip(memory, server.resident_megabytes(), strict=True)]
    print("memory with 200 warm databases, MB more per worker:", ", ".join(f"{mb:.0f}" for mb in grown))
    server.load(every, 4)
    loads, queries = in_turns(seconds, partial(server.load, every), partial(connecting_anew, url, tenants))
    of_all, anew = Load.median(loads), statistics.median(queries)
    print(f"{tenants} tenants in turn:          ", of_all)
    print(f"connecting anew:        {anew:8.0f} queries/s; {of_all.requests_per_second / anew:.2f} of it in turn")


if __name__ == "__main__":
    main()

"""The latency of calls when the gateway is busy: with many clients of one tenant, and while large schemas are deployed.

Run ``python -m benchmarks.bench_latency [--seconds S]``. It starts the embedded PostgreSQL and the gateway on this
machine, and loads it with wrk. The compared runs alternate; printed are their medians and ratios.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.bench_calls import Load, Server, body, gateway, in_turns, make_tenants, settle
from benchmarks.bench_deploy import schema
from gateway.embedded_postgres import EmbeddedPostgres

TENANTS = 20
DEPLOYS = 4  #: at once
MANY_CLIENTS = 64
_BOUNDARY = "bench-latency"
_numbers = itertools.count()


def archive(mark: int) -> bytes:
    """Return a large schema as a tar.gz, with a content of its own for each *mark*."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as files:
        for each in (*schema().tables, *schema().functions):
            content = each.content + f"\nCOMMENT ON SCHEMA public IS 'mark {mark}';".encode()
            entry = tarfile.TarInfo(f"postgresql/{each.folder}/{each.path}")
            entry.size = len(content)
            files.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def register(server: Server, platform: str, schema_archive: bytes) -> None:
    parts = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="platform"\r\n\r\n{platform}\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="schema"; filename="s.tar.gz"\r\n\r\n'
    ).encode()
    form = parts + schema_archive + f"\r\n--{_BOUNDARY}--\r\n".encode()
    with server.client() as client:
        client.request("POST", "/register", form, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})
        answer = client.getresponse()
        text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {text[:500]!r}")


@contextmanager
def deploys(server: Server) -> Iterator[None]:
    """Register new platforms with new schemas all the time, DEPLOYS at once."""
    stopping = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        while not stopping.is_set() and not failures:
            number = next(_numbers)
            try:
                register(server, f"deployed{number}", archive(number))
            except Exception as exc:  # noqa: BLE001 - raised below, in the thread that measures
                failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(DEPLOYS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def measure(server: Server, seconds: float) -> None:
    one, some = [body(0)], [body(tenant) for tenant in range(TENANTS)]
    for bodies, clients in ((some, 8), (one, 8), (one, MANY_CLIENTS)):
        server.load(bodies, 2, clients=clients)

    def while_deploying(part: float) -> Load:
        with deploys(server):
            return server.load(some, part)

    few, many, calm, busy = (
        Load.median(loads)
        for loads in in_turns(
            seconds,
            partial(server.load, one),
            partial(server.load, one, clients=MANY_CLIENTS),
            partial(server.load, some),
            while_deploying,
        )
    )
    print("one tenant, 8 clients:        ", few)
    print(f"one tenant, {MANY_CLIENTS} clients:       ", many)
    print(
        f"  {many.requests_per_second / few.requests_per_second:.2f} of the requests; "
        f"p99 {many.p99_ms / many.p50_ms:.1f} times p50"
    )
    print(f"{TENANTS} tenants:                   ", calm)
    print(f"  while {DEPLOYS} deploys run:        ", busy)
    print(f"  p99 {busy.p99_ms / calm.p99_ms:.1f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=12)
    seconds = parser.parse_args().seconds
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "pg") as postgres, gateway(postgres.url, folder) as server:
            make_tenants(server, postgres.url, TENANTS)
            settle(postgres.superuser_url)
            measure(server, seconds)


if __name__ == "__main__":
    main()

"""The cost of wrong keys over HTTP, relative to as many right calls, and whether the time depends on the wrong key.

Run ``python -m benchmarks.bench_keys [--requests 10000]``. Requests of all kinds take turns on one
connection, so that other work of the machine meets all kinds alike. The CPU time is the worker's, measured in turns of
100 requests.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.embedded_postgres import EmbeddedPostgres
from gateway.security.api_keys import ApiKeys
from tests.support.running_gateway import Gateway, make_archive, running_gateway

RIGHT: Final = "r" * 40
KEYS: Final = {
    "right key": RIGHT,
    "wrong key": "w" * 40,
    "wrong in its last character": RIGHT[:-1] + "w",
    "another platform's key": "o" * 40,
}
TURN: Final = 100
TICKS: Final = os.sysconf("SC_CLK_TCK")
LOOKUPS: Final = 2000
FUNCTION: Final = "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';"


def cpu_seconds(gateway: Gateway) -> float:
    """Return the user and system time of the workers so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in gateway.worker_pids()]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def over_http(gateway: Gateway, requests: int) -> None:
    body = json.dumps({"platform": "shop", "function": "one"})
    cpu = dict.fromkeys(KEYS, 0.0)
    seconds: dict[str, list[float]] = {kind: [] for kind in KEYS}
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port)) as connection:
        for _ in range(requests // TURN):
            for kind, key in KEYS.items():
                headers = {"Content-Type": "application/json", "X-API-Key": key}
                before = cpu_seconds(gateway)
                for _ in range(TURN):
                    began = time.perf_counter()
                    connection.request("POST", "/call", body, headers)
                    answer = connection.getresponse()
                    answer.read()
                    seconds[kind].append(time.perf_counter() - began)
                    assert answer.status == {"right key": 200, "another platform's key": 403}.get(kind, 401)
                cpu[kind] += cpu_seconds(gateway) - before
    of_right, median = cpu["right key"], statistics.median(seconds["right key"])
    print(f"{requests} requests of each kind over HTTP; right key: {of_right / requests * 1e6:.0f} µs of CPU each")
    for kind in KEYS:
        ratio = statistics.median(seconds[kind]) / median
        print(f"  {kind:28} {cpu[kind] / of_right:5.2f} times the CPU, {ratio:5.2f} times the median time")


def of_comparing() -> None:
    """Measure the comparison alone, whose time must not depend on how much of a key is right."""
    keys = ApiKeys({"SHOP": (RIGHT,), "OTHER": (KEYS["another platform's key"],)})
    times: dict[str, list[int]] = {kind: [] for kind in KEYS}
    for _ in range(LOOKUPS):
        for kind, key in KEYS.items():
            began = time.perf_counter_ns()
            for _ in range(10):
                keys.name_of(key)
            times[kind].append(time.perf_counter_ns() - began)
    median = statistics.median(times["right key"])
    print(f"comparing a key: {median / 10_000:.2f} µs")
    for kind in KEYS:
        print(f"  {kind:28} {statistics.median(times[kind]) / median:5.2f} times the median time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    requests = parser.parse_args().requests
    of_comparing()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = {"API_KEY_SHOP": RIGHT, "API_KEY_OTHER": KEYS["another platform's key"], "WORKERS": "1"}
        with (
            EmbeddedPostgres(folder / "pg", durable=False) as server,
            running_gateway(server.url, folder / "gateway", **settings) as gateway,
        ):
            form = {"platform": "shop", "schema": make_archive({"functions/one.sql": FUNCTION})}
            answer = gateway.post_form("/register", form, {"X-API-Key": RIGHT})
            assert answer.status == 200, answer.body
            over_http(gateway, requests)


if __name__ == "__main__":
    main()

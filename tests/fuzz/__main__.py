"""``python -m tests.fuzz``: tens of thousands of hostile inputs to the archive reader and to a running gateway.

Ends with a summary, and with status 1 if an answer was a 500, missing or undocumented, if a worker died, or if memory
grew. ``--seed S --only N`` sends one input of a run again and prints it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from gateway.embedded_postgres import EmbeddedPostgres
from tests.fuzz.inputs import random_input
from tests.fuzz.memory import growth
from tests.fuzz.runner import Findings, exchange, read_archives, resident_megabytes, rng_of, send_requests
from tests.fuzz.values import FUNCTIONS, PLATFORM
from tests.support.running_gateway import Gateway, running_gateway

WARM_SHARE = 4  #: a quarter of the requests are sent first, to fill caches
GROWTH_MB = 30.0
KEYS_OF_A_KIND = 500
CHUNK = 500  #: requests between two lines of progress


def main() -> int:
    """Run with the given arguments and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6), help="repeats a run")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--archives", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=30, help="ends the requests after so long")
    parser.add_argument("--only", type=int, metavar="N", help="send request N alone")
    parser.add_argument("--memory", action="store_true", help="send 500 large keys of every kind instead")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "pg", durable=False) as server:
            if arguments.memory:
                return _memory(server.url, folder)
            with running_gateway(server.url, folder / "gateway", LOG_LEVEL="warning", THREADS="8") as gateway:
                answer = gateway.register(PLATFORM, {"functions/all.sql": FUNCTIONS})
                assert answer.status == 200, answer.body
                if arguments.only is not None:
                    return _only(gateway, arguments.seed, arguments.only)
                return _everything(gateway, arguments)


def _only(gateway: Gateway, seed: int, number: int) -> int:
    wanted = random_input(rng_of(seed, number))
    print(wanted.kind, wanted.data[:5000])
    print(exchange(gateway.port, wanted.data))
    print(gateway.log[-5000:])
    return 0


def _everything(gateway: Gateway, arguments: argparse.Namespace) -> int:
    findings = Findings(seed=arguments.seed)
    read_archives(findings, range(arguments.archives))
    print(f"{arguments.archives} archives read, {len(findings.problems)} problems", flush=True)
    workers = sorted(gateway.worker_pids())
    before = 0.0
    until = time.monotonic() + arguments.minutes * 60
    sent = 0
    while sent < arguments.requests and time.monotonic() < until:
        if before == 0 and sent >= arguments.requests / WARM_SHARE:
            before = resident_megabytes(gateway)
        send_requests(gateway, findings, range(sent, sent + CHUNK))
        sent += CHUNK
        print(f"{sent} requests, {len(findings.problems)} problems, {resident_megabytes(gateway):.0f} MB", flush=True)
    growth = resident_megabytes(gateway) - before
    if sorted(gateway.worker_pids()) != workers:
        findings.problems.append("a worker ended and was replaced")
    if growth > GROWTH_MB:
        findings.problems.append(f"memory grew by {growth:.0f} MB after the first quarter of the requests")
    if gateway.call(PLATFORM, "of_int", [1]).status != 200:
        findings.problems.append("a plain call does not work any more")
    if "Traceback" in gateway.log:
        findings.problems.append("the log has a stack trace:\n" + gateway.log[gateway.log.index("Traceback") :][:3000])
    for what, count in sorted(findings.answers.items()):
        print(f"{count:8} {what}")
    print(f"{sent} requests and {arguments.archives} archives, seed {arguments.seed}, memory {growth:+.0f} MB")
    for problem in findings.problems:
        print(problem)
    print(f"{len(findings.problems)} problems")
    return 1 if findings.problems else 0


def _memory(url: str, folder: Path) -> int:
    more = 0.0
    for kind, more in growth(url, folder / "gateway", keys=KEYS_OF_A_KIND, small_keys=KEYS_OF_A_KIND):
        print(f"{more:+8.1f} MB after {KEYS_OF_A_KIND} {kind}", flush=True)
    return int(more > GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())

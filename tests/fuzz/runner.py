"""Send inputs, check the answers, and report each problem with the number that reproduces it."""

from __future__ import annotations

import http.client
import json
import socket
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Lock

from migrations_engine import SchemaExtractionFailed, read_archive
from tests.fuzz.archives import random_archive
from tests.fuzz.inputs import FuzzInput, random_input
from tests.support.running_gateway import Gateway

CLIENTS = 6  #: requests on their way at once
ANSWER_SECONDS = 60.0  #: no input takes as long on the slowest machine, unless it hangs
QUIET_SECONDS = 1.0  #: after so long without an answer, the client ends its sending
READ_SECONDS = 20.0  #: of CPU time, for one archive of less than a megabyte
PROBLEMS_AT_MOST = 50  #: the run ends after so many problems


@dataclass(slots=True, kw_only=True)
class Findings:
    """What came of many inputs."""

    seed: int
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def count(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1

    def report(self, number: int, kind: str, what: str) -> None:
        with self._lock:
            self.problems.append(f"{kind} {number} (--seed {self.seed} --only {number}): {what}")


def rng_of(seed: int, number: int) -> Random:
    """Return the generator of one input, which depends on nothing but the run's seed and its number."""
    return Random(f"{seed}:{number}")


def read_archives(findings: Findings, numbers: Iterable[int]) -> None:
    """Read random archives in this process: each is read or raises SchemaExtractionFailed, in bounded time."""
    for number in numbers:
        data = random_archive(rng_of(findings.seed, number))
        started = time.thread_time()
        try:
            read_archive(data)
            outcome = "archive read"
        except SchemaExtractionFailed as exc:
            outcome = "archive refused"
            if len(str(exc)) > 1000 or any(unicodedata.category(character) == "Cc" for character in str(exc)):
                findings.report(number, "archive", f"a message that nobody can read: {str(exc)[:200]!r}")
        except Exception as exc:  # noqa: BLE001 - any other error is a finding
            outcome = "archive crashed"
            findings.report(number, "archive", repr(exc)[:300])
        if (seconds := time.thread_time() - started) > READ_SECONDS:
            findings.report(number, "archive", f"{seconds:.1f} s of CPU time for {len(data)} bytes")
        findings.count(outcome)


def send_requests(gateway: Gateway, findings: Findings, numbers: Iterable[int]) -> None:
    """Send random requests, several at once: each gets a documented answer in bounded time, and no 500."""

    def send(number: int) -> None:
        if len(findings.problems) < PROBLEMS_AT_MOST:
            wanted = random_input(rng_of(findings.seed, number))
            for problem in _problems(gateway, wanted, findings):
                findings.report(number, wanted.kind, problem)

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in clients.map(send, numbers):
            pass


def _problems(gateway: Gateway, wanted: FuzzInput, findings: Findings) -> Iterable[str]:
    started = time.monotonic()
    try:
        answer = exchange(gateway.port, wanted.data)
    except TimeoutError:
        findings.count(f"{wanted.kind} no answer")
        yield f"no answer within {ANSWER_SECONDS:.0f} s to {wanted.data[:200]!r}"
        return
    except http.client.HTTPException as exc:
        findings.count(f"{wanted.kind} unreadable")
        yield f"an answer that is no HTTP ({exc!r}) to {wanted.data[:200]!r}"
        return
    if answer is None:
        findings.count(f"{wanted.kind} closed")
        if wanted.is_whole:
            yield f"closed without an answer to {wanted.data[:200]!r}"
        return
    status, body, is_json = answer
    findings.count(f"{wanted.kind} {status}")
    if status >= 500 and status != 503:
        yield f"{status} {body[:500]!r} to {wanted.data[:400]!r}"
    if status >= 400 and is_json is not None:
        yield from _problems_of_error(body, is_json)
    if time.monotonic() - started > ANSWER_SECONDS / 2:
        yield f"{time.monotonic() - started:.0f} s for {wanted.data[:200]!r}"


def _problems_of_error(body: bytes, is_json: bool) -> Iterable[str]:
    try:
        error = json.loads(body)
    except ValueError:
        yield f"an error that is not JSON: {body[:200]!r}"
        return
    if not is_json or not all(isinstance(error.get(name), str) for name in ("error", "message", "request_id")):
        yield f"an error without its fields: {body[:300]!r}"
    if "Traceback" in body.decode(errors="replace"):
        yield f"an error with a stack trace: {body[:300]!r}"


def exchange(port: int, data: bytes) -> tuple[int, bytes, bool | None] | None:
    """Send *data* and return the first answer: its status, its body, and whether it is JSON (None: it has no body).

    :raises TimeoutError: no answer in time
    :raises HTTPException: the answer is not HTTP
    """
    with closing(socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)) as client:
        with suppress(BrokenPipeError, ConnectionResetError):  # the answer may be there before all is sent
            client.sendall(data)
        client.settimeout(QUIET_SECONDS)
        try:
            first = client.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            first = b"?"
        except ConnectionResetError:
            return None
        client.settimeout(ANSWER_SECONDS)
        try:
            if not first or not client.recv(1, socket.MSG_PEEK):
                return None
            return _read_answer(client, "HEAD" if data.startswith(b"HEAD ") else "POST")
        except ConnectionResetError:
            return None


def _read_answer(client: socket.socket, method: str) -> tuple[int, bytes, bool | None]:
    response = http.client.HTTPResponse(client, method=method)
    response.begin()
    while response.status == 100:  # HTTPResponse skips one, and a client may have sent two
        response.begin()
    body = response.read()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, body, is_json if body or method != "HEAD" else None


def resident_megabytes(gateway: Gateway) -> float:
    """Return the memory of the gateway's processes in MB.

    What they share counts for each: a page that a worker has from before the fork is not to look like growth when the
    garbage collector writes on it, and so copies it.
    """
    kilobytes = 0
    for pid in [gateway.process.pid, *gateway.worker_pids()]:
        status = Path(f"/proc/{pid}/status").read_text()
        kilobytes += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return kilobytes / 1024

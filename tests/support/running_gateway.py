"""A real gateway for tests over HTTP: gunicorn with several workers, started by the command that users start."""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import socket
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.described import check_answer

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway. Every request is a TCP connection of its own, so any thread may send one."""

    port: int
    process: subprocess.Popen[bytes]
    log_path: Path
    data_dir: Path
    environment: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send *body* as it is. Every answer is compared with the description of the interface."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT_SECONDS)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        check_answer(method, path, response.status, response.headers.get("Content-Type", ""), content)
        return Answer(status=response.status, headers=response.headers, body=content)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post_json(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request(
            "POST", path, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def post_form(
        self, path: str, fields: Mapping[str, str | bytes], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a multipart form in the order of *fields*; bytes become a file part, text a plain one."""
        body, content_type = multipart(fields)
        return self.request("POST", path, body, {"Content-Type": content_type, **(headers or {})})

    def call(self, platform: str, function: str, params: Any = None, **more: Any) -> Answer:
        return self.post_json("/call", {"platform": platform, "function": function, "params": params or [], **more})

    def register(self, platform: str, files: Mapping[str, str | bytes] | bytes, **fields: str) -> Answer:
        """*files* is what the archive shall contain (see make_archive), or an archive."""
        schema = files if isinstance(files, bytes) else make_archive(files)
        return self.post_form("/register", {"platform": platform, **fields, "schema": schema})

    def migrate(self, platform: str, files: Mapping[str, str | bytes] | bytes, **fields: str) -> Answer:
        schema = files if isinstance(files, bytes) else make_archive(files)
        return self.post_form("/migrate", {"platform": platform, **fields, "schema": schema})


def make_archive(files: Mapping[str, str | bytes], folder: str = "postgresql/") -> bytes:
    """A tar.gz with *folder* before each path, as ``tar -czf`` makes it; "" for none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(folder + path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def multipart(fields: Mapping[str, str | bytes]) -> tuple[bytes, str]:
    """A form's body, and the content type that names its boundary."""
    boundary = uuid.uuid4().hex
    body = io.BytesIO()
    for name, value in fields.items():
        file_name = f'; filename="{name}.tar.gz"\r\nContent-Type: application/gzip' if isinstance(value, bytes) else ""
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file_name}\r\n\r\n'.encode())
        body.write(value if isinstance(value, bytes) else value.encode())
        body.write(b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue(), f"multipart/form-data; boundary={boundary}"


def free_port() -> int:
    """Return a port without a listener.

    It is below those that the kernel assigns to outgoing connections, because such a port may be taken before it is
    used; and random, because tests run side by side.
    """
    while True:
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.randint(10_000, 30_000)))
            return int(probe.getsockname()[1])


@contextmanager
def running_gateway(
    database_url: str, folder: Path, arguments: tuple[str, ...] = (), **changes: str
) -> Iterator[Gateway]:
    """Start ``stonescriptdb-gateway serve``, wait until it answers, and stop it by SIGTERM at the end.

    :param folder: for its data and its log; also its working directory, so that no other ``.env`` is read
    :param arguments: further ones of ``serve``
    :param changes: settings, as environment variables
    """
    port = int(changes.get("GATEWAY_PORT") or free_port())
    # No setting from the environment of the tests is passed on, only what the system needs.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {
        **kept,
        "DATABASE_URL": database_url,
        "GATEWAY_PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "WORKERS": "2",
        "THREADS": "8",
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / "gateway.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    gateway = Gateway(port=port, process=process, log_path=log_path, data_dir=folder / "data", environment=environment)
    try:
        _wait_until_live(gateway)
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"the gateway did not stop within {STOP_TIMEOUT_SECONDS:.0f} s of SIGTERM:\n{gateway.log}")


def _wait_until_live(gateway: Gateway) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if gateway.process.poll() is not None:
            break
        try:
            if gateway.get("/health/live").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the gateway did not start:\n{gateway.log}")

"""The demo: both servers, the example platform for two tenants, and two calls, each shown as a line for curl."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

EXAMPLES: Final = Path(__file__).parent.parent / "examples"
PLATFORM: Final = "clinic"
TENANTS: Final = ("riverside", "hillside")
START_TIMEOUT_SECONDS: Final = 90.0
REQUEST_TIMEOUT_SECONDS: Final = 60.0


class DemoError(Exception):
    """The demo failed; the message is one line with the reason."""


def run_demo(port: int) -> None:
    """Run the demo on *port* of the loopback address, with its files in ``./.demo``, until Ctrl-C.

    :raises DemoError: a server could not be started, or a request failed
    """
    schema = EXAMPLES / PLATFORM / "postgresql"
    if not schema.is_dir():
        raise DemoError(f"the demo needs the examples of the source tree, and {schema} does not exist")
    folder = Path(".demo").absolute()
    folder.mkdir(exist_ok=True)
    with _gateway(folder, port) as gateway:
        archive = folder / f"{PLATFORM}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(schema, "postgresql")
        client = _Client(port)
        client.register(archive, None)
        for tenant in TENANTS:
            client.register(archive, tenant)
        patient = {"full_name": "Ada Lovelace", "email": "ada@example.org", "born_on": "1815-12-10"}
        client.call(TENANTS[0], "register_patient", patient)
        client.call(TENANTS[0], "find_patients", ["love"])
        click.secho(f"\nThe gateway is at http://127.0.0.1:{port} until Ctrl-C. Paste any line above into", fg="green")
        click.secho("another terminal. The other tenant has no such patient:", fg="green")
        click.echo(client.curl_call(TENANTS[1], "find_patients", ["love"]))
        gateway.wait()


@contextmanager
def _gateway(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``serve --embedded`` as a child process, and stop it by SIGTERM in any case.

    It has a session of its own, so that Ctrl-C in the terminal reaches only this process, which then stops it.
    """
    environment = {
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "ALLOWED_ADMIN_NETWORKS": "127.0.0.0/8",
        "DATA_DIR": str(folder / "data"),
        "LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "gateway.cli", "serve", "--embedded", str(folder / "postgres")]
    click.echo("Starting PostgreSQL and the gateway …")
    process: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)
        _wait_until_ready(process, port)
        yield process
        raise DemoError("the gateway has stopped")
    except KeyboardInterrupt:
        click.echo("\nStopping …")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave the servers behind
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait()
            click.echo("Both servers are stopped.")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(1)  # its own output has the reason
        try:
            if _request(port, "GET", "/health/ready")[0] == 200:
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.1)
    raise DemoError(f"the gateway was not ready within {START_TIMEOUT_SECONDS:.0f} seconds")


class _Client:
    """Sends requests, and prints each as a line for curl, followed by the answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._url = f"http://127.0.0.1:{port}"

    def register(self, archive: Path, tenant: str | None) -> None:
        fields = {"platform": PLATFORM} | ({"tenant_id": tenant} if tenant else {})
        options = [option for name, value in fields.items() for option in ("-F", f"{name}={value}")]
        _show_request(shlex.join(["curl", f"{self._url}/register", *options, "-F", f"schema=@{archive}"]))
        body, content_type = _multipart(fields, archive)
        self._show_answer(_request(self._port, "POST", "/register", body, content_type))

    def call(self, tenant: str, function: str, params: object) -> None:
        _show_request(self.curl_call(tenant, function, params))
        body = json.dumps(_call_fields(tenant, function, params)).encode()
        self._show_answer(_request(self._port, "POST", "/call", body, "application/json"))

    def curl_call(self, tenant: str, function: str, params: object) -> str:
        body = json.dumps(_call_fields(tenant, function, params))
        return shlex.join(["curl", f"{self._url}/call", "-H", "Content-Type: application/json", "-d", body])

    def _show_answer(self, answer: tuple[int, bytes]) -> None:
        status, body = answer
        click.echo(json.dumps(json.loads(body), indent=2, ensure_ascii=False))
        if status != 200:
            raise DemoError(f"the gateway answered {status}")


def _show_request(line: str) -> None:
    click.secho(f"\n{line}", bold=True)


def _call_fields(tenant: str, function: str, params: object) -> Mapping[str, Any]:
    return {"platform": PLATFORM, "tenant_id": tenant, "function": function, "params": params}


def _request(port: int, method: str, path: str, body: bytes = b"", content_type: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _multipart(fields: Mapping[str, str], archive: Path) -> tuple[bytes, str]:
    """Return the body of a form with the archive as its part ``schema``, and the content type with its boundary."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="schema"; filename="{archive.name}"\r\n'
        "Content-Type: application/gzip\r\n\r\n"
    )
    body = "".join([*parts, head]).encode() + archive.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"

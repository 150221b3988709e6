"""The listening socket of systemd, which outlives the gateway."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.running_gateway import START_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS, free_port

_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "gateway.cli", "serve"])
"""


@contextmanager
def activated(listener: socket.socket, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run the gateway as systemd does: with *listener* as its descriptor 3, and with its own process id."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(listener.fileno())],
            env=environment, cwd=folder, pass_fds=[listener.fileno()], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_SECONDS)


@pytest.fixture
def environment(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "DATABASE_URL": postgres_url, "DATA_DIR": str(tmp_path / "data"),
        "WORKERS": "1", "GATEWAY_PORT": str(free_port()),
    }  # fmt: skip


def test_requests_wait_in_the_socket_until_the_gateway_serves(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(2):
            client = HTTPConnection(*listener.getsockname(), timeout=START_TIMEOUT_SECONDS)
            client.request("GET", "/health/live")
            with activated(listener, environment, tmp_path):
                assert client.getresponse().status == 200, (tmp_path / "log").read_text()
            client.close()


@pytest.mark.parametrize("bound", [False, True])
def test_a_client_without_a_network_address_is_refused(
    environment: dict[str, str], tmp_path: Path, *, bound: bool
) -> None:
    """It is in no allowed network, although all are allowed. Calls are answered by the loop, others by threads."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    everywhere = environment | {"ALLOWED_NETWORKS": "0.0.0.0/0,::/0"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        with activated(listener, everywhere, tmp_path):
            for number, path in enumerate((b"/call", b"/admin/create-tenant")):
                with socket.socket(socket.AF_UNIX) as client:
                    if bound:
                        client.bind(str(tmp_path / f"client{number}"))
                    client.settimeout(START_TIMEOUT_SECONDS)
                    client.connect(str(tmp_path / "socket"))
                    client.sendall(head % path)
                    answer = client.recv(65536)
                assert answer.startswith(b"HTTP/1.1 403 "), answer
                assert b"an unknown address" in answer

"""The notifications for systemd, as datagrams."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.serving.service_manager import ServiceManager
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(PATIENCE_SECONDS)
        yield listener


def heard(systemd: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in systemd.recv(4096).decode().split("\n"))


def test_ready_is_sent_once_postgresql_answers(systemd, monkeypatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    manager = ServiceManager()
    assert "NOTIFY_SOCKET" not in os.environ  # gunicorn would be too early
    answers = iter([False, False, True])
    manager.ready_when(lambda: next(answers))
    assert heard(systemd) == {"STATUS": "waiting for PostgreSQL"}
    assert heard(systemd) == {"READY": "1", "STATUS": "serving"}
    assert next(answers, "no more") == "no more"


def test_an_abstract_address_and_one_that_is_gone(monkeypatch, caplog) -> None:
    name = f"stonescriptdb-gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        manager = ServiceManager()
        manager.stopping()
        assert heard(listener)["STOPPING"] == "1"
    manager.stopping()
    assert "could not be notified" in caplog.text


def test_without_systemd_nothing_is_asked(monkeypatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager().ready_when(lambda: pytest.fail("asked"))


def test_a_gateway_reports_its_start_reload_and_stop(start_gateway, systemd) -> None:
    gateway = start_gateway(WORKERS="1", NOTIFY_SOCKET=systemd.getsockname())
    first = heard(systemd)
    if first == {"STATUS": "waiting for PostgreSQL"}:
        first = heard(systemd)
    assert first["READY"] == "1"
    assert gateway.get("/health/ready").status == 200

    os.kill(gateway.process.pid, signal.SIGHUP)
    reloading = heard(systemd)
    assert reloading["RELOADING"] == "1"
    assert re.fullmatch(r"\d+", reloading["MONOTONIC_USEC"])
    while "READY" not in (said := heard(systemd)):
        assert said == {"STATUS": "waiting for PostgreSQL"}

    gateway.process.terminate()
    assert heard(systemd)["STOPPING"] == "1"

"""Notifies systemd about the service, by the protocol of ``sd_notify``: when it is ready, reloads and stops."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from time import monotonic_ns, sleep
from typing import Final

_log: Final = logging.getLogger(__name__)
_VARIABLE: Final = "NOTIFY_SOCKET"
_POLL_SECONDS: Final = 0.2  #: between checks of PostgreSQL


class ServiceManager:
    """systemd; notifications do nothing if it has not started the gateway."""

    def __init__(self) -> None:
        """Read the address, and remove it from the environment: gunicorn would send READY before a worker is ready."""
        self._address = os.environ.pop(_VARIABLE, None)

    def ready_when(self, can_serve: Callable[[], bool]) -> None:
        """Wait until *can_serve* returns True, and send READY."""
        if self._address is None:
            return
        if not can_serve():
            self._send("STATUS=waiting for PostgreSQL")
            while not can_serve():
                sleep(_POLL_SECONDS)
        self._send("READY=1\nSTATUS=serving")

    def reloading(self) -> None:
        """Send RELOADING. The first new worker that is ready sends READY again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns() // 1000}\nSTATUS=replacing the workers")

    def stopping(self) -> None:
        """Send STOPPING."""
        self._send("STOPPING=1\nSTATUS=finishing the requests in flight")

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto(state.encode(), address)
        except OSError as exc:
            _log.warning("systemd could not be notified: %s", exc)

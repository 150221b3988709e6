"""How long a thread waits for a request that it reads."""

from __future__ import annotations

import socket
from contextlib import closing
from types import SimpleNamespace

import pytest

from gateway.serving import wsgi
from gateway.serving.wsgi import TimedSource


def test_the_deadline_ends_for_silent_clients_and_is_extended_by_received_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(wsgi, "monotonic", lambda: now[0])
    theirs, ours = socket.socketpair()
    with closing(theirs), closing(ours):
        source = TimedSource(SimpleNamespace(data=b"abc", socket=ours))
        assert source.recv(2) == b"ab"
        assert source.rest() == b"c"
        assert source.recv(8192) == b"c"
        theirs.sendall(b"x" * 32 * 1024)
        now[0] += wsgi.READ_SECONDS + 1.9  # the 32 KiB give two seconds
        assert sum(len(source.recv(8192)) for _ in range(4)) == 32 * 1024
        theirs.sendall(b"y")
        assert source.recv(8192) == b"y"
        now[0] += 0.2
        with pytest.raises(ConnectionResetError):
            source.recv(8192)

from __future__ import annotations

import socket
from contextlib import closing

import pytest
from gunicorn.config import Config

from gateway.serving.client_connections import ClientConnection

LAST = b"POST /call HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
NOT_LAST = LAST.replace(b"close", b"keep-alive")


@pytest.mark.parametrize(
    ("sent", "read", "ends", "lingers"),
    [
        pytest.param(LAST, 4, False, False, id="it has said that this was all"),
        pytest.param(NOT_LAST, 4, True, False, id="it has closed its end"),
        pytest.param(NOT_LAST, 4, False, True, id="it may send more"),
        pytest.param(LAST, 0, False, True, id="the body is unread"),
        pytest.param(LAST, 0, True, True, id="the body is unread and its end closed"),
        pytest.param(LAST[:-2], 0, False, True, id="the body is still being sent"),
        pytest.param(LAST + b"more", 4, False, True, id="it has sent more than it said"),
        pytest.param(NOT_LAST + NOT_LAST, 4, True, True, id="it has sent another request"),
    ],
)
def test_who_sends_no_more_is_parted_with_at_once(sent: bytes, read: int, ends: bool, lingers: bool) -> None:
    lingering: list[socket.socket] = []
    client, accepted = socket.socketpair()
    with closing(client):
        connection = ClientConnection(Config(), accepted, ("127.0.0.1", 1), ("127.0.0.1", 2), lingering.append)
        client.sendall(sent)
        if ends:
            client.shutdown(socket.SHUT_WR)
        request = next(connection.parser)
        assert request.body.read(read) == b"body"[:read]
        connection.close(graceful=True)
        assert lingering == [connection.sock] * lingers
        assert (connection.sock.fileno() == -1) is not lingers
        connection.sock.close()


def test_who_has_not_sent_a_request_is_waited_for() -> None:
    lingering: list[socket.socket] = []
    client, accepted = socket.socketpair()
    with closing(client):
        connection = ClientConnection(Config(), accepted, ("127.0.0.1", 1), ("127.0.0.1", 2), lingering.append)
        connection.close(graceful=True)
        assert lingering == [connection.sock]
        connection.sock.close()

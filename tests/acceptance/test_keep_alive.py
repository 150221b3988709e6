"""Connections that carry many requests, of all kinds and also ahead of their answers."""

from __future__ import annotations

import http.client
import json
import re
import socket
from contextlib import closing

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway, make_archive, multipart

JSON = {"Content-Type": "application/json"}


def test_requests_of_all_kinds_follow_calls_on_one_connection(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    call = ("POST", "/call", json.dumps({"platform": platform, "function": "count_users"}), JSON)
    form, form_type = multipart({"platform": platform, "schema": make_archive(SHOP)})
    requests = [
        call,
        ("GET", "/health/live", None, {}),
        call,
        ("POST", "/migrate", form, {"Content-Type": form_type}),
        call,
        ("GET", f"/admin/databases?platform={platform}", None, {}),
        call,
    ]
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)) as connection:
        for method, path, body, headers in requests:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            assert (path, response.status, bool(response.read())) == (path, 200, True)


def test_requests_sent_ahead_are_answered_in_order(gateway: Gateway) -> None:
    asked = [json.dumps({"platform": f"nobody{number}", "function": "f"}).encode() for number in range(5)]
    message = b"".join(
        b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
        for body in asked
    )
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=120)) as client:
        client.sendall(message)
        received = b""
        while received.count(b'"request_id"') < len(asked):
            received += client.recv(65536)
    assert re.findall(rb'"platform":"nobody(\d)"', received) == [b"0", b"1", b"2", b"3", b"4"]

"""A call has a short way past the framework. Both ways must answer alike, whatever comes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.test import Client

from gateway.app import create_app
from gateway.settings import Settings
from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway

JSON = "application/json"
CORPUS = [
    (b'{"platform":"%P","function":"count_users"}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"count_users","params":[],"tenant_id":null}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"add_user","params":[1,2,3]}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"nothing"}', JSON, "127.0.0.1"),
    (b'{"platform":"%Pnobody","function":"count_users"}', JSON, "127.0.0.1"),
    (b'{"platform":"%","functoin":"count_users"}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"count_users","params":7}', JSON, "127.0.0.1"),
    (b"[]", JSON, "127.0.0.1"),
    (b"{", JSON, "127.0.0.1"),
    (b"", JSON, "127.0.0.1"),
    (b"{}", "text/plain", "127.0.0.1"),
    (b"{" + b" " * 2000 + b"}", JSON, "127.0.0.1"),
    (b"{}", JSON, "192.0.2.1"),
]


@pytest.fixture
def app(postgres_url: str, gateway: Gateway, platform: str, tmp_path) -> Iterator[Flask]:
    assert gateway.register(platform, SHOP).status == 200
    environment = {"DATABASE_URL": postgres_url, "DATA_DIR": str(tmp_path / "data"), "MAX_REQUEST_BYTES": "1000"}
    app = create_app(Settings.from_environment(environment, None))
    app.extensions["gateway"].open()
    yield app
    app.extensions["gateway"].close()


def test_both_doors_give_the_same_answers(app: Flask, platform: str) -> None:
    short, long = Client(app.wsgi_app), Client(app.wsgi_app._application)
    statuses = set()
    for body, content_type, address in CORPUS:
        told = []
        for door in (short, long):
            answer = door.post(
                "/call", data=body.replace(b"%P", platform.encode()), content_type=content_type,
                headers={"X-Request-ID": "one"}, environ_base={"REMOTE_ADDR": address},
            )  # fmt: skip
            said = {name: value for name, value in json.loads(answer.data).items() if name != "execution_time_ms"}
            told.append((answer.status_code, said, sorted(answer.headers.items(lower=True))))
        if told[0][0] == 200:  # its length may differ by a digit of the time
            told = [(status, said) for status, said, _ in told]
        assert told[0] == told[1]
        statuses.add(told[0][0])
    assert statuses == {200, 400, 403, 404, 413, 415}

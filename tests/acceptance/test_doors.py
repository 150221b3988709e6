"""A call is answered by the loop, by a thread, or by the framework: all return the same answers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest
from flask import Flask
from werkzeug.test import Client

from gateway.app import create_app
from gateway.settings import Settings
from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway

JSON = "application/json"
FUNCTIONS = """
CREATE FUNCTION fail(what text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', what; END $$;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT 2 * a';
CREATE FUNCTION twice(a text) RETURNS text LANGUAGE sql AS 'SELECT a || a';
CREATE FUNCTION many(n int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, n)';
CREATE FUNCTION large(n int) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', n) $$;
CREATE FUNCTION nap(seconds float8) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END'
    SET statement_timeout = '100ms';
CREATE PROCEDURE add(INOUT a int, b int) LANGUAGE plpgsql AS 'BEGIN a := a + b; END';
CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS 'SELECT';
"""
FILES = {**SHOP, "functions/doors.sql": FUNCTIONS}
LIMITS = {"MAX_REQUEST_BYTES": "1000", "MAX_RESPONSE_BYTES": "5000", "TRUSTED_PROXIES": "127.0.0.1"}


def calling(function: str, *params: object) -> bytes:
    return json.dumps({"platform": "%P", "function": function, "params": params}).encode()


CORPUS = [
    (calling("count_users"), JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"count_users","params":[],"tenant_id":null}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"count_users"}', "application/problem+json; charset=utf-8", "127.0.0.1"),
    (calling("add_user", 1, 2, 3), JSON, "127.0.0.1"),
    (calling("absent"), JSON, "127.0.0.1"),
    (calling("fail", "on purpose é"), JSON, "127.0.0.1"),
    (calling("twice", 4), JSON, "127.0.0.1"),
    (calling("twice", "ab"), JSON, "127.0.0.1"),
    (calling("twice", {"a": 1}), JSON, "127.0.0.1"),
    (calling("twice"), JSON, "127.0.0.1"),
    (calling("many", 300), JSON, "127.0.0.1"),
    (calling("many", 0), JSON, "127.0.0.1"),
    (calling("many", 3000), JSON, "127.0.0.1"),
    (calling("many", "no number"), JSON, "127.0.0.1"),
    (calling("large", 6000), JSON, "127.0.0.1"),
    (calling("large", 4000), JSON, "127.0.0.1"),
    (calling("nap", 20), JSON, "127.0.0.1"),
    (calling("add", 1, 2), JSON, "127.0.0.1"),
    (calling("nothing"), JSON, "127.0.0.1"),
    (b'{"platform":"%Pnobody","function":"count_users"}', JSON, "127.0.0.1"),
    (b'{"platform":"%","functoin":"count_users"}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"count_users","params":7}', JSON, "127.0.0.1"),
    (b'{"platform":"%P","function":"twice","params":[1e400]}', JSON, "127.0.0.1"),
    (b"[]", JSON, "127.0.0.1"),
    (b"{", JSON, "127.0.0.1"),
    (b"", JSON, "127.0.0.1"),
    (b"{}", "text/plain", "127.0.0.1"),
    (b"{" + b" " * 2000 + b"}", JSON, "127.0.0.1"),
    (b"{}", JSON, "192.0.2.1"),
]
TOLD = ("content-type", "content-length", "x-request-id", "retry-after", "allow")
Door = Callable[[bytes, dict[str, str]], tuple[int, dict[str, str], bytes]]


def through_wsgi(client: Client, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    answer = client.post("/call", data=body, headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    return answer.status_code, dict(answer.headers.items(lower=True)), answer.data


def through_http(
    gateway: Gateway, body: bytes, headers: dict[str, str], *, chunked: bool
) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)) as connection:
        sent = iter([body]) if chunked else body
        connection.request("POST", "/call", sent, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture
def app(postgres_url: str, tmp_path) -> Iterator[Flask]:
    environment = {"DATABASE_URL": postgres_url, "DATA_DIR": str(tmp_path / "data"), **LIMITS}
    app = create_app(Settings.from_environment(environment, None))
    app.extensions["gateway"].open()
    yield app
    app.extensions["gateway"].close()


def test_the_loop_a_thread_and_flask_return_the_same_answers(start_gateway, app: Flask, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="3", **LIMITS)
    assert gateway.register(platform, FILES).status == 200
    doors: dict[str, Door] = {
        "loop": partial(through_http, gateway, chunked=False),
        "thread": partial(through_http, gateway, chunked=True),
        "short way in front of the framework": partial(through_wsgi, Client(app.wsgi_app)),
        "framework": partial(through_wsgi, Client(app.wsgi_app._application)),  # type: ignore[attr-defined]
        "loop, with signatures, plans and connections that are known": partial(through_http, gateway, chunked=False),
    }
    statuses = set()
    for body, content_type, address in CORPUS:
        headers = {"Content-Type": content_type, "X-Request-ID": "one", "X-Forwarded-For": address}
        told = {}
        for name, door in doors.items():
            status, answered, text = door(body.replace(b"%P", platform.encode()), headers)
            said = {key: value for key, value in json.loads(text).items() if key != "execution_time_ms"}
            if status == 200:  # its length may differ by a digit of the time
                del answered["content-length"]
            told[name] = status, said, {name: value for name, value in answered.items() if name in TOLD}
        for name, answer in told.items():
            assert answer == told["framework"], (name, body)
        statuses.add(told["framework"][0])
    assert statuses == {200, 400, 403, 404, 413, 415, 500, 504}

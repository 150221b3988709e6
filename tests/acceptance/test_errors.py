"""Bad input of every kind: the code, the status, and always JSON."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
from contextlib import closing

import pytest

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Answer, Gateway, make_archive, multipart

JSON = {"Content-Type": "application/json"}


def refused(answer: Answer, status: int, code: str) -> dict:
    assert (answer.status, answer.json.get("error")) == (status, code), answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["message"]
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    return answer.json


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/call/", "/admin//databases", "/Call", "/admin", "/health/other", "/%ff", "/register/x"]
)
def test_an_unknown_route_is_not_found(gateway: Gateway, path: str) -> None:
    refused(gateway.get(path), 404, "not_found")
    refused(gateway.post_json(path, {}), 404, "not_found")


def test_the_message_says_what_to_do(gateway: Gateway, platform: str) -> None:
    assert "GET /docs lists" in gateway.get("/nowhere").json["message"]
    assert "POST /register creates it" in gateway.call(platform, "f").json["message"]
    stored = {"platform": platform, "schema_name": "a", "database_id": "b", "function": "f"}
    assert "POST /database/create creates it" in gateway.post_json("/call", stored).json["message"]
    assert "API_KEY_ADMIN" in gateway.post_json("/admin/drop-database", {"platform": platform}).json["message"]
    large = gateway.request("POST", "/call", b" " * 9_000_000, JSON)
    assert "MAX_REQUEST_BYTES" in refused(large, 413, "payload_too_large")["message"]


@pytest.mark.parametrize("path", ["/call", "/admin/create-tenant", "/platform/register"])
def test_a_body_of_too_many_values_is_refused_before_they_take_memory(gateway: Gateway, path: str) -> None:
    body = b'{"params":[' + b"{}," * 300_000 + b"{}]}"
    answer = refused(gateway.request("POST", path, body, JSON), 400, "invalid_request")
    assert "more than 500000 values" in answer["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/call", {"POST"}),
        ("PUT", "/call", {"POST"}),
        ("OPTIONS", "/call", {"POST"}),
        ("DELETE", "/register", {"POST"}),
        ("GET", "/migrate", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("POST", "/admin/databases", {"GET", "HEAD"}),
        ("GET", "/admin/create-tenant", {"POST"}),
        ("BREW", "/call", {"POST"}),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    gateway: Gateway, method: str, path: str, allowed: set[str]
) -> None:
    answer = gateway.request(method, path)
    refused(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("verb", ["register", "migrate"])
def test_a_schema_reaches_no_further_than_its_database(gateway: Gateway, platform: str, verb: str) -> None:
    assert gateway.register(platform, SHOP).status == 200
    deploy = getattr(gateway, verb)

    answer = deploy(platform, {**SHOP, "migrations/1.sql": "SELECT 1;\nALTER SYSTEM SET work_mem = '1GB';"})
    assert refused(answer, 400, "schema_extraction_failed")["file"] == "migrations/1.sql"
    assert "migrations/1.sql, line 2: ALTER SYSTEM cannot be used" in answer.json["message"]

    stamp = "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'x'); END $$"
    refused(deploy(platform, {**SHOP, "migrations/1.sql": stamp}), 409, "migration_failed")
    assert gateway.call(platform, "count_users").status == 200


@pytest.mark.parametrize("path", ["/call", "/admin/create-tenant"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b'{"platform": "a"', b'{"a": "\xff"}', b"[" * 50_000, b"[]", b"null", b'"x"', b"1.5"],
)
def test_what_is_not_a_json_object_is_refused(gateway: Gateway, path: str, body: bytes) -> None:
    refused(gateway.request("POST", path, body, JSON), 400, "invalid_request")


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_json_route_takes_json(gateway: Gateway, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for path in ("/call", "/admin/create-tenant"):
        refused(gateway.request("POST", path, b"{}", headers), 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/call", "/admin/create-tenant", "/register"])
def test_a_compressed_body_is_refused(gateway: Gateway, path: str) -> None:
    kind = "multipart/form-data; boundary=x" if path == "/register" else "application/json"
    for encoding in ("gzip", "br"):
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        refused(gateway.request("POST", path, gzip.compress(b"{}"), headers), 415, "unsupported_media_type")


def test_the_encoding_that_is_none_is_accepted_in_any_case(gateway: Gateway) -> None:
    for encoding in ("identity", "Identity"):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        refused(gateway.request("POST", "/call", b"{}", headers), 400, "invalid_request")


@pytest.mark.parametrize("path", ["/call", "/admin/create-tenant", "/register"])
@pytest.mark.parametrize(
    "chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"5\r\n{}"]
)
def test_malformed_chunks_are_the_client_s_fault(gateway: Gateway, path: str, chunks: bytes) -> None:
    kind = b"multipart/form-data; boundary=x" if path == "/register" else b"application/json"
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: %b\r\n\r\n" % (
        path.encode(),
        kind,
    )
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=120)) as client:
        client.sendall(head + chunks)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "invalid_request"


@pytest.mark.parametrize(
    "coding",
    [b"gzip, chunked", b"chunked, gzip", b"gzip", b"identity, chunked", b"chunked\r\nTransfer-Encoding: chunked"],
)
def test_a_body_is_coded_in_chunks_or_not_at_all(gateway: Gateway, coding: bytes) -> None:
    body = b'{"platform":"nobody","function":"f"}'
    head = b"POST /call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: %b\r\nContent-Type: application/json\r\n\r\n" % coding
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=120)) as client:
        client.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "invalid_request"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize(("hosts", "status"), [(b"", b"200"), (b"Host: x\r\nHost: x\r\n", b"400")], ids=["none", "two"])
def test_a_request_needs_no_host_and_has_no_second_one(
    gateway: Gateway, version: bytes, hosts: bytes, status: bytes
) -> None:
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=120)) as client:
        client.sendall(b"GET /health/live HTTP/%b\r\nConnection: close\r\n%b\r\n" % (version, hosts))
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.split(b" ", 2)[1] == status, answer


@pytest.mark.parametrize("length", [b"0", b"5"])
def test_a_head_without_its_empty_line_is_no_call(gateway: Gateway, length: bytes) -> None:
    head = b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %b\n" % length
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=120)) as client:
        client.sendall(head)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"not a readable HTTP request" in answer


def test_an_answer_about_many_wrong_fields_stays_small(gateway: Gateway) -> None:
    body = {"k" * 50_000: 1, **{f"k{number}": 1 for number in range(5000)}}
    answer = gateway.post_json("/admin/create-tenant", body)
    assert list(refused(answer, 400, "invalid_request")["fields"])[:4] == ["platform", "tenant_id", "k" * 100, "k0"]
    assert len(answer.body) < 5000


@pytest.mark.parametrize("path", ["/register", "/migrate"])
def test_a_form_route_takes_forms(gateway: Gateway, path: str) -> None:
    refused(gateway.post_json(path, {"platform": "a"}), 415, "unsupported_media_type")
    refused(gateway.request("POST", path, b"platform=a"), 415, "unsupported_media_type")
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        refused(gateway.request("POST", path, b"rubbish", {"Content-Type": content_type}), 400, "invalid_request")


@pytest.mark.parametrize("path", ["/register", "/migrate"])
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, {"platform", "schema"}),
        ({"platform": "a"}, {"schema"}),
        ({"schema": b"x"}, {"platform"}),
        ({"platform": "", "schema": b"x"}, {"platform"}),
        (
            {"platform": "%", "schema": b"x", "tenant_id": "../x", "force": "perhaps"},
            {"platform", "tenant_id", "force"},
        ),
        ({"platform": "a", "schema": b"x", "dry-run": "1"}, {"dry-run"}),
        ({"platform": "a", "schema": b"x", "file": b"y"}, {"file"}),
        ({"platform": "İ", "schema": b"x"}, {"platform"}),
    ],
)
def test_every_wrong_part_is_named(gateway: Gateway, path: str, fields: dict, named: set[str]) -> None:
    body = refused(gateway.post_form(path, fields), 400, "invalid_request")
    assert set(body["fields"]) == named
    assert all(text in body["message"] for text in body["fields"].values())
    assert all(name in body["message"] for name in named)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"platform", "function"}),
        ({"platform": "a"}, {"function"}),
        ({"platform": 1, "function": 2}, {"platform", "function"}),
        ({"platform": ["a"], "function": {"b": 1}}, {"platform", "function"}),
        ({"platform": "a", "function": "f", "tenant": "b"}, {"tenant"}),
        ({"platform": "a", "function": "f", "tenant_id": 7}, {"tenant_id"}),
        ({"platform": "a%", "function": "f", "tenant_id": "_x"}, {"platform", "tenant_id"}),
        ({"platform": "a", "function": "f", "params": "x"}, {"params"}),
    ],
)
def test_every_wrong_field_of_a_call_is_named(gateway: Gateway, body: dict, named: set[str]) -> None:
    answer = refused(gateway.post_json("/call", body), 400, "invalid_request")
    assert set(answer["fields"]) == named
    assert all(text in answer["message"] for text in answer["fields"].values())


@pytest.mark.parametrize(
    "more",
    [
        {"schema_name": "s"},
        {"database_id": "1"},
        {"uuid": "1"},
        {"schema_name": "s", "database_id": "1", "uuid": "2"},
        {"schema_name": "s", "database_id": "1", "tenant_id": "t"},
    ],
)
def test_half_of_a_v2_address_is_refused(gateway: Gateway, more: dict) -> None:
    body = {"platform": "a", "function": "f", **more}
    refused(gateway.post_json("/call", body), 400, "invalid_request")


def test_a_name_too_long_for_postgresql_is_refused_everywhere(gateway: Gateway) -> None:
    platform, archive = "a" * 59, make_archive(SHOP)
    for answer in (
        gateway.register(platform, archive),
        gateway.migrate(platform, archive),
        gateway.call(platform, "f"),
        gateway.register("a", archive, tenant_id="b" * 62),
        gateway.call("a", "f", tenant_id="b" * 62),
        gateway.post_json("/admin/create-tenant", {"platform": "a", "tenant_id": "b" * 62}),
    ):
        assert "64 bytes" in refused(answer, 400, "invalid_request")["message"]
    refused(gateway.call("a" * 58, "f"), 404, "database_not_found")


def test_a_missing_database_is_not_found_at_once(gateway: Gateway, platform: str) -> None:
    answer = refused(gateway.call(platform, "f", tenant_id="nobody"), 404, "database_not_found")
    assert answer["database"] == f"{platform}_nobody"
    assert (answer["platform"], answer["tenant_id"]) == (platform, "nobody")


def test_too_large_a_body_is_refused_regardless_of_its_content_length(start_gateway) -> None:
    gateway = start_gateway(MAX_REQUEST_BYTES="1000", MAX_UPLOAD_BYTES="5000")
    large = json.dumps({"platform": "a", "function": "f", "params": ["x" * 2000]}).encode()
    refused(gateway.request("POST", "/call", large, JSON), 413, "payload_too_large")
    refused(gateway.request("POST", "/admin/create-tenant", large, JSON), 413, "payload_too_large")
    refused(gateway.post_form("/register", {"platform": "a", "schema": b"x" * 5001}), 413, "payload_too_large")
    refused(gateway.post_form("/register", {"platform": "a", "schema": b"x" * 5000}), 400, "schema_extraction_failed")
    many = {f"part{number}": "" for number in range(200)}
    refused(gateway.post_form("/register", many), 413, "payload_too_large")

    assert send_chunked(gateway, large).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_call_is_read(gateway: Gateway) -> None:
    answer = send_chunked(gateway, b'{"platform":"%"}')
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"platform has a character" in answer


def send_chunked(gateway: Gateway, body: bytes) -> bytes:
    """Return the answer to a call whose body is sent in two chunks and without its length."""
    head = b"POST /call HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    pieces = (body[:5], body[5:], b"")
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=120)) as client:
        client.sendall(head + b"Connection: close\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces))
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_client_that_expects_100_continue_receives_it(gateway: Gateway, platform: str, tmp_path) -> None:
    archive = tmp_path / "schema.bin"
    archive.write_bytes(make_archive({**SHOP, "seeders/big.md": "x" * 10, "tables/.noise": bytes(range(256)) * 12_000}))
    done = subprocess.run(
        ["curl", "-sS", "-H", "Expect: 100-continue", "-F", f"schema=@{archive}", "-F", f"platform={platform}",
         "-F", "tenant_id=after the file", f"{gateway.url}/register"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["database"] == f"{platform}_after_the_file"


@pytest.mark.parametrize("filename", ["schema.tar.gz", "x", "../../x.php", ""])
def test_the_file_s_name_and_type_are_ignored(gateway: Gateway, platform: str, filename: str) -> None:
    body, content_type = multipart({"platform": platform, "schema": make_archive(SHOP)})
    named = body.replace(
        b'filename="schema.tar.gz"\r\nContent-Type: application/gzip', b'filename="%b"' % filename.encode()
    )
    assert named != body or filename == "schema.tar.gz"
    answer = gateway.request("POST", "/register", named, {"Content-Type": content_type})
    assert answer.status == 200, answer.body
    without = body.replace(b'; filename="schema.tar.gz"\r\nContent-Type: application/gzip', b"")
    answer = gateway.request("POST", "/register", without, {"Content-Type": content_type})
    assert answer.status == 200, answer.body


def test_no_answer_shows_internals(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    answers = [
        gateway.call(platform, "nothing_here"),
        gateway.call(platform, "add_user", [None]),
        gateway.register(platform, {**SHOP, "migrations/1.sql": "SELECT nonsense"}),
        gateway.call(f"{platform}x", "f"),
    ]
    for answer in answers:
        assert answer.status >= 400
        for secret in ("Traceback", 'File "', "postgresql://", "password", "host="):
            assert secret not in answer.body.decode()


@pytest.mark.parametrize("verb", ["register", "migrate"])
def test_a_refused_statement_has_a_file_and_a_line(gateway: Gateway, platform: str, verb: str) -> None:
    assert gateway.register(platform, SHOP).status == 200
    wrong = {**SHOP, "tables/rooms.pssql": "CREATE TABLE rooms (\n  id serial,\n  size squares\n);"}
    answer = refused(getattr(gateway, verb)(platform, wrong), 409, "migration_failed")
    assert (answer["file"], answer["line"]) == ("tables/rooms.pssql", 3)
    assert answer["message"] == 'tables/rooms.pssql, line 3 failed: type "squares" does not exist'

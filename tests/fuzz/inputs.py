"""Requests as no client sends them, as the bytes that go over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.routes import ROUTES
from tests.fuzz.archives import random_archive, random_sql
from tests.fuzz.values import FUNCTION_NAMES, HEADERS, METHODS, NUMBERS, PLATFORM, PLATFORMS, RAW_JSON, STRINGS, TENANTS

BODY_LIMIT = 300_000  #: bytes of a body, so that tens of thousands of inputs are done in minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzInput:
    """One request."""

    kind: str
    data: bytes
    is_whole: bool  #: head and body are well-formed HTTP, so that an answer is due


def random_input(rng: Random) -> FuzzInput:
    """Return a request of a random kind; the same for the same state of *rng*."""
    kinds: Sequence[tuple[Callable[[Random], FuzzInput], int]] = (
        (_call, 40), (_json, 15), (_form, 15), (_deploy, 2), (_path, 15), (_head, 20), (_noise, 3),
    )  # fmt: skip
    (make,) = rng.choices([make for make, _ in kinds], [weight for _, weight in kinds])
    return make(rng)


def _value(rng: Random, depth: int = 3) -> Any:
    kind = rng.randrange(8 if depth else 5)
    if kind < 2:
        return rng.choice(STRINGS)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4:
        return rng.choice((None, True, False))
    if kind < 7:
        return [_value(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 5)))]
    names = ("street", "number", "tags", "mood", "p", "q", "p_p", "x", "")
    return {rng.choice(names): _value(rng, depth - 1) for _ in range(rng.choice((0, 1, 3)))}


def _request(method: str, target: str, headers: Sequence[str], body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def _json_request(rng: Random, kind: str, method: str, target: str, body: bytes) -> FuzzInput:
    headers = [rng.choice(("Content-Type: application/json", "Content-Type: application/json; charset=utf-8"))]
    return FuzzInput(kind=kind, data=_request(method, target, headers, body[:BODY_LIMIT]), is_whole=True)


def _call(rng: Random) -> FuzzInput:
    """Return a call of an existing function, with values that may not fit."""
    body: dict[str, Any] = {"platform": PLATFORM, "function": rng.choice(FUNCTION_NAMES)}
    params = [_value(rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3)))]
    body["params"] = params if rng.random() < 0.7 else {rng.choice(("p", "q", "p_p", "x")): value for value in params}
    if rng.random() < 0.1:
        body[rng.choice(("tenant_id", "schema_name", "database_id", "uuid", "platfrom"))] = rng.choice(TENANTS)
    if rng.random() < 0.1:
        body["platform"] = rng.choice(PLATFORMS)
    return _json_request(
        rng, "call", "POST", "/call", json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    )


def _json(rng: Random) -> FuzzInput:
    """Return a body that is hardly JSON, or has unknown fields, for any route."""
    route = rng.choice([route for route in ROUTES if route.method == "POST"])
    if rng.random() < 0.5:
        body = rng.choice(RAW_JSON)
    else:
        fields = (
            "platform",
            "tenant_id",
            "name",
            "schema_name",
            "database_id",
            "force",
            "dry_run",
            "function",
            "params",
            "template",
            "x",
        )
        body = json.dumps(
            {
                rng.choice(fields): rng.choice((rng.choice(TENANTS), rng.choice(PLATFORMS), _value(rng)))
                for _ in range(rng.randint(0, 6))
            }
        ).encode()
    return _json_request(rng, "json", route.method, route.path.replace("<platform>", PLATFORM), body)


def _form(rng: Random) -> FuzzInput:
    """Return a form with parts in any order, some of them damaged, most of them with an unusable archive."""
    return _form_request(rng, "form", random_archive(rng))


def _deploy(rng: Random) -> FuzzInput:
    """A form with an archive that can be read and whose SQL is mostly wrong."""
    from tests.support.running_gateway import make_archive

    folders = ("types", "tables", "migrations", "functions", "seeders", "extensions")
    files = {f"{rng.choice(folders)}/{number}.sql": random_sql(rng) for number in range(rng.randint(1, 4))}
    return _form_request(
        rng,
        "deploy",
        make_archive({name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}),
        whole=True,
    )


def _form_request(rng: Random, kind: str, archive: bytes, *, whole: bool = False) -> FuzzInput:
    parts = [("platform", rng.choice(("fuzz_a", "fuzz-a") if whole else PLATFORMS).encode()), ("schema", archive)]
    if not whole or rng.random() < 0.5:
        parts.append(("dry_run", rng.choice((b"true", b"1", b"false" if whole else b"maybe"))))
    if rng.random() < 0.3:
        parts.append(
            (
                rng.choice(("tenant_id", "force", "seed", "tenant", "", 'a"b', "x" * 5000)),
                rng.choice((b"t1", b"", b"\xff", b"insert", b"x" * 5000)),
            )
        )
    rng.shuffle(parts)
    boundary = rng.choice(("b", "----x", "'", "a b", "x" * 70)) if not whole else "b"
    body = b""
    for name, content in parts:
        file_name = (
            rng.choice(('; filename="s.tar.gz"', "; filename=", "; filename*=utf-8''%ff", ""))
            if not whole
            else '; filename="s"'
        )
        file_name = file_name if name == "schema" else ""
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file_name}\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    body += f"--{boundary}--\r\n".encode()
    if not whole and rng.random() < 0.3:
        at = rng.randrange(len(body))
        body = body[:at] + rng.choice((b"", b"\r\n", b"--", rng.randbytes(3))) + body[at + rng.choice((0, 1, 40)) :]
    target = (
        rng.choice(("/register", "/migrate"))
        if whole
        else rng.choice(("/register", "/migrate", f"/platform/{PLATFORM}/schema", "/platform/register", "/call"))
    )
    headers = [f'Content-Type: multipart/form-data; boundary="{boundary}"']
    return FuzzInput(kind=kind, data=_request("POST", target, headers, body), is_whole=True)


def _path(rng: Random) -> FuzzInput:
    """A path spelt otherwise, with any method and query."""
    path = rng.choice([route.path for route in ROUTES]).replace(
        "<platform>", rng.choice((PLATFORM, "nosuch", "%00", "..", "%2e%2e", "é", "x" * 300))
    )
    for _ in range(rng.choice((0, 1, 1, 3))):
        at = rng.randint(0, len(path))
        path = (
            path[:at]
            + rng.choice(
                (
                    "/",
                    "//",
                    "%2f",
                    "/./",
                    "/../",
                    "%00",
                    "%",
                    "%zz",
                    "\\",
                    ";a=b",
                    "?",
                    "#",
                    "é",
                    "%ff",
                    "A",
                    " ",
                    "http://x",
                )
            )
            + path[at:]
        )
    if rng.random() < 0.5:
        path += "?" + "&".join(
            rng.choice(
                (
                    "platform=fuzzed",
                    "platform=",
                    "platform=%ff",
                    "schema=x",
                    "platform=a&platform=b",
                    "x" * 3000,
                    "=",
                    "a[]=1",
                )
            )
            for _ in range(rng.randint(1, 3))
        )
    if rng.random() < 0.1:
        path = rng.choice(
            ("*", "http://gateway/health", "http://[::1/health", "//", "x", "", "/" + "a" * 9000, "/" * 5000)
        )
    method = rng.choice(METHODS[:6])
    headers = ["Content-Type: application/json"] if rng.random() < 0.5 else []
    is_whole = " " not in path and path.startswith("/")
    return FuzzInput(
        kind="path", data=_request(method, path, headers, b"{}" if method == "POST" else b""), is_whole=is_whole
    )


def _head(rng: Random) -> FuzzInput:
    """A head with headers that contradict each other, or a body in damaged chunks."""
    body = b'{"platform":"fuzzed","function":"of_int","params":[1]}'
    method = rng.choice(METHODS[:2] if rng.random() < 0.7 else METHODS)
    target = rng.choice(("/call", "/health", "/register", "/"))
    version = rng.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "http/1.1", "HTTP/1.1 x", ""))
    line = f"{method} {target} {version}"
    lines = [line, "Host: gateway", *(rng.choice(HEADERS) for _ in range(rng.choice((0, 1, 2, 4, 150))))]
    if rng.random() < 0.5:
        lines.append(f"Content-Length: {len(body)}")
    if rng.random() < 0.2:
        lines.append("Transfer-Encoding: chunked")
        size = rng.choice(
            (b"%x" % len(body), b"0x5", b"-1", b"ffffffffffffffffff", b"5;ext=" + b"x" * 3000, b"", b"zz")
        )
        body = size + b"\r\n" + body + rng.choice((b"\r\n0\r\n\r\n", b"\r\n0\r\nTrailer: x\r\n\r\n", b"", b"\n0\n\n"))
    end = rng.choice(("\r\n", "\r\n", "\r\n", "\n", "\r"))
    return FuzzInput(
        kind="head", data=end.join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body, is_whole=False
    )


def _noise(rng: Random) -> FuzzInput:
    """What is no HTTP."""
    data = rng.choice(
        (
            b"",
            b"\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
            b"\0" * 100,
            b"GET",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"a" * 70_000,
            rng.randbytes(rng.randint(1, 3000)),
        )
    )
    return FuzzInput(kind="noise", data=data, is_whole=False)

"""Forms with an archive: parts in any order, with any file name and type; limits on everything."""

from __future__ import annotations

import io
import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from gateway.api.bodies import reading_form
from gateway.errors import GatewayError, InvalidRequest

BOUNDARY = "----------------------------0123456789ab"
ARCHIVE = random.Random(7).randbytes(3_000_000)


def part(name: str, data: bytes, *, filename: str | None = None, content_type: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    head += "" if content_type is None else f"\r\nContent-Type: {content_type}"
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def environ(*parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode(), length: int | None = None) -> dict[str, object]:
    body = b"".join(parts) + end
    return {
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
        "CONTENT_LENGTH": str(len(body) if length is None else length),
        "wsgi.input": io.BytesIO(body),
    }


def read(environ: dict[str, object], max_archive_bytes: int = 10**7) -> dict[str, object]:
    with reading_form(environ, max_archive_bytes) as parts:
        return {name: value if isinstance(value, str) else value.read() for name, value in parts.items()}


@pytest.mark.parametrize("filename", [None, "", "schema.tar.gz", "../../etc/passwd", "x.php"])
@pytest.mark.parametrize("content_type", [None, "application/gzip", "text/plain; charset=latin-1"])
@pytest.mark.parametrize("archive_at", [0, 1, 2])
def test_the_archive_is_the_part_called_schema_at_any_position(filename, content_type, archive_at) -> None:
    parts = [part("platform", b"shop"), part("tenant_id", "ümlaut".encode())]
    parts.insert(archive_at, part("schema", ARCHIVE, filename=filename, content_type=content_type))
    assert read(environ(*parts)) == {"platform": "shop", "tenant_id": "ümlaut", "schema": ARCHIVE}


def test_a_text_field_may_have_a_file_name() -> None:
    assert read(environ(part("platform", b"shop", filename="platform.txt"))) == {"platform": "shop"}


def test_a_form_may_be_empty() -> None:
    assert read(environ()) == {}
    assert read(environ(part("schema", b""), part("platform", b""))) == {"schema": b"", "platform": ""}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part("platform", b"a"), part("platform", b"a")], "platform was sent twice"),
        ([part("schema", b"a"), part("schema", b"a")], "schema was sent twice"),
        ([part("platform", b"\xff")], "platform is not UTF-8"),
        ([part("", b"a")], "has no name"),
        ([part("file", ARCHIVE, filename="schema.tar.gz")], "file is longer than 4096 bytes, or is no part"),
        ([f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()], "not readable"),
    ],
)
def test_a_wrong_part_is_named(parts, said) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read(environ(*parts))


def test_a_form_that_stops_in_the_middle_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not readable"):
        read(environ(part("platform", b"shop"), end=b""))
    with pytest.raises((InvalidRequest, BadRequest)):
        read(environ(part("platform", b"shop"), length=10_000))


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "application/x-www-form-urlencoded", "multipart/mixed"]
)
def test_another_content_type_is_not_supported(content_type) -> None:
    with pytest.raises(UnsupportedMediaType):
        read({**environ(), "CONTENT_TYPE": content_type})


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"]
)
def test_a_form_without_a_boundary_is_refused(content_type) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        read({**environ(), "CONTENT_TYPE": content_type})


def test_everything_has_a_limit() -> None:
    with pytest.raises(RequestEntityTooLarge):
        read(environ(part("schema", ARCHIVE)), max_archive_bytes=len(ARCHIVE) - 1)
    with pytest.raises(RequestEntityTooLarge):
        read(environ(length=10**12))
    with pytest.raises(RequestEntityTooLarge):
        read(environ(*(part(f"p{number}", b"") for number in range(101))))
    assert read(environ(part("schema", ARCHIVE)), max_archive_bytes=len(ARCHIVE)) == {"schema": ARCHIVE}


@given(st.binary(max_size=300), st.booleans())
def test_rubbish_is_refused_with_a_400(body, with_boundary) -> None:
    body = f"--{BOUNDARY}\r\n".encode() + body if with_boundary else body
    with suppress(GatewayError):
        read(environ(body))


@pytest.mark.parametrize("unit", [b";", b'; a="b"', b" ", b'\\"', b"\r\nX: y"])
def test_the_headers_of_parts_are_not_parsed_beyond_what_a_form_needs(unit) -> None:
    plain = part("platform", b"")
    long = plain.replace(b"\r\n\r\n", unit * (2**20 // len(unit)) + b"\r\n\r\n", 1)
    with pytest.raises(RequestEntityTooLarge, match="besides the archive"):
        read(environ(long))
    archive = part("schema", ARCHIVE)
    assert read(environ(plain, archive)) == {"platform": "", "schema": ARCHIVE}
    many = [part(f"p{number}", b"x" * 4000) for number in range(90)]
    with pytest.raises(RequestEntityTooLarge, match="besides the archive"):
        read(environ(archive, *many))

"""The loop parses plain heads as gunicorn's parser does, and leaves all others to it."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.wsgi import create

from gateway.serving import heads
from gateway.serving.heads import HeadReader

LINE = b"POST /call HTTP/1.1"
PLAIN = [
    [b"Host: x", b"Content-Length: 2"],
    [b"Content-Length:2"],
    [b"HOST: x", b"content-LENGTH: \t2 ", b"CONTENT-type: application/json; charset=utf-8"],
    [b"Host: x", b"Content-Length: 2", b"Connection: close"],
    [b"Host: x", b"Content-Length: 2", b"Connection: Keep-Alive"],
    [b"Host: x", b"Content-Length: 2", b"X-Request-ID: abc", b"X-Forwarded-For: 1.2.3.4, 5.6.7.8"],
    [b"Host: x", b"Content-Length: 2", b"X-Empty:", b"X-Blank:   ", b"X-Latin: \xe9", b"X-Tab: a\tb"],
    [b"Host: x", b"Content-Length: 2", b"Authorization: Bearer abc", b"X-API-Key: k:e:y"],
]
NOT_PLAIN = [
    [],
    [b"Host: x"],
    [b"Content-Length: 2", b"Content-Length: 2"],
    [b"Content-Length: 2", b"content-length: 2"],
    [b"Content-Length: +2"],
    [b"Content-Length: 2, 2"],
    [b"Content-Length: \xb2"],
    [b"Content-Length: 0x2"],
    [b"Content-Length : 2"],
    [b" Content-Length: 2"],
    [b"Content-Length: 2", b" folded"],
    [b"Content-Length: 2", b"\tfolded"],
    [b"Content-Length: 2", b"Transfer-Encoding: chunked"],
    [b"Content-Length: 2", b"Transfer-Encoding: identity"],
    [b"Content-Length: 2", b"Content-Encoding: gzip"],
    [b"Content-Length: 2", b"Expect: 100-continue"],
    [b"Content-Length: 2", b"Connection: upgrade"],
    [b"Content-Length: 2", b"Connection: close, keep-alive"],
    [b"Content-Length: 2", b"Upgrade: h2c"],
    [b"Content-Length: 2", b"X_Forwarded_For: 1.2.3.4"],
    [b"Content-Length: 2", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 5.6.7.8"],
    [b"Content-Length: 2", b"X-Null: a\0b"],
    [b"Content-Length: 2", b"X-Bare: a\nb"],
    [b"Content-Length: 2", b"X-Bare: a\rb"],
    [b"Content-Length: 2", b"X-Delete: \x7f"],
    [b"Content-Length: 2", b"no colon"],
    [b"Content-Length: 2", b": no name"],
    [b"Content-Length: 2", b"N\xe4me: x"],
    [b"Content-Length: 2", b"X-Long: " + b"x" * 9000],
    [b"Content-Length: 2", *(b"X-%d: x" % number for number in range(200))],
]
LINES = [
    b"POST /call HTTP/1.0",
    b"POST /call HTTP/1.1 ",
    b"POST  /call HTTP/1.1",
    b"post /call HTTP/1.1",
    b"POST //call HTTP/1.1",
    b"POST /call?x=1 HTTP/1.1",
    b"POST /call/ HTTP/1.1",
    b"POST http://x/call HTTP/1.1",
    b"GET /call HTTP/1.1",
    b"POST /call",
]


@pytest.mark.parametrize("lines", PLAIN)
def test_a_plain_head_is_parsed_as_gunicorn_parses_it(lines: list[bytes]) -> None:
    head = b"\r\n".join([LINE, *lines])
    config = Config()
    parser = get_parser(config, iter([head + b"\r\n\r\n{}"]), ("192.0.2.1", 1))
    request = next(parser)
    _, environ = create(request, None, ("192.0.2.1", 1), ("127.0.0.1", 2), config)
    plain = HeadReader().read(head)
    assert plain is not None
    known = {name: value for name, value in environ.items() if name in plain.environ or name.startswith("HTTP_")}
    assert plain.environ == known
    assert plain.length == 2
    assert plain.last is request.should_close()


@pytest.mark.parametrize("lines", NOT_PLAIN)
def test_an_ambiguous_head_is_not_plain(lines: list[bytes]) -> None:
    assert HeadReader().read(b"\r\n".join([LINE, *lines])) is None


@pytest.mark.parametrize("line", LINES)
def test_only_the_plain_spelling_of_the_request_line_is_plain(line: bytes) -> None:
    assert HeadReader().read(line + b"\r\nContent-Length: 2") is None


def test_heads_are_remembered_within_a_limit_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_REMEMBERED_BYTES", 1000)
    reader = HeadReader()
    for number in range(100):
        head = LINE + b"\r\nContent-Length: 2\r\nX-Request-ID: %d" % number
        first, second = reader.read(head), reader.read(head)
        assert first is second
        assert first.environ["HTTP_X_REQUEST_ID"] == str(number)
        assert sum(map(len, reader._known)) <= 1000

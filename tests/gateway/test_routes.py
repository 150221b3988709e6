"""The table of routes, as the workers look requests up in it."""

from __future__ import annotations

import pytest
from gunicorn import util
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from gateway.routes import ROUTES, Access, Key, Work, route_of_head, route_of_nothing, route_of_rule

MAP = Map([Rule(route.path, methods=[route.method], endpoint=route) for route in ROUTES], merge_slashes=False)
OF_EVERY_KIND = [
    route
    for route in ROUTES
    if route.path in ("/health/live", "/call", "/migrate", "/admin/databases") or "<" in route.path
]
SPELLINGS = [
    "{path}", "/{path}", "//{path}", "/%2f{path}", "/%2F%2f{path}", "/.{path}", "/./{path}", "/x/..{path}",
    "{path}/", "{path}//", "{path}?a=b", "{path}#a", "{path}?x=/health", "{path}%20", "{path}%00", "{path};a=b",
    "http://h{path}", "http://h/{path}", "HTTPS://h:1{path}?a", "http://[::1]{path}", "http://h@i{path}", "h{path}",
    "{upper}", "{encoded}", "{encoded}?a=b", "http://h{encoded}", "*",
]  # fmt: skip


def path_info(head: bytes) -> str | None:
    """The path as the application gets it from the server; None when the server refuses the request."""
    try:
        request = next(get_parser(Config(), iter([head]), ("127.0.0.1", 1)))
    except ParseException:
        return None

    return util.unquote_to_wsgi_str(request.path or "")


def heads() -> list[bytes]:
    found = []
    for route in OF_EVERY_KIND:
        path = route.path.replace("<platform>", "shop")
        encoded = "/" + "".join(f"%{ord(letter):02x}" for letter in path[1:4]) + path[4:]
        for spelling in SPELLINGS:
            target = spelling.format(path=path, upper=path.upper(), encoded=encoded)
            for method in (route.method, "HEAD", "OPTIONS"):
                found.append(f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    return found


def test_every_spelling_of_a_path_is_looked_up_as_the_application_routes_it() -> None:
    routed = 0
    for head in heads():
        path = path_info(head)
        if path is None:
            continue
        method = head.split(b" ")[0].decode()
        try:
            answers = MAP.bind("h").match(path.encode("latin-1").decode("utf-8", "replace"), method)[0]
        except HTTPException:
            answers = None
        assert route_of_head(head) is answers, head
        routed += answers is not None
    assert routed > len(OF_EVERY_KIND) * 5


def test_a_head_that_is_none_is_no_route() -> None:
    for head in (
        b"",
        b"\r\n",
        b"POST",
        b"POST ",
        b"POST http://[",
        b"\xff\xfe /call HTTP/1.1",
        b"POST  /call HTTP/1.1",
    ):
        assert route_of_head(head) is None


def test_a_rule_is_matched_by_its_shape() -> None:
    assert route_of_rule("POST", "/platform/<string:name>/schema").work is Work.DEPLOY
    assert route_of_rule("HEAD", "/health").access is Access.OPEN
    assert route_of_rule("POST", "/health") is None


@pytest.mark.parametrize(
    ("path", "access"),
    [
        ("/admin", Access.ADMIN), ("/admin/", Access.ADMIN), ("//admin/nothing", Access.ADMIN),
        ("/administration", Access.NETWORK), ("/", Access.NETWORK), ("", Access.NETWORK), ("/nowhere", Access.NETWORK),
        ("/healthy", Access.NETWORK), ("/health/nothing", Access.OPEN),
    ],
)  # fmt: skip
def test_a_request_without_a_route_has_the_strictest_rules_beside_it(path, access) -> None:
    found = route_of_nothing(path)
    assert found.access is access
    assert found.key is {Access.ADMIN: Key.ADMIN}.get(access, Key.NONE)

"""Access is decided by the route that will answer, for every spelling of its path."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from flask import Flask, request

from gateway.api.guard import Guard
from gateway.errors import AddressNotAllowed, Unauthorized
from gateway.events import Events
from gateway.routes import CALL, ROUTES, Access, Key, Route
from gateway.settings import Settings

OFFICE = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
INSIDE = "192.0.2.1"
GUARDED = [route for route in ROUTES if route.access is not Access.OPEN]
ADMINISTRATION = next(route for route in ROUTES if route.access is Access.ADMIN)


def settings(**changes: object) -> Settings:
    return Settings(conninfo="", allowed_networks=OFFICE, **changes)


def admit(route: Route | None, address: str, settings: Settings, forwarded_for: str | None = None) -> None:
    headers = {} if forwarded_for is None else {"HTTP_X_FORWARDED_FOR": forwarded_for}
    Guard(settings, Events()).admit(route, {"REMOTE_ADDR": address, **headers})


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
def test_an_address_outside_is_refused_everywhere(route) -> None:
    for address in ("127.0.0.1", "198.51.100.1", "::1", "", "unix:"):
        for forwarded_for in (None, INSIDE, f"{INSIDE}, {INSIDE}"):
            with pytest.raises(AddressNotAllowed):
                admit(route, address, settings(), forwarded_for)


@pytest.mark.parametrize("address", [INSIDE, "::ffff:192.0.2.1", "2001:db8::1"])
def test_an_address_inside_is_admitted(address) -> None:
    for route in ROUTES:
        if route.key not in (Key.PLATFORM_ALWAYS, Key.ADMIN_ALWAYS, Key.ADMIN_PAGE):
            admit(route, address, settings())
            continue
        with pytest.raises(Unauthorized):  # no key is set, and these routes are closed then
            admit(route, address, settings())


def test_a_route_without_a_rule_is_closed() -> None:
    with pytest.raises(AddressNotAllowed, match="no rule"):
        admit(None, INSIDE, settings())


def test_administration_has_networks_of_its_own_inside_the_allowed() -> None:
    narrow = settings(allowed_admin_networks=(ip_network("192.0.2.7/32"), ip_network("198.51.100.0/24")))
    admit(ADMINISTRATION, "192.0.2.7", narrow)
    admit(CALL, "192.0.2.8", narrow)
    for address in ("192.0.2.8", "198.51.100.1"):
        with pytest.raises(AddressNotAllowed):
            admit(ADMINISTRATION, address, narrow)


def test_a_trusted_proxy_speaks_for_its_clients() -> None:
    behind = settings(trusted_proxies=(ip_network("198.51.100.1/32"),))
    admit(CALL, "198.51.100.1", behind, INSIDE)
    for forwarded in ("192.0.2.1, 203.0.113.9", "203.0.113.9", "192.0.2.1, rubbish"):
        with pytest.raises(AddressNotAllowed):
            admit(CALL, "198.51.100.1", behind, forwarded)


def test_caches_have_few_and_short_keys() -> None:
    guard = Guard(settings(trusted_proxies=(ip_network("198.51.100.1/32"),)), Events())
    for number in range(6000):
        forwarded_for = f"{'203.0.113.9, ' * (number % 2000)}{INSIDE}"
        guard.admit(CALL, {"REMOTE_ADDR": "198.51.100.1", "HTTP_X_FORWARDED_FOR": forwarded_for})
        guard.admit(CALL, {"REMOTE_ADDR": INSIDE, "HTTP_X_FORWARDED_FOR": f"{number}"})
    assert guard._judge_peer.cache_info().currsize == 2
    assert guard._judge_forwarded.cache_info().currsize < 20


def test_ten_thousand_wrong_keys_leave_nothing_behind() -> None:
    guard = Guard(settings(api_keys={"SHOP": ("a-key",)}), Events())
    known = dict(guard._keys._by_digest)
    for number in range(10_000):
        with pytest.raises(Unauthorized):
            guard.admit(CALL, {"REMOTE_ADDR": INSIDE, "HTTP_X_API_KEY": f"{number} {'x' * (number % 1000)}"})
    assert guard._keys._by_digest == known
    assert guard._judge_peer.cache_info().currsize == 1
    assert guard._judge_forwarded.cache_info().currsize == 0


PATHS = [
    "/admin/databases", "//admin/databases", "///admin/databases", "/./admin/databases", "/admin//databases",
    "/admin/databases/", "/ADMIN/databases", "/admin/./databases", "/x/../admin/databases",
    "/admin/databases?platform=a",
    "/admin", "//admin", "/admin/nothing", "/admin/create-tenant", "//admin/create-tenant", "/platform/admin/databases",
    "/admin/databases;x", "/admin/databases\0", "/\\admin/databases", "\\admin/databases", "admin/databases", "", "/",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get"])
def test_no_spelling_reaches_a_view_that_the_guard_has_not_admitted(method) -> None:
    """The guard checks the view that the framework has chosen."""
    guard = Guard(settings(allowed_admin_networks=(ip_network("10.0.0.0/8"),)), Events())
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    reached = []
    for route in ROUTES:
        app.add_url_rule(
            route.path, f"{route.method} {route.path}", lambda route=route, **_: reached.append(route) or "reached",
            methods=[route.method], provide_automatic_options=False,
        )  # fmt: skip
    app.before_request(lambda: guard.admit_flask(request))
    app.register_error_handler(AddressNotAllowed, lambda _: ("", 403))
    seen = set()
    for path in PATHS:
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path.partition("?")[0], "REMOTE_ADDR": INSIDE, "SCRIPT_NAME": "",
            "SERVER_NAME": "h", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        }  # fmt: skip
        app.wsgi_app(environ, lambda status, _headers, statuses=statuses: statuses.append(status[:3]))
        assert statuses in (["403"], ["404"], ["405"]) or path == "/platform/admin/databases", path
        seen.update(statuses)
    assert "403" in seen
    assert all(route.access is not Access.ADMIN for route in reached)

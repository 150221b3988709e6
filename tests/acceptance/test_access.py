"""Access to every route, by key and network: the whole table, over HTTP."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from itertools import product

import pytest

from gateway.routes import ROUTES
from tests.acceptance.conftest import ADMIN_KEY, CAFE_KEY, OLD_SHOP_KEY, PROXY, SHOP, SHOP_KEY
from tests.support.running_gateway import Gateway, multipart

#: The status of every route, from an address of the allowed networks and from one of the administration's: with no key,
#: a wrong one, another platform's, the platform's own, the admin key. Numbers besides 401 and 403 are the route's own.
TABLE = """
                                         office                     administration
                                         none wrong other own admin none wrong other own admin
GET  /health                             200  200   200   200 200   200  200   200   200 200
GET  /health/live                        200  200   200   200 200   200  200   200   200 200
GET  /health/ready                       200  200   200   200 200   200  200   200   200 200
GET  /metrics                            200  200   200   200 200   200  200   200   200 200
GET  /openapi.json                       200  200   200   200 200   200  200   200   200 200
GET  /docs                               200  200   200   200 200   200  200   200   200 200
GET  /platforms                          200  200   200   200 200   200  200   200   200 200
POST /call                               401  401   403   404 404   401  401   403   404 404
POST /query                              401  401   403   404 404   401  401   403   404 404
POST /register                           401  401   403   400 400   401  401   403   400 400
POST /migrate                            401  401   403   400 400   401  401   403   400 400
POST /platform/register                  401  401   403   400 400   401  401   403   400 400
POST /platform/<platform>/schema         401  401   403   415 415   401  401   403   415 415
GET  /platform/<platform>/schemas        401  401   403   404 404   401  401   403   404 404
GET  /platform/<platform>/databases      401  401   403   404 404   401  401   403   404 404
GET  /platform/<platform>/status         401  401   403   404 404   401  401   403   404 404
POST /database/create                    401  401   403   404 404   401  401   403   404 404
POST /v2/migrate                         401  401   403   404 404   401  401   403   404 404
POST /v2/migrate-all                     401  401   403   404 404   401  401   403   404 404
POST /v2/undo                            401  401   403   404 404   401  401   403   404 404
GET  /admin/databases                    403  403   403   403 403   401  401   401   401 200
GET  /admin/platforms                    403  403   403   403 403   401  401   401   401 200
GET  /admin/deploys                      403  403   403   403 403   401  401   401   401 200
POST /admin/create-tenant                403  403   403   403 403   401  401   401   401 400
POST /admin/create-tenant-db             403  403   403   403 403   401  401   401   401 400
POST /admin/drop-database                403  403   403   403 403   401  401   401   401 400
POST /admin/database/create              403  403   403   403 403   401  401   401   401 404
GET  /admin/                             403  403   403   403 403   401  401   401   401 200
GET  /admin/pages/platform/<platform>    403  403   403   403 403   401  401   401   401 404
GET  /admin/pages/deploys                403  403   403   403 403   401  401   401   401 200
GET  /admin/pages/deploys/<deploy>       403  403   403   403 403   401  401   401   401 404
GET  /admin/pages/call                   403  403   403   403 403   401  401   401   401 200
POST /admin/pages/call                   403  403   403   403 403   401  401   401   401 415
"""
ROWS = {tuple(line.split()[:2]): list(map(int, line.split()[2:])) for line in TABLE.strip().splitlines()[2:]}

STRANGER = "127.0.0.2"  # an address of this machine that is no proxy
KEYS = {"none": None, "wrong": "no-key", "other": CAFE_KEY, "own": SHOP_KEY, "admin": ADMIN_KEY}
CODES = {401: {"unauthorized"}, 403: {"unauthorized", "platform_isolation_violation"}}
PLATFORM = SHOP

#: Requests that are refused, or change nothing, after they have been admitted.
BODIES = {
    "/call": {"platform": PLATFORM, "function": "f"},
    "/query": {"platform": PLATFORM, "tenant_id": "nobody", "query": "SELECT 1"},
    "/platform/register": {"platform": PLATFORM, "unknown": 1},
    "/database/create": {"platform": PLATFORM, "schema_name": "s", "database_id": "d"},
    "/admin/database/create": {"platform": PLATFORM, "schema_name": "s", "database_id": "d"},
    "/v2/migrate": {"platform": PLATFORM, "schema_name": "s"},
    "/v2/undo": {"platform": PLATFORM, "schema_name": "s"},
    "/v2/migrate-all": {"platform": PLATFORM, "schema_name": "s"},
    "/admin/create-tenant": {"platform": PLATFORM, "tenant_id": ""},
    "/admin/create-tenant-db": {"platform": PLATFORM, "tenant_id": ""},
    "/admin/drop-database": {"platform": PLATFORM, "tenant_id": "main", "confirm": "no"},
    "/platform/<platform>/schema": {},
    "/admin/pages/call": {},
}


def ask(
    gateway: Gateway, method: str, path: str, *, key: str | None, forwarded: str | None, peer: str = PROXY,
    platform: str = PLATFORM, bearer: bool = False,
) -> tuple[int, dict]:  # fmt: skip
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    if key is not None:
        headers |= {"Authorization": f"Bearer {key}"} if bearer else {"X-API-Key": key}
    body = None
    if path in ("/register", "/migrate"):
        body, headers["Content-Type"] = multipart({"schema": b"no archive", "platform": platform})
    elif method == "POST":
        body, headers["Content-Type"] = (
            json.dumps(BODIES[path]).replace(PLATFORM, platform).encode(),
            "application/json",
        )
    target = path.replace("<platform>", platform)
    target += f"?platform={platform}" if path == "/admin/databases" else ""
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, source_address=(peer, 0))) as connection:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if response.headers["Content-Type"] == "application/json" else {}


def test_the_table_has_a_row_for_every_route() -> None:
    assert set(ROWS) == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize(("method", "path"), ROWS)
def test_a_route_admits_the_requests_of_its_row(keyed: Gateway, method: str, path: str) -> None:
    asked = product(("10.1.0.1", "10.1.9.1"), KEYS.values())
    answers = [ask(keyed, method, path, key=key, forwarded=f"192.0.2.1, {address}") for address, key in asked]
    assert [status for status, _ in answers] == ROWS[method, path]
    for status, body in answers:
        if status in CODES:
            assert body["error"] in CODES[status]


@pytest.mark.parametrize(("method", "path"), ROWS)
def test_outside_the_networks_no_key_and_no_forged_address_is_admitted(keyed: Gateway, method: str, path: str) -> None:
    ways = [
        (PROXY, "192.0.2.1"),
        (PROXY, "10.1.9.1, 192.0.2.1"),
        (PROXY, None),
        (STRANGER, "10.1.9.1"),
        (STRANGER, None),
    ]
    for (peer, forwarded), key in product(ways, (None, KEYS["own"], KEYS["admin"])):
        status, body = ask(keyed, method, path, key=key, forwarded=forwarded, peer=peer)
        assert (status, body.get("error")) == ((200, None) if path.startswith("/health") else (403, "unauthorized"))


@pytest.mark.parametrize(("key", "status"), [(None, 404), ("no-key", 401), (CAFE_KEY, 403), (ADMIN_KEY, 404)])
def test_a_platform_without_a_key_accepts_requests_without_one(keyed: Gateway, key, status) -> None:
    answer = ask(keyed, "POST", "/call", key=key, forwarded="10.1.0.1", platform="free")
    assert answer[0] == status


def test_a_request_without_a_route_needs_the_access_of_its_neighbours(keyed: Gateway) -> None:
    for method, path, key, address, status in (
        ("GET", "/admin/nowhere", None, "10.1.9.1", 401), ("GET", "/admin/nowhere", ADMIN_KEY, "10.1.9.1", 404),
        ("GET", "/admin/nowhere", ADMIN_KEY, "10.1.0.1", 403), ("PUT", "/admin/databases", SHOP_KEY, "10.1.9.1", 401),
        ("PUT", "/admin/databases", ADMIN_KEY, "10.1.9.1", 405), ("GET", "//admin/databases", None, "10.1.9.1", 401),
        ("GET", "/nowhere", None, "10.1.0.1", 404), ("GET", "/nowhere", None, "192.0.2.1", 403),
        ("GET", "/call", None, "10.1.0.1", 405), ("PUT", "/call", "wrong", "10.1.0.1", 401),
    ):  # fmt: skip
        headers = {"X-Forwarded-For": address} | ({} if key is None else {"X-API-Key": key})
        assert keyed.request(method, path, headers=headers).status == status, (method, path, key, address)


def test_a_key_may_be_sent_as_a_bearer_token_and_changed_without_a_gap(keyed: Gateway) -> None:
    for key, bearer in product((OLD_SHOP_KEY, SHOP_KEY), (True, False)):
        assert ask(keyed, "POST", "/call", key=key, forwarded="10.1.0.1", bearer=bearer)[0] == 404
    assert ask(keyed, "POST", "/call", key=f"{OLD_SHOP_KEY},{SHOP_KEY}", forwarded="10.1.0.1")[0] == 401
    assert ask(keyed, "POST", "/call", key="shop-key", forwarded="10.1.0.1", bearer=True)[0] == 401


def test_a_platform_is_the_same_however_it_is_written(keyed: Gateway) -> None:
    for platform in (SHOP.upper(), SHOP.replace("-", "_"), SHOP.replace("-", ".")):
        assert ask(keyed, "POST", "/call", key=None, forwarded="10.1.0.1", platform=platform)[0] == 401
        assert ask(keyed, "POST", "/call", key=KEYS["own"], forwarded="10.1.0.1", platform=platform)[0] == 404


def test_refusals_are_logged_and_keys_never(keyed: Gateway) -> None:
    ask(keyed, "POST", "/call", key="guess-nobody-made", forwarded="10.1.0.77")
    assert "the API key is wrong" in keyed.log
    assert "10.1.0.77" in keyed.log
    for key in ("guess-nobody-made", CAFE_KEY, OLD_SHOP_KEY, SHOP_KEY, ADMIN_KEY):
        assert key not in keyed.log

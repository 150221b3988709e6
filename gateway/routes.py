"""The one table of routes: from which networks and with which key each may be used, and which threads answer it.

The guard, the workers and the tests read it. It imports no framework, so that a worker can look up a request before the
framework has parsed it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final
from urllib.parse import unquote, urlsplit


class Access(IntEnum):
    """From which networks a route may be used; a higher number is stricter."""

    OPEN = 0  #: from everywhere
    NETWORK = 1  #: from ALLOWED_NETWORKS
    ADMIN = 2  #: from ALLOWED_NETWORKS, and from ALLOWED_ADMIN_NETWORKS if there are any


class Key(IntEnum):
    """Which API key a route needs; a higher number is stricter."""

    NONE = 0
    PLATFORM = 1  #: the key of the platform that the request names, if it has one
    PLATFORM_ALWAYS = 2  #: the same; platforms without a key cannot use the route
    ADMIN = 3  #: the admin key if one is set, else the key of the platform
    ADMIN_ALWAYS = 4  #: the admin key; the route is closed if none is set
    ADMIN_PAGE = 5  #: the same; a browser may also send it as the password of HTTP Basic


class Work(Enum):
    """Which threads process a request."""

    HEALTH = "health"  #: threads of its own, so that it is answered while all others are busy
    CALL = "call"
    DEPLOY = "deploy"  #: takes long; threads of its own, so that no call waits for it
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. A segment of the path such as ``<platform>`` matches any one segment."""

    method: str
    path: str
    access: Access
    key: Key
    work: Work


def _route(method: str, path: str, access: Access, key: Key, work: Work) -> Route:
    return Route(method=method, path=path, access=access, key=key, work=work)


#: Calls are answered without the framework where possible.
CALL: Final = _route("POST", "/call", Access.NETWORK, Key.PLATFORM, Work.CALL)

ROUTES: Final = (
    _route("GET", "/health", Access.OPEN, Key.NONE, Work.HEALTH),
    _route("GET", "/health/live", Access.OPEN, Key.NONE, Work.HEALTH),
    _route("GET", "/health/ready", Access.OPEN, Key.NONE, Work.HEALTH),
    _route("GET", "/metrics", Access.NETWORK, Key.NONE, Work.HEALTH),
    _route("GET", "/openapi.json", Access.NETWORK, Key.NONE, Work.OTHER),
    _route("GET", "/docs", Access.NETWORK, Key.NONE, Work.OTHER),
    CALL,
    _route("POST", "/query", Access.NETWORK, Key.PLATFORM_ALWAYS, Work.OTHER),
    _route("POST", "/register", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("POST", "/migrate", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("POST", "/platform/register", Access.NETWORK, Key.PLATFORM, Work.OTHER),
    _route("POST", "/platform/<platform>/schema", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("GET", "/platform/<platform>/schemas", Access.NETWORK, Key.PLATFORM, Work.OTHER),
    _route("GET", "/platform/<platform>/databases", Access.NETWORK, Key.PLATFORM, Work.OTHER),
    _route("GET", "/platform/<platform>/status", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("GET", "/platforms", Access.NETWORK, Key.NONE, Work.OTHER),
    _route("POST", "/database/create", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("POST", "/v2/migrate", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("POST", "/v2/migrate-all", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("POST", "/v2/undo", Access.NETWORK, Key.PLATFORM, Work.DEPLOY),
    _route("GET", "/admin/databases", Access.ADMIN, Key.ADMIN, Work.OTHER),
    _route("GET", "/admin/deploys", Access.ADMIN, Key.ADMIN, Work.OTHER),
    _route("GET", "/admin/platforms", Access.ADMIN, Key.ADMIN, Work.OTHER),
    _route("POST", "/admin/create-tenant", Access.ADMIN, Key.ADMIN, Work.DEPLOY),
    _route("POST", "/admin/create-tenant-db", Access.ADMIN, Key.ADMIN, Work.DEPLOY),
    _route("POST", "/admin/drop-database", Access.ADMIN, Key.ADMIN_ALWAYS, Work.DEPLOY),
    _route("POST", "/admin/database/create", Access.ADMIN, Key.ADMIN, Work.DEPLOY),
    _route("GET", "/admin/", Access.ADMIN, Key.ADMIN_PAGE, Work.OTHER),
    _route("GET", "/admin/pages/platform/<platform>", Access.ADMIN, Key.ADMIN_PAGE, Work.DEPLOY),
    _route("GET", "/admin/pages/deploys", Access.ADMIN, Key.ADMIN_PAGE, Work.OTHER),
    _route("GET", "/admin/pages/deploys/<deploy>", Access.ADMIN, Key.ADMIN_PAGE, Work.OTHER),
    _route("GET", "/admin/pages/call", Access.ADMIN, Key.ADMIN_PAGE, Work.OTHER),
    _route("POST", "/admin/pages/call", Access.ADMIN, Key.ADMIN_PAGE, Work.OTHER),
)  # fmt: skip

_VARIABLE: Final = re.compile(r"<[^>]*>")
#: The key that is needed where a missing key does not close the route.
_WHERE_SET: Final = {Key.PLATFORM_ALWAYS: Key.PLATFORM, Key.ADMIN_ALWAYS: Key.ADMIN, Key.ADMIN_PAGE: Key.ADMIN}


def _shape(path: str) -> str:
    return _VARIABLE.sub("<>", path)


_BY_SHAPE: Final = {(route.method, _shape(route.path)): route for route in ROUTES}
_PATTERNS: Final = tuple(
    (re.compile("[^/]+".join(map(re.escape, _VARIABLE.split(route.path)))), route)
    for route in ROUTES
    if _VARIABLE.search(route.path)
)


def route_of_rule(method: str, rule: str) -> Route | None:
    """Return the row of the route that the framework has matched, or None if there is no row; then it must be refused.

    :param rule: the path as the framework spells it; the names of its variables are ignored
    """
    return _BY_SHAPE.get(("GET" if method == "HEAD" else method, _shape(rule)))


def route_of_nothing(path: str) -> Route:
    """Return the row for a request without a route: the strictest rules of the routes with the same first segment.

    So a client that may not use a route cannot find out its methods, or the routes beside it, either.
    """
    first = path.lstrip("/").partition("/")[0]
    alike = [route for route in ROUTES if route.path.split("/")[1] == first]
    access = max((route.access for route in alike), default=Access.NETWORK)
    # No route is closed here for lack of a key.
    key = max((_WHERE_SET.get(route.key, route.key) for route in alike), default=Key.NONE)
    return _route("", f"/{first}" if alike else "", access, key, Work.OTHER)


def route_of_head(head: bytes) -> Route | None:
    """Return the route of a request that starts with *head*, or None if no route matches.

    The target is parsed as the application parses it, so that every spelling of a path is the same kind of work.

    :param head: at least the complete request line
    """
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target = rest.partition(" ")[0]
    try:
        path = target if target.startswith("/") else urlsplit(target).path
    except ValueError:
        return None
    path = "/" + unquote(path.partition("?")[0].partition("#")[0]).lstrip("/")
    method = "GET" if method == "HEAD" else method
    plain = _BY_SHAPE.get((method, path))
    if plain is not None:
        return plain
    matching = (route for pattern, route in _PATTERNS if route.method == method and pattern.fullmatch(path))
    return next(matching, None)

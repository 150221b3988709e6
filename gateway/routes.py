"""The one table of routes: who may use each, which key it needs, and which threads answer it.

The guard, the workers and the tests read it. It knows no framework, so that a worker can look a request up before any
framework has seen it.
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
    PLATFORM = 1  #: that of the platform which the request names, if it has one
    PLATFORM_ALWAYS = 2  #: the same; for a platform that has none nobody may use the route
    ADMIN = 3  #: the admin key if there is one, else that of the platform
    ADMIN_ALWAYS = 4  #: the admin key; without one nobody may use the route


class Work(Enum):
    """How a request is worked on."""

    HEALTH = "health"  #: on threads of its own, so that it is answered whatever else happens
    CALL = "call"
    DEPLOY = "deploy"  #: takes long; on threads of its own, so that no call waits for it
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. A part of the path like ``<platform>`` stands for any one segment."""

    method: str
    path: str
    access: Access
    key: Key
    work: Work


def _route(method: str, path: str, access: Access, key: Key, work: Work) -> Route:
    return Route(method=method, path=path, access=access, key=key, work=work)


#: Calls have a short way in front of the framework.
CALL: Final = _route("POST", "/call", Access.NETWORK, Key.PLATFORM, Work.CALL)

ROUTES: Final = (
    _route("GET", "/health", Access.OPEN, Key.NONE, Work.HEALTH),
    _route("GET", "/health/live", Access.OPEN, Key.NONE, Work.HEALTH),
    _route("GET", "/health/ready", Access.OPEN, Key.NONE, Work.HEALTH),
    _route("GET", "/metrics", Access.NETWORK, Key.NONE, Work.HEALTH),
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
)  # fmt: skip

_VARIABLE: Final = re.compile(r"<[^>]*>")
#: What is left of a rule where a key that is not set is not missed.
_WHERE_SET: Final = {Key.PLATFORM_ALWAYS: Key.PLATFORM, Key.ADMIN_ALWAYS: Key.ADMIN}


def _shape(path: str) -> str:
    return _VARIABLE.sub("<>", path)


_BY_SHAPE: Final = {(route.method, _shape(route.path)): route for route in ROUTES}
_PATTERNS: Final = tuple(
    (re.compile("[^/]+".join(map(re.escape, _VARIABLE.split(route.path)))), route)
    for route in ROUTES
    if _VARIABLE.search(route.path)
)


def route_of_rule(method: str, rule: str) -> Route | None:
    """Return the row of a route that the framework has chosen, or None: then nobody may use it.

    :param rule: the path as the framework writes it; the names of its variables do not matter
    """
    return _BY_SHAPE.get(("GET" if method == "HEAD" else method, _shape(rule)))


def route_of_nothing(path: str) -> Route:
    """Return what holds for a request that no route answers: the strictest rules of the routes whose paths begin alike.

    So who may not use a route is not told either which methods it has, or which others are beside it.
    """
    first = path.lstrip("/").partition("/")[0]
    alike = [route for route in ROUTES if route.path.split("/")[1] == first]
    access = max((route.access for route in alike), default=Access.NETWORK)
    # There is nothing here that a key would have to be set for.
    key = max((_WHERE_SET.get(route.key, route.key) for route in alike), default=Key.NONE)
    return _route("", f"/{first}" if alike else "", access, key, Work.OTHER)


def route_of_head(head: bytes) -> Route | None:
    """Return the route that will answer a request that begins with *head*; None if none will.

    The target is read as the application reads it, so that no other spelling of a path is another kind of work.

    :param head: at least the whole request line
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

"""Access control: decided by the route that will answer, before the body of the request is read."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flask import Request
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect

from gateway.errors import AddressNotAllowed, Unauthorized
from gateway.events import Events
from gateway.routes import Access, Key, Route, route_of_nothing, route_of_rule
from gateway.security.api_keys import ANONYMOUS, ApiKeys, Caller
from gateway.security.networks import Address, client_address, is_in, read_address
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.security.rate_limits import RateLimits

_CALLER: Final = "gateway.caller"  #: in the environ
_ALWAYS: Final = (Key.PLATFORM_ALWAYS, Key.ADMIN_ALWAYS, Key.ADMIN_PAGE)  #: required even if no key is configured
_ADMIN_ALWAYS: Final = (Key.ADMIN_ALWAYS, Key.ADMIN_PAGE)
_REMEMBERED: Final = 4096  #: addresses; a gateway sees its few application servers
_LONGEST_REMEMBERED: Final = 128  #: characters of an X-Forwarded-For; one proxy writes an address, two write two


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The reasons to refuse an address; None if it is admitted."""

    address: str
    objection: str | None
    administration: str | None  #: on routes of the administration


class Guard:
    """The networks and keys of the settings, applied as the table of routes says.

    Verdicts are cached by address, and by ``X-Forwarded-For`` only if a trusted proxy sent it. Long values are not
    cached, so that clients cannot fill the memory.
    """

    def __init__(self, settings: Settings, events: Events) -> None:
        """Compile the rules.

        :param events: where refusals by rate limits are emitted
        """
        self._settings = settings
        self._keys = ApiKeys(settings.api_keys)
        self._unasked = tuple(key for key in Key if key is Key.NONE or not (self._keys or key in _ALWAYS))
        self._rate_limits = _rate_limits_of(settings, events)
        self._anybody = Caller(self._keys, rate_limits=self._rate_limits)
        self._judge_peer = lru_cache(maxsize=_REMEMBERED)(self._find_peer)
        self._judge_forwarded = lru_cache(maxsize=_REMEMBERED)(self._find_forwarded)

    def admit_flask(self, request: Request) -> None:
        """Check a request after Flask has matched its URL, and store the caller for :func:`caller_of`.

        :raises GatewayError: as :meth:`admit`, and if the caller may not name the platform that the path names
        """
        rule = request.url_rule
        route = route_of_nothing(request.path) if rule is None else route_of_rule(request.method, rule.rule)
        caller = request.environ[_CALLER] = self.admit(route, request.environ)
        if request.view_args and (platform := request.view_args.get("platform")) is not None:
            caller.check_platform(platform)
        if isinstance(request.routing_exception, RequestRedirect):
            raise NotFound  # a route has one spelling

    def admit(self, route: Route | None, environ: dict[str, Any]) -> Caller:
        """Return the caller of a request to *route*, if it is admitted; None means a route without a row.

        :meth:`Caller.check_platform` checks later whether the caller may name its platform.

        :raises AddressNotAllowed: the client's address is unknown or not in the route's networks, or the route
            has no rule
        :raises Unauthorized: the key is wrong, or is not the admin key where that is needed
        """
        if route is None:
            raise ANONYMOUS.refused(AddressNotAllowed("this route is closed: it has no rule"))
        if route.access is Access.OPEN:
            return ANONYMOUS
        verdict = self._judge(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"))
        objection = verdict.administration if route.access is Access.ADMIN else verdict.objection
        if objection is not None:
            raise Caller(self._keys, None, verdict.address).refused(AddressNotAllowed(objection))
        if route.key in self._unasked:
            return self._anybody
        return self._check_key(route, environ, verdict.address)

    def _check_key(self, route: Route, environ: dict[str, Any], address: str) -> Caller:
        key = _shown_key(environ, basic=route.key is Key.ADMIN_PAGE)
        name = None if key is None else self._keys.name_of(key)
        only_with_key = route.key is Key.PLATFORM_ALWAYS
        caller = Caller(self._keys, name, address, only_with_key, self._rate_limits)
        if key is not None and name is None:
            raise caller.refused(Unauthorized("the API key is wrong"))
        if name is None and route.key is Key.PLATFORM_ALWAYS:
            raise caller.refused(
                Unauthorized(f"{route.path} needs an API key (API_KEY_<PLATFORM>), in the header X-API-Key")
            )
        needs_admin = route.key in _ADMIN_ALWAYS or (route.key is Key.ADMIN and self._keys.admin_has_key)
        if needs_admin and not caller.is_admin:
            needed = f"{route.path} needs the admin key (API_KEY_ADMIN), in the header X-API-Key"
            raise caller.refused(Unauthorized(needed))
        return caller

    def _judge(self, peer: str, forwarded_for: str | None) -> _Verdict:
        is_proxy, verdict = self._judge_peer(peer)
        if not is_proxy or not forwarded_for:
            return verdict
        find = self._judge_forwarded if len(forwarded_for) <= _LONGEST_REMEMBERED else self._find_forwarded
        return find(peer, forwarded_for)

    def _find_peer(self, peer: str) -> tuple[bool, _Verdict]:
        address = read_address(peer)
        is_proxy = address is not None and is_in(address, self._settings.trusted_proxies)
        return is_proxy, self._find_verdict(address)

    def _find_forwarded(self, peer: str, forwarded_for: str) -> _Verdict:
        return self._find_verdict(client_address(peer, forwarded_for, self._settings.trusted_proxies))

    def _find_verdict(self, address: Address | None) -> _Verdict:
        settings = self._settings
        shown = str(address or "an unknown address")
        if address is None or not is_in(address, settings.allowed_networks):
            outside = f"{shown} is not in the allowed networks; ALLOWED_NETWORKS lists them"
            return _Verdict(shown, outside, outside)
        narrower = settings.allowed_admin_networks
        if narrower and not is_in(address, narrower):
            return _Verdict(
                shown,
                None,
                f"{shown} is not in the networks allowed for administration; ALLOWED_ADMIN_NETWORKS lists them",
            )
        return _Verdict(shown, None, None)


def caller_of(environ: dict[str, Any]) -> Caller:
    """Return the caller of the request, which the guard has admitted."""
    caller: Caller = environ[_CALLER]
    return caller


def _shown_key(environ: dict[str, Any], *, basic: bool) -> str | None:
    """Return the key in the request's headers; an empty one is none.

    :param basic: it may also be the password of HTTP Basic, with any user name
    """
    key: str | None = environ.get("HTTP_X_API_KEY")
    if key:
        return key
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip() or None
    return _password(token) if basic and scheme.lower() == "basic" else None


def _password(credentials: str) -> str | None:
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2] or None
    except ValueError:
        return None


def _rate_limits_of(settings: Settings, events: Events) -> RateLimits | None:
    if settings.rate_limit is None and not settings.rate_limits:
        return None
    from gateway.security.rate_limits import RateLimits  # noqa: PLC0415 - takes a third of a second to load

    return RateLimits(settings.rate_limit, settings.rate_limits, events=events)

"""Who may come in, decided by the route that will answer and before anything else of a request is read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from flask import Request

from gateway.errors import AddressNotAllowed
from gateway.routes import Access, Route, route_of_nothing, route_of_rule
from gateway.security.networks import Address, client_address, is_in, read_address
from gateway.settings import Settings

_REMEMBERED: Final = 4096  #: addresses; a gateway sees its few application servers
_LONGEST_REMEMBERED: Final = 128  #: characters of an X-Forwarded-For; one proxy writes an address, two write two

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is against letting an address in; None where nothing is."""

    objection: str | None
    administration: str | None  #: also where the route is one of administration


class Guard:
    """The rule of networks, as the settings have it and the table of routes applies it.

    What is remembered has short keys: a verdict on an address, and on an ``X-Forwarded-For`` only from a trusted proxy.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._judge_peer = lru_cache(maxsize=_REMEMBERED)(self._find_peer)
        self._judge_forwarded = lru_cache(maxsize=_REMEMBERED)(self._find_forwarded)

    def admit_flask(self, request: Request) -> None:
        """Let a request pass that Flask has found a view for, or none.

        :raises AddressNotAllowed: as :meth:`admit`
        """
        if request.url_rule is None:
            self.admit(route_of_nothing(request.path), request.environ)
        else:
            self.admit(route_of_rule(request.method, request.url_rule.rule), request.environ)

    def admit(self, route: Route | None, environ: dict[str, Any]) -> None:
        """Let a request to *route* pass; None is a route that the table does not have.

        :raises AddressNotAllowed: the client's address is not in the route's networks, or cannot be told, or the route
            has no rule
        """
        if route is None:
            raise AddressNotAllowed("nobody may use this route: it has no rule")
        if route.access is Access.OPEN:
            return
        verdict = self._judge(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"))
        objection = verdict.administration if route.access is Access.ADMIN else verdict.objection
        if objection is not None:
            _log.warning("refused: %s", objection, extra={"method": environ.get("REQUEST_METHOD"), "route": route.path})
            raise AddressNotAllowed(objection)

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
        if address is None or not is_in(address, settings.allowed_networks):
            outside = f"{address or 'an unknown address'} is not in the allowed networks"
            return _Verdict(outside, outside)
        narrower = settings.allowed_admin_networks
        if narrower and not is_in(address, narrower):
            return _Verdict(None, f"{address} is not in the networks allowed for administration")
        return _Verdict(None, None)

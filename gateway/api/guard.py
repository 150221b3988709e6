"""Who may come in: the rule of networks, the same for every door and before anything else of a request is read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from gateway.errors import AddressNotAllowed
from gateway.security.networks import client_address, is_in
from gateway.settings import Settings

_REMEMBERED: Final = 4096  #: decisions; a gateway sees its few application servers


class Guard:
    """The rule of networks, as the settings have it.

    ``/health*`` is for everybody. Everything else, routes that do not exist included, is for ALLOWED_NETWORKS, and
    ``/admin`` besides only for ALLOWED_ADMIN_NETWORKS if there are any.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._objection = lru_cache(maxsize=_REMEMBERED)(self._find_objection)

    def admit(self, environ: dict[str, Any]) -> None:
        """Let the request pass, or not.

        :raises AddressNotAllowed: the client's address is not in the networks, or cannot be told
        """
        path: str = environ.get("PATH_INFO", "")
        if path.startswith("/health"):
            return
        objection = self._objection(
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_X_FORWARDED_FOR"),
            path == "/admin" or path.startswith("/admin/"),
        )
        if objection is not None:
            raise AddressNotAllowed(objection)

    def _find_objection(self, peer: str, forwarded_for: str | None, is_administration: bool) -> str | None:
        """Say why a request is not let in; None if it is."""
        settings = self._settings
        address = client_address(peer, forwarded_for, settings.trusted_proxies)
        if address is None or not is_in(address, settings.allowed_networks):
            return f"{address or 'an unknown address'} is not in the allowed networks"
        narrower = settings.allowed_admin_networks
        if is_administration and narrower and not is_in(address, narrower):
            return f"{address} is not in the networks allowed for administration"
        return None

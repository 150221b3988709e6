"""Who may come in: the rule of networks, the same for every door and before anything else of a request is read."""

from __future__ import annotations

from typing import Any

from gateway.errors import AddressNotAllowed
from gateway.security.networks import client_address, is_in
from gateway.settings import Settings


def admit(environ: dict[str, Any], settings: Settings) -> None:
    """Let the request pass, or not.

    ``/health*`` is for everybody. Everything else, routes that do not exist included, is for ALLOWED_NETWORKS, and
    ``/admin`` besides only for ALLOWED_ADMIN_NETWORKS if there are any.

    :raises AddressNotAllowed: the client's address is in none of these networks, or cannot be told
    """
    path = environ.get("PATH_INFO", "")
    if path.startswith("/health"):
        return
    address = client_address(
        environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"), settings.trusted_proxies
    )
    if address is None or not is_in(address, settings.allowed_networks):
        raise AddressNotAllowed(f"{address or 'an unknown address'} is not in the allowed networks")
    if not settings.allowed_admin_networks or not (path == "/admin" or path.startswith("/admin/")):
        return
    if not is_in(address, settings.allowed_admin_networks):
        raise AddressNotAllowed(f"{address} is not in the networks allowed for administration")

"""The rule of networks, on every path."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.api.guard import Guard
from gateway.errors import AddressNotAllowed
from gateway.settings import Settings

OFFICE = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
PATHS = ["/call", "/register", "/migrate", "/admin/databases", "/database/create", "/v2/migrate", "/nowhere", "/", ""]


def settings(**changes: object) -> Settings:
    return Settings(conninfo="", allowed_networks=OFFICE, **changes)


def admit(request: dict[str, str], settings: Settings) -> None:
    Guard(settings).admit(request)


def environ(path: str, address: str, **headers: str) -> dict[str, str]:
    return {"PATH_INFO": path, "REMOTE_ADDR": address, **headers}


@pytest.mark.parametrize("path", PATHS)
def test_an_address_outside_comes_in_nowhere(path) -> None:
    for address in ("127.0.0.1", "198.51.100.1", "::1", "", "unix:"):
        with pytest.raises(AddressNotAllowed):
            admit(environ(path, address), settings())
        with pytest.raises(AddressNotAllowed):
            admit(environ(path, address, HTTP_X_FORWARDED_FOR="192.0.2.1"), settings())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
def test_an_address_inside_comes_in(path, address) -> None:
    admit(environ(path, address), settings())


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_is_for_everybody(path) -> None:
    admit(environ(path, "198.51.100.1"), settings(allowed_admin_networks=(ip_network("127.0.0.0/8"),)))


def test_administration_has_networks_of_its_own_inside_the_allowed() -> None:
    narrow = settings(allowed_admin_networks=(ip_network("192.0.2.7/32"), ip_network("198.51.100.0/24")))
    for path in ("/admin/databases", "/admin/create-tenant", "/admin"):
        admit(environ(path, "192.0.2.7"), narrow)
        with pytest.raises(AddressNotAllowed):
            admit(environ(path, "192.0.2.8"), narrow)
        with pytest.raises(AddressNotAllowed):
            admit(environ(path, "198.51.100.1"), narrow)
    admit(environ("/administration", "192.0.2.8"), narrow)


def test_a_trusted_proxy_speaks_for_its_clients() -> None:
    behind = settings(trusted_proxies=(ip_network("198.51.100.1/32"),))
    admit(environ("/call", "198.51.100.1", HTTP_X_FORWARDED_FOR="192.0.2.1"), behind)
    for forwarded in ("192.0.2.1, 203.0.113.9", "203.0.113.9", "192.0.2.1, rubbish"):
        with pytest.raises(AddressNotAllowed):
            admit(environ("/call", "198.51.100.1", HTTP_X_FORWARDED_FOR=forwarded), behind)

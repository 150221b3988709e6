"""The address of a client, and whether it is in a network. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.environment import Network

Address = IPv4Address | IPv6Address


def client_address(peer: str, forwarded_for: str | None, trusted_proxies: tuple[Network, ...]) -> Address | None:
    """Return the address of the client, or None if it is unknown.

    ``X-Forwarded-For`` counts only if *peer*, its sender, is a trusted proxy. It is read from the right: each trusted
    proxy vouches for the address that it added, so the first one that is not a trusted proxy is the client. Addresses
    further left were written by that client.

    :param peer: the address of the other end of the connection
    :param forwarded_for: the header's value, several headers joined by commas
    """
    address = read_address(peer)
    for hop in reversed(forwarded_for.split(",") if forwarded_for else ()):
        if address is None or not is_in(address, trusted_proxies):
            return address
        address = read_address(hop)
    return address


def read_address(text: str) -> Address | None:
    """Return the address in *text*, with or without a port; an IPv4 address written as IPv6 is the IPv4 address.

    None for any other text, which no network contains.
    """
    host = text.strip()
    if host.startswith("["):
        host, bracket, _ = host[1:].partition("]")
        host = host if bracket else ""
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    """Return whether one of *networks* contains *address*."""
    return any(address in network for network in networks)

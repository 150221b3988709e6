"""The address of a client: forged headers are ignored."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from gateway.security.networks import client_address, is_in, read_address

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "127.0.0.1", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "127.0.0.1, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "127.0.0.1, 192.0.2.7 ,10.0.0.2", "192.0.2.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("fd00::1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "127.0.0.1,unknown", None),
        ("10.0.0.1", "127.0.0.1,", None),
        ("", None, None),
        ("", "127.0.0.1", None),
    ],
)
def test_the_client_is_the_address_before_the_trusted_proxies(peer, forwarded_for, client) -> None:
    expected = None if client is None else ip_address(client)
    assert client_address(peer, forwarded_for, PROXIES) == expected


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert client_address("10.0.0.1", "127.0.0.1", ()) == ip_address("10.0.0.1")


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "::ffff:127.0.0.1", " 127.0.0.1 ", "127.0.0.1:80", "[::ffff:127.0.0.1]:80"]
)
def test_one_address_has_many_spellings(text) -> None:
    assert read_address(text) == ip_address("127.0.0.1")


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0177.0.0.1", "127.0.0.1/8", "1.2.3.4.5", ":", "[::1", "2130706433"]
)
def test_what_is_no_address_is_in_no_network(text) -> None:
    assert read_address(text) is None


def test_a_network_contains_its_own_kind_of_address() -> None:
    everything = (ip_network("0.0.0.0/0"),)
    assert is_in(ip_address("192.0.2.1"), everything)
    assert not is_in(ip_address("::1"), everything)
    assert not is_in(ip_address("192.0.2.1"), ())

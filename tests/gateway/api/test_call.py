"""What a call remembers of the requests it has read."""

from __future__ import annotations

import pytest

from gateway.api.v1 import call
from gateway.errors import InvalidRequest


def test_addresses_are_remembered_and_long_ones_are_not() -> None:
    call._known_address.cache_clear()
    body = {"platform": "shop", "function": "f", "tenant_id": None}
    assert call._address(body) is call._address(dict(body))
    for number in range(500):
        owner, function = call._address({"platform": "shop", "function": f"{number}{'x' * 40_000}"})
        assert (owner.platform, len(function) > 40_000) == ("shop", True)
    for wrong in (
        {"platform": "x" * 40_000},
        {"platform": "shop", "x" * 40_000: 1},
        {"platform": "shop", "tenant_id": [1]},
    ):
        with pytest.raises(InvalidRequest):
            call._address({"function": "f", **wrong})
    assert call._known_address.cache_info().currsize == 1

"""Whose a key is, and for which platform it may be used."""

from __future__ import annotations

import pytest

from gateway.errors import PlatformIsolationViolation, Unauthorized
from gateway.security.api_keys import ANONYMOUS, ApiKeys, Caller

KEYS = ApiKeys({"SHOP": ("old", "new"), "MY_APP": ("m",), "ADMIN": ("a",)})


def test_a_key_is_matched_as_a_whole() -> None:
    assert [KEYS.name_of(key) for key in ("old", "new", "m", "a")] == ["SHOP", "SHOP", "MY_APP", "ADMIN"]
    for wrong in ("", "ol", "old ", "Old", "new,old", "\udcff", "x" * 10_000):
        assert KEYS.name_of(wrong) is None


@pytest.mark.parametrize("platform", ["shop", "SHOP", "my-app", "my_app", "My.App", "free", "a%b", "x" * 7000, ""])
def test_a_platform_accepts_its_own_key_and_the_admin_key(platform) -> None:
    fitting = {"shop": "SHOP", "SHOP": "SHOP", "my-app": "MY_APP", "my_app": "MY_APP", "My.App": "MY_APP"}.get(platform)
    Caller(KEYS, "ADMIN").check_platform(platform)
    ANONYMOUS.check_platform(platform)
    for name in ("SHOP", "MY_APP"):
        if name == fitting or len(platform) > 63:  # invalid names are refused when they are read
            Caller(KEYS, name).check_platform(platform)
        else:
            with pytest.raises(PlatformIsolationViolation):
                Caller(KEYS, name).check_platform(platform)
    if fitting is None:
        Caller(KEYS).check_platform(platform)
    else:
        with pytest.raises(Unauthorized):
            Caller(KEYS).check_platform(platform)


def test_a_refusal_is_logged_with_its_address_and_no_key(caplog) -> None:
    with pytest.raises(Unauthorized):
        Caller(KEYS, None, "192.0.2.1").check_platform("shop")
    (record,) = caplog.records
    assert (record.address, record.platform, record.key_of) == ("192.0.2.1", "shop", None)

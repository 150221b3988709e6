"""What a call remembers of the requests it has read."""

from __future__ import annotations

import gc
import json
from types import FrameType

import pytest

from gateway.api.v1 import call
from gateway.app import create_app
from gateway.errors import InvalidRequest
from gateway.settings import Settings


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


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/call", {"platform": "x" * 40_000, "function": "f"}),
        ("/call", {"platform": "shop", "function": "f", "x" * 40_000: 1}),
        ("/call", {"platform": "shop", "function": "f", "params": "x" * 40_000}),
        ("/platform/register", {"platform": "x" * 40_000}),
        ("/nosuch" + "x" * 40_000, {}),
    ],
)
def test_a_refused_request_leaves_nothing_for_the_garbage_collector(tmp_path, path, body) -> None:
    """Its errors would keep its body in memory until then."""
    settings = Settings.from_environment(
        {"DATABASE_URL": "postgresql://nobody@/postgres", "DATA_DIR": str(tmp_path)}, None
    )
    client = create_app(settings).test_client()
    data = json.dumps(body).encode()
    client.post(path, data=data, content_type="application/json")  # the first one makes what stays
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        answer = client.post(path, data=data, content_type="application/json")
        status = answer.status_code
        del answer
        gc.collect()
        kept = [one for one in gc.garbage if isinstance(one, FrameType) or data in gc.get_referents(one)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert status in (400, 404)
    assert [frame.f_code.co_qualname for frame in kept if isinstance(frame, FrameType)] == []
    assert kept == []

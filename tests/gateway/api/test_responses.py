"""A request has one id, the client's if it can stand in a log line."""

from __future__ import annotations

import pytest

from gateway.api.responses import request_id_of


@pytest.mark.parametrize("given", ["a", "7f3c-11", "req:1.2_3", "x" * 128])
def test_a_sane_id_is_kept(given) -> None:
    assert request_id_of({"HTTP_X_REQUEST_ID": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\nb", 'a"b', "é", "<script>"])
def test_any_other_is_replaced(given) -> None:
    made = request_id_of({"HTTP_X_REQUEST_ID": given})
    assert made != given
    assert len(made) == 32


def test_a_request_keeps_its_id_and_no_two_have_the_same() -> None:
    one: dict[str, str] = {}
    assert request_id_of(one) == request_id_of(one) != request_id_of({})

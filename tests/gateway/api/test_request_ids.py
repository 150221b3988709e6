"""A request has one id, the client's if it is safe in a log line."""

from __future__ import annotations

import pytest

from gateway.api.request_ids import TracedRequestId, request_id_of


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


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_trace_of_the_client_is_kept_beside_the_id() -> None:
    found = request_id_of({"HTTP_X_REQUEST_ID": "abc", "HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert found == "abc"
    assert isinstance(found, TracedRequestId)
    assert found.trace == {"trace_id": TRACE, "parent_id": "00f067aa0ba902b7"}


@pytest.mark.parametrize(
    "given",
    [
        "", "00", f"00-{TRACE}-00f067aa0ba902b7", f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01\nx",
    ],
)  # fmt: skip
def test_an_invalid_trace_is_ignored(given) -> None:
    assert not isinstance(request_id_of({"HTTP_TRACEPARENT": given}), TracedRequestId)

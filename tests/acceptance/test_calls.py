"""POST /call as applications send it."""

from __future__ import annotations

import http.client
import json
from contextlib import closing

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway

BACKEND = "CREATE FUNCTION backend() RETURNS int LANGUAGE sql AS $$ SELECT pg_backend_pid() $$;"
FAIL = """\
CREATE FUNCTION fail(p_message text, p_state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', p_message USING ERRCODE = p_state, DETAIL = 'the detail', HINT = 'the hint';
END
$$;
"""


def test_an_answer_has_exactly_its_three_fields(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    answer = gateway.call(platform, "count_users")
    assert answer.status == 200
    assert list(answer.json) == ["rows", "row_count", "execution_time_ms"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"]


def test_params_may_be_left_out_empty_null_or_named(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    for params in ({}, {"params": []}, {"params": {}}, {"params": None}):
        body = {"platform": platform, "function": "count_users", **params}
        assert gateway.post_json("/call", body).json["rows"] == [{"count_users": 2}]
    for params in (["A"], {"p_name": "A"}, {"name": "A"}):
        answer = gateway.post_json("/call", {"platform": platform, "function": "add_user", "params": params})
        assert answer.json["rows"][0]["user_name"] == "A", answer.body


def test_an_error_in_a_function_is_answered_as_it_was_raised(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, {**SHOP, "functions/fail.pssql": FAIL})
    for state, status in (
        ("P0001", 400),
        ("23505", 409),
        ("42501", 403),
        ("53200", 503),
        ("XX000", 500),
        ("AB123", 400),
    ):
        answer = gateway.call(platform, "fail", ["100 % of it", state])
        assert (answer.status, answer.json["error"]) == (status, "query_failed"), answer.body
        assert answer.json["cause"] == "100 % of it"
        assert answer.json["sqlstate"] == state
        assert (answer.json["detail"], answer.json["hint"]) == ("the detail", "the hint")
        assert (answer.json["platform"], answer.json["database"]) == (platform, f"{platform}_main")
        assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_worker_keeps_its_connections_from_call_to_call(start_gateway, platform: str) -> None:
    gateway: Gateway = start_gateway(WORKERS="1")
    gateway.register(platform, {**SHOP, "functions/backend.pssql": BACKEND})
    assert len({gateway.call(platform, "backend").json["rows"][0]["backend"] for _ in range(20)}) == 1


def test_a_client_may_send_many_calls_over_one_connection(gateway: Gateway, platform: str) -> None:
    gateway.register(platform, SHOP)
    body = json.dumps({"platform": platform, "function": "count_users"})
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)) as connection:
        for path, status in (("/call", 200), ("/nowhere", 404), ("/call", 200)) * 5:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, True)

"""From a failure to an answer."""

from __future__ import annotations

import json
import logging

import pytest
from werkzeug.exceptions import ImATeapot, InternalServerError, MethodNotAllowed, NotFound

from gateway import errors
from gateway.api.error_handlers import answer_failure
from migrations_engine import Change, SchemaValidation, Verification


def body_of(error: BaseException) -> dict:
    return json.loads(answer_failure(error, "id-1").body)


def test_a_refusal_tells_code_message_facts_and_id_in_this_order() -> None:
    error = errors.DatabaseNotFound("no such database", database="a_main", platform="a", tenant_id=None)
    answer = answer_failure(error, "id-1")
    assert answer.status == 404
    assert answer.body == (
        b'{"error":"database_not_found","message":"no such database","database":"a_main","platform":"a",'
        b'"request_id":"id-1"}'
    )


@pytest.mark.parametrize("error", [errors.ConnectionFailed("x"), errors.PoolExhausted("x")])
def test_what_may_be_tried_again_says_when(error) -> None:
    assert answer_failure(error, "").headers == (("Retry-After", "1"),)


def test_a_failure_that_knows_better_when_says_so_in_the_header() -> None:
    answer = answer_failure(errors.ConnectionFailed("x", retry_after=7), "")
    assert answer.headers == (("Retry-After", "7"),)
    assert b"retry_after" not in answer.body


def test_an_engine_s_failure_has_its_own_code_and_its_findings() -> None:
    change = Change(table="users", change_type="drop_column", column="name", compatibility="dataloss", reason="gone")
    error = errors.SchemaDeployError(
        "migration_failed", "blocked",
        schema_validation=SchemaValidation(dataloss_changes=(change,)), verification=Verification(error_log=("bad",)),
    )  # fmt: skip
    answer = answer_failure(error, "")
    told = json.loads(answer.body)
    assert (answer.status, told["error"]) == (409, "migration_failed")
    assert told["schema_validation"]["dataloss_changes"] == [
        {"table": "users", "change_type": "drop_column", "column": "name", "from_type": None, "to_type": None,
         "compatibility": "dataloss", "reason": "gone", "rows_at_risk": None}
    ]  # fmt: skip
    assert told["verification"]["passed"] is False
    assert told["verification"]["error_log"] == ["bad"]


def test_what_http_refuses_has_a_code_of_ours() -> None:
    assert body_of(NotFound())["error"] == "not_found"
    assert body_of(ImATeapot())["error"] == "invalid_request"
    answer = answer_failure(MethodNotAllowed(valid_methods=["POST"]), "")
    assert (answer.status, answer.headers) == (405, (("Allow", "POST"),))


@pytest.mark.parametrize(
    "error", [ValueError("host=db password=secret"), InternalServerError("secret"), KeyError("secret")]
)
def test_a_fault_of_ours_is_in_the_log_and_not_in_the_answer(error, caplog) -> None:
    with caplog.at_level(logging.ERROR):
        answer = answer_failure(error, "id-1")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert json.loads(answer.body)["error"] == "internal_error"
    (record,) = caplog.records
    assert record.request_id == "id-1"
    assert record.exc_info[1] is error


def test_a_refusal_is_not_logged_as_a_fault(caplog) -> None:
    for error in (errors.InvalidRequest("x"), errors.QueryFailed("x", sqlstate="XX000"), errors.ResponseTooLarge("x")):
        answer_failure(error, "")
    assert caplog.records == []

"""Every error has a status in the table, and becomes an answer."""

from __future__ import annotations

import json
import logging

import pytest
from werkzeug.exceptions import ImATeapot, InternalServerError, MethodNotAllowed, NotFound

from gateway import errors
from gateway.api.errors import ERROR_TABLE, answer_failure, code_of, status_of, status_of_sqlstate
from gateway.errors import GatewayError
from gateway.events import Events
from migrations_engine import Change, SchemaValidation, Verification

IN_THE_TABLE = {kind for row in ERROR_TABLE for kind in row.raised_as}
OF_ITS_OWN_RULE = {errors.SchemaDeployError, errors.QueryFailed, errors.ResponseTooLarge}
DEFINED = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)}


def test_every_error_class_is_in_the_table_or_has_a_rule() -> None:
    assert DEFINED == IN_THE_TABLE | OF_ITS_OWN_RULE


@pytest.mark.parametrize("row", ERROR_TABLE, ids=lambda row: f"{row.code}-{row.status}")
def test_a_class_has_the_code_and_the_status_of_its_row(row) -> None:
    for kind in row.raised_as:
        assert (code_of(kind("")), status_of(kind(""))) == (row.code, row.status)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("schema_extraction_failed", 400),
        ("extension_not_available", 400),
        ("migration_failed", 409),
        ("function_deploy_failed", 409),
        ("extension_install_failed", 409),
        ("connection_failed", 503),
        ("internal_error", 500),
    ],
)
def test_the_engine_s_codes_have_their_status(code, status) -> None:
    error = errors.SchemaDeployError(code, "")
    assert (code_of(error), status_of(error)) == (code, status)


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("P0001", 400), ("22P02", 400), ("22003", 400), ("23502", 400), ("23514", 400), ("MY001", 400), ("PT402", 400),
        ("23503", 409), ("23505", 409), ("23P01", 409), ("23001", 409),
        ("42501", 403), ("28000", 403), ("0LP01", 403), ("0P000", 403),
        ("53200", 503), ("53300", 503),
        ("53400", 500), ("42883", 500), ("42P01", 500), ("42601", 500), ("40001", 500), ("40P01", 500), ("25006", 500),
        ("P0002", 500), ("P0004", 500), ("XX000", 500), ("54001", 500), ("55P03", 500), ("57014", 500), ("21000", 500),
        (None, 500),
    ],
)  # fmt: skip
def test_a_failed_query_has_the_status_of_its_sqlstate(sqlstate, status) -> None:
    assert status_of_sqlstate(sqlstate) == status
    assert status_of(errors.QueryFailed("", sqlstate=sqlstate)) == status


def body_of(error: BaseException) -> dict:
    return json.loads(answer_failure(error, "id-1", Events()).body)


def test_a_refusal_has_code_message_facts_and_id_in_this_order() -> None:
    error = errors.DatabaseNotFound("no such database", database="a_main", platform="a", tenant_id=None)
    answer = answer_failure(error, "id-1", Events())
    assert answer.status == 404
    assert answer.body == (
        b'{"error":"database_not_found","message":"no such database","database":"a_main","platform":"a",'
        b'"request_id":"id-1"}'
    )


@pytest.mark.parametrize("error", [errors.ConnectionFailed("x"), errors.PoolExhausted("x")])
def test_a_retryable_failure_has_a_retry_after_header(error) -> None:
    assert answer_failure(error, "", Events()).headers == (("Retry-After", "1"),)


def test_a_failure_with_its_own_delay_has_it_in_the_header() -> None:
    answer = answer_failure(errors.ConnectionFailed("x", retry_after=7), "", Events())
    assert answer.headers == (("Retry-After", "7"),)
    assert b"retry_after" not in answer.body


def test_an_engine_s_failure_has_its_own_code_and_its_findings() -> None:
    change = Change(table="users", change_type="drop_column", column="name", compatibility="dataloss", reason="gone")
    error = errors.SchemaDeployError(
        "migration_failed", "blocked",
        schema_validation=SchemaValidation(dataloss_changes=(change,)), verification=Verification(error_log=("bad",)),
    )  # fmt: skip
    answer = answer_failure(error, "", Events())
    told = json.loads(answer.body)
    assert (answer.status, told["error"]) == (409, "migration_failed")
    assert told["schema_validation"]["dataloss_changes"] == [
        {"table": "users", "change_type": "drop_column", "column": "name", "from_type": None, "to_type": None,
         "compatibility": "dataloss", "reason": "gone", "rows_at_risk": None, "file": None}
    ]  # fmt: skip
    assert told["verification"]["passed"] is False
    assert told["verification"]["error_log"] == ["bad"]


def test_errors_of_http_have_a_code_of_the_gateway() -> None:
    assert body_of(NotFound())["error"] == "not_found"
    assert body_of(ImATeapot())["error"] == "invalid_request"
    answer = answer_failure(MethodNotAllowed(valid_methods=["POST"]), "", Events())
    assert (answer.status, answer.headers) == (405, (("Allow", "POST"),))


@pytest.mark.parametrize(
    "error", [ValueError("host=db password=secret"), InternalServerError("secret"), KeyError("secret")]
)
def test_an_unexpected_error_is_in_the_log_and_not_in_the_answer(error, caplog) -> None:
    with caplog.at_level(logging.ERROR):
        answer = answer_failure(error, "id-1", Events())
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert json.loads(answer.body)["error"] == "internal_error"
    (record,) = caplog.records
    assert record.request_id == "id-1"
    assert record.exc_info[1] is error


def test_a_refusal_is_not_logged_as_a_fault(caplog) -> None:
    for error in (errors.InvalidRequest("x"), errors.QueryFailed("x", sqlstate="XX000"), errors.ResponseTooLarge("x")):
        answer_failure(error, "", Events())
    assert caplog.records == []


def test_what_the_disk_refuses_is_logged(caplog) -> None:
    assert answer_failure(errors.StorageFailed("No space left on device"), "r1", Events()).status == 503
    (record,) = caplog.records
    assert "No space left" in record.getMessage()
    assert record.request_id == "r1"

"""Every error code, its status and its meaning, once; and the one place where a failure becomes an answer."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from gateway import errors
from gateway.api.request_ids import REQUEST_ID_HEADER, request_id_of
from gateway.api.responses import Answer, Headers, respond, shape_of_fact, to_json
from gateway.errors import INTERNAL_ERROR, GatewayError, QueryFailed, ResponseTooLarge, StorageFailed, drop_tracebacks
from gateway.events import Events, RequestFailed

OTHER_SQLSTATE_STATUS: Final = 500  #: of every other SQLSTATE that PostgreSQL itself uses
APPLICATION_SQLSTATE_STATUS: Final = 400  #: of a class PostgreSQL does not use: raised by the application's own code
#: The classes of PostgreSQL's own error codes, appendix A of its manual.
_SERVER_CLASSES: Final = re.compile(r"0[012389ABFLPZ]|10|2[0-8BDF]|3[489BDF]|4[024]|5[34578]|72|F0|HV|P0|XX")
_log: Final = logging.getLogger(__name__)
RETRY_AFTER_SECONDS: Final = 1  #: after 429 and 503, unless the error has a value of its own
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 415: "unsupported_media_type"}
_MESSAGES: Final = {
    404: "there is no such route; GET /docs lists all routes",
    405: "the route has no such method; the header Allow lists those it has",
    413: "the request is too large; MAX_REQUEST_BYTES is the limit of a body, MAX_UPLOAD_BYTES that of an archive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """One line of the table.

    :ivar raised_as: the classes with this meaning; none for codes of the engine and of HTTP
    """

    status: int
    code: str
    when: str
    raised_as: tuple[type[GatewayError], ...] = ()


ERROR_TABLE: Final = (
    ErrorRow(
        status=400,
        code="invalid_request",
        when="a field is missing, malformed or unknown (each is named), or the form or JSON is unreadable or too long",
        raised_as=(errors.InvalidRequest, errors.PlatformAlreadyRegistered),
    ),
    ErrorRow(
        status=400,
        code="schema_extraction_failed",
        when="the archive is no gzip tar, unsafe or too large, has no schema folder, is not UTF-8, or has a cycle",
    ),
    ErrorRow(status=400, code="extension_not_available", when="the server lacks the extension, or that version of it"),
    ErrorRow(
        status=400,
        code="database_already_exists",
        when="the database to be created exists already",
        raised_as=(errors.DatabaseAlreadyExists,),
    ),
    ErrorRow(
        status=401,
        code="unauthorized",
        when="the API key or the admin token is missing or wrong",
        raised_as=(errors.Unauthorized,),
    ),
    ErrorRow(
        status=403,
        code="unauthorized",
        when="the client's address is outside the allowed networks",
        raised_as=(errors.AddressNotAllowed,),
    ),
    ErrorRow(
        status=403,
        code="platform_isolation_violation",
        when="the key of one platform was used for another",
        raised_as=(errors.PlatformIsolationViolation,),
    ),
    ErrorRow(status=404, code="not_found", when="there is no such route"),
    ErrorRow(
        status=404,
        code="database_not_found",
        when="the database does not exist",
        raised_as=(errors.DatabaseNotFound,),
    ),
    ErrorRow(
        status=404,
        code="platform_not_found",
        when="the platform is not registered",
        raised_as=(errors.PlatformNotFound,),
    ),
    ErrorRow(
        status=404,
        code="schema_not_found",
        when="the platform has no stored schema of this name",
        raised_as=(errors.SchemaNotFound,),
    ),
    ErrorRow(
        status=404,
        code="function_not_found",
        when="no function of this name may be called in the database",
        raised_as=(errors.FunctionNotFound,),
    ),
    ErrorRow(status=405, code="method_not_allowed", when="the route has other methods; `Allow` lists them"),
    ErrorRow(
        status=413,
        code="payload_too_large",
        when="the request is larger than `MAX_REQUEST_BYTES`, or its archive than `MAX_UPLOAD_BYTES`",
    ),
    ErrorRow(status=415, code="unsupported_media_type", when="the request's content type is not the route's"),
    ErrorRow(
        status=409,
        code="migration_failed",
        when="the differences were blocked, or a type, table, migration, seeder or verification failed; "
        "carries `schema_validation` and `verification`",
        raised_as=(errors.UndoRefused,),
    ),
    ErrorRow(status=409, code="function_deploy_failed", when="PostgreSQL refused a file of `functions/`"),
    ErrorRow(
        status=409, code="extension_install_failed", when="the server has the extension but refused to install it"
    ),
    ErrorRow(
        status=409,
        code="database_name_conflict",
        when="the database of this name has another owner, or no recorded one",
        raised_as=(errors.DatabaseNameConflict, errors.DatabaseNotRecorded, errors.DatabaseNotMoved),
    ),
    ErrorRow(
        status=429,
        code="rate_limited",
        when="the platform sends more than it may; with `Retry-After`",
        raised_as=(errors.RateLimited,),
    ),
    ErrorRow(
        status=503,
        code="connection_failed",
        when="PostgreSQL cannot be reached; with `Retry-After`",
        raised_as=(errors.ConnectionFailed, errors.ConnectionRefused),
    ),
    ErrorRow(
        status=503,
        code="pool_exhausted",
        when="no connection, or no thread, became free within the wait limit; with `Retry-After`",
        raised_as=(errors.PoolExhausted,),
    ),
    ErrorRow(
        status=503,
        code="storage_failed",
        when="the disk that holds `DATA_DIR` is full, read-only or broken, or a record there is damaged",
        raised_as=(errors.StorageFailed,),
    ),
    ErrorRow(
        status=504,
        code="query_timeout",
        when="the statement timeout ended the query",
        raised_as=(errors.QueryTimeout, errors.ClientGone),
    ),
    ErrorRow(
        status=500,
        code="internal_error",
        when="a fault of the gateway or of its server; the log has the details under the same `request_id`",
        raised_as=(GatewayError,),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlstateRow:
    """The status of ``query_failed`` for the SQLSTATEs that begin so."""

    prefix: str
    status: int
    when: str


SQLSTATE_TABLE: Final = (
    SqlstateRow(prefix="P0001", status=400, when="`RAISE EXCEPTION` without a SQLSTATE of its own"),
    SqlstateRow(prefix="22", status=400, when="a bad value"),
    SqlstateRow(prefix="23001", status=409, when="a row is still referred to (`RESTRICT`)"),
    SqlstateRow(prefix="23503", status=409, when="foreign-key violation"),
    SqlstateRow(prefix="23505", status=409, when="unique violation"),
    SqlstateRow(prefix="23P01", status=409, when="exclusion violation"),
    SqlstateRow(prefix="23", status=400, when="another constraint refuses the value (`NOT NULL`, `CHECK`)"),
    SqlstateRow(prefix="42501", status=403, when="no privilege"),
    SqlstateRow(prefix="28", status=403, when="not authorized as that role"),
    SqlstateRow(prefix="0L", status=403, when="not a role that may grant"),
    SqlstateRow(prefix="0P", status=403, when="not a valid role"),
    SqlstateRow(prefix="53400", status=500, when="a configured limit was exceeded"),
    SqlstateRow(prefix="53", status=503, when="the server is out of memory, disk or connections"),
)


_STATUS_BY_CODE: Final = {row.code: row.status for row in ERROR_TABLE if row.code != "unauthorized"}
_STATUS_BY_CLASS: Final = {error: row.status for row in ERROR_TABLE for error in row.raised_as}
_BY_LENGTH: Final = sorted(SQLSTATE_TABLE, key=lambda row: -len(row.prefix))


def code_of(error: GatewayError) -> str:
    """Return the code for the answer."""
    return error.engine_code if isinstance(error, errors.SchemaDeployError) else error.code


def status_of(error: GatewayError) -> int:
    """Return the HTTP status of an error of the gateway or of its engine."""
    if isinstance(error, errors.SchemaDeployError):
        return status_of_code(error.engine_code)
    if isinstance(error, errors.QueryFailed):
        return status_of_sqlstate(error.facts.get("sqlstate"))
    if isinstance(error, errors.ResponseTooLarge):
        return OTHER_SQLSTATE_STATUS
    return next(_STATUS_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _STATUS_BY_CLASS)


def status_of_code(code: str) -> int:
    """Return the status of a code that has only one; 500 if it is not in the table."""
    return _STATUS_BY_CODE.get(code, 500)


def status_of_sqlstate(sqlstate: str | None) -> int:
    """Return the status of ``query_failed`` for an SQLSTATE."""
    if not sqlstate:
        return OTHER_SQLSTATE_STATUS
    for row in _BY_LENGTH:
        if sqlstate.startswith(row.prefix):
            return row.status
    return OTHER_SQLSTATE_STATUS if _SERVER_CLASSES.match(sqlstate) else APPLICATION_SQLSTATE_STATUS


def answer_failure(error: BaseException, request_id: str, events: Events, *, status: int | None = None) -> Answer:
    """Return the answer to a request that ended in *error*; log faults of the gateway and its disk, with their trace.

    :param events: where the failure is emitted
    :param status: for routes whose clients expect another status than the table's
    """
    headers: Headers = ()
    if isinstance(error, GatewayError):
        status = status or status_of(error)
        body, headers = _describe_refusal(error, status)
    elif isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        status = error.code
        body, headers = _describe_http_error(error, status)
    else:
        status, body = 500, {"error": "internal_error", "message": INTERNAL_ERROR}
    if isinstance(error, StorageFailed) or (
        status == 500 and not isinstance(error, QueryFailed | ResponseTooLarge)  # those are the application's
    ):
        _log.error("a request failed: %s", error, exc_info=error, extra={"request_id": request_id})
    events.emit(RequestFailed(body["error"]))
    drop_tracebacks(error)
    return Answer(status=status, body=to_json({**body, "request_id": request_id}), headers=headers)


def _describe_refusal(error: GatewayError, status: int) -> tuple[dict[str, Any], Headers]:
    facts = dict(error.facts)
    retry_after = facts.pop("retry_after", RETRY_AFTER_SECONDS)
    shown = {name: shape_of_fact(fact) for name, fact in facts.items()}
    headers = (("Retry-After", str(retry_after)),) if status in (429, 503) else ()
    return {"error": code_of(error), "message": error.message, **shown}, headers


def _describe_http_error(error: HTTPException, status: int) -> tuple[dict[str, Any], Headers]:
    """Return the body and headers for an error of HTTP. One whose status is not in the table is a malformed request."""
    headers = tuple((name, value) for name, value in error.get_headers() if name.lower() != "content-type")
    is_own_message = error.description != type(error).description
    message = str(error.description) if is_own_message else _MESSAGES.get(status, str(error.description))
    return {"error": _CODES.get(status, "invalid_request"), "message": message}, headers


def register_error_handlers(app: Flask, events: Events) -> None:
    """Answer every error in the gateway's form, and add the request's id to every answer."""

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        return respond(answer_failure(error, request_id_of(request.environ), events))

    @app.after_request
    def add_request_id(response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = request_id_of(request.environ)
        return response

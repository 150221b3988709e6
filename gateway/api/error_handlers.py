"""The one place where a failure becomes an answer."""

from __future__ import annotations

import logging
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from gateway.api.answers import Answer, respond, to_json
from gateway.api.error_table import code_of, status_of
from gateway.api.request_ids import HEADER, request_id_of
from gateway.api.shapes import shape_of_fact
from gateway.errors import GatewayError, QueryFailed, ResponseTooLarge
from gateway.observations import RequestFailed, observe

_log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 1  #: after 429 and 503, where the failure does not say better
_INTERNAL: Final = "the gateway failed; its log has more under this request_id"
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 415: "unsupported_media_type"}
_MESSAGES: Final = {
    404: "there is no such route",
    405: "the route has no such method; the header Allow lists those it has",
    413: "the request is larger than a request may be",
}


def answer_failure(error: BaseException, request_id: str) -> Answer:
    """The answer to a request that ended in *error*; what is ours to fix is logged with its trace."""
    if isinstance(error, GatewayError):
        answer = _answer_refusal(error, request_id)
    elif isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        answer = _answer_http(error, error.code, request_id)
    else:
        answer = _answer(500, {"error": "internal_error", "message": _INTERNAL}, request_id)
    if answer.status == 500 and not isinstance(error, QueryFailed | ResponseTooLarge):  # those are the application's
        _log.error("a request failed: %s", error, exc_info=error, extra={"request_id": request_id})
    return answer


def _answer_refusal(error: GatewayError, request_id: str) -> Answer:
    facts = dict(error.facts)
    retry_after = facts.pop("retry_after", RETRY_AFTER_SECONDS)
    code = code_of(error)
    status = status_of(error)
    headers = (("Retry-After", str(retry_after)),) if status in (429, 503) else ()
    told = {name: shape_of_fact(fact) for name, fact in facts.items()}
    return _answer(status, {"error": code, "message": error.message, **told}, request_id, headers)


def _answer_http(error: HTTPException, status: int, request_id: str) -> Answer:
    """What HTTP itself refuses. A status that the table does not have is one of malformed requests."""
    headers = tuple((name, value) for name, value in error.get_headers() if name.lower() != "content-type")
    said_by_us = error.description != type(error).description
    message = str(error.description) if said_by_us else _MESSAGES.get(status, str(error.description))
    body = {"error": _CODES.get(status, "invalid_request"), "message": message}
    return _answer(status, body, request_id, headers)


def _answer(
    status: int,
    body: dict[str, Any],
    request_id: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    observe(RequestFailed(body["error"]))
    body["request_id"] = request_id
    return Answer(status=status, body=to_json(body), headers=headers)


def register_error_handlers(app: Flask) -> None:
    """Answer every failure in the gateway's form, and tell the request's id with every answer."""

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        return respond(answer_failure(error, request_id_of(request.environ)))

    @app.after_request
    def tell_request_id(response: Response) -> Response:
        response.headers[HEADER] = request_id_of(request.environ)
        return response

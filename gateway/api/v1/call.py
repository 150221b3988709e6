"""``POST /call``, for Flask, for WSGI servers without Flask, and for the event loop: the same steps for all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.api.bodies import read_body
from gateway.api.errors import answer_failure
from gateway.api.guard import Guard, caller_of
from gateway.api.request_ids import REQUEST_ID_HEADER, request_id_of
from gateway.api.requests import check_is_json, current_services, load
from gateway.api.responses import Answer, respond
from gateway.api.v1.requests import CallRequest
from gateway.errors import GatewayError, InvalidRequest, QueryFailed, QueryTimeout
from gateway.events import CallFailed, CallWasSlow
from gateway.functions import parse_json
from gateway.naming import DatabaseOwner, owner_facts
from gateway.operations.call_function import FunctionCall, call_steps
from gateway.routes import CALL
from gateway.security.api_keys import ANONYMOUS, Caller
from gateway.services import Services
from gateway.steps import Steps, run

_log: Final = logging.getLogger(__name__)
blueprint: Final = Blueprint("call", __name__)
PEER: Final = "gunicorn.socket"  #: the key in the environ of the client, a ``Peer``
STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_CALL_REQUEST: Final = CallRequest()
_PARAMS: Final = (list, dict)
_REMEMBERED: Final = 4096  #: addresses
_LONGEST_REMEMBERED: Final = 128  #: characters of a function's name; PostgreSQL has none longer, with its schema


@blueprint.post(CALL.path)
def call() -> ResponseReturnValue:
    """Call a function of the application."""
    services, environ = current_services(), request.environ
    steps = _answer_steps(services, environ, caller_of(environ), partial(_read_body, services, environ))
    return respond(run(steps, environ.get(PEER)))


def _read_body(services: Services, environ: dict[str, Any]) -> bytes:
    return read_body(environ, services.settings.max_request_bytes)


def _check_length(services: Services, body: bytes) -> bytes:
    if len(body) > services.settings.max_request_bytes:
        raise RequestEntityTooLarge
    return body


def _answer_steps(
    services: Services, environ: dict[str, Any], caller: Caller, read: Callable[[], bytes]
) -> Steps[Answer]:
    """Call the function that the body names, and return its rows.

    :param read: returns the body
    :raises GatewayError: the request, or the call, failed
    """
    body, params = read_call_body(environ, read)
    owner, function = _address(body)
    caller.check_platform(owner.platform)
    if not isinstance(params, _PARAMS):
        raise InvalidRequest.of_field("params", "params must be a list or an object")
    database = owner.database_name
    try:
        services.concurrency.enter(database)
        try:
            result = yield from call_steps(services, FunctionCall(owner=owner, function=function, params=params))
        finally:
            services.concurrency.leave(database)
    except GatewayError as exc:
        exc.add_facts(**owner_facts(owner))
        if isinstance(exc, QueryFailed | QueryTimeout):
            services.events.emit(CallFailed(owner.platform, function, exc.code))
        raise
    if result.execution_time_ms >= services.settings.slow_call_ms:
        services.events.emit(CallWasSlow(owner.platform, function))
        _log_slow_call(environ, owner, function, result.execution_time_ms)
    return Answer(
        status=200,
        body=b'{"rows":%b,"row_count":%d,"execution_time_ms":%d}'
        % (result.rows, result.row_count, round(result.execution_time_ms)),
    )


def _log_slow_call(environ: dict[str, Any], owner: DatabaseOwner, function: str, took_ms: float) -> None:
    facts = {"database": owner.database_name, "function": function, "took_ms": round(took_ms)}
    _log.warning("slow call", extra={**facts, "request_id": request_id_of(environ)})


def read_call_body(environ: dict[str, Any], read: Callable[[], bytes]) -> tuple[dict[str, Any], Any]:
    """Return the JSON object in the body without its ``params``, and these, an empty list where there are none.

    :param read: returns the body
    :raises GatewayError: there is no such object
    """
    check_is_json(environ)
    body = parse_json(read())
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    params = body.pop("params", None)
    return body, [] if params is None else params


def _address(body: dict[str, Any]) -> tuple[DatabaseOwner, str]:
    """Return the owner of the database and the function that *body* names, from a cache if possible.

    Only what was read without an error is cached, so no field but the function can be long.
    """
    function = body.get("function")
    if isinstance(function, str) and len(function) <= _LONGEST_REMEMBERED:
        try:
            return _known_address(tuple(body.items()))
        except TypeError:  # a list or an object cannot be cached, and is not a name
            pass
    return _read_address(body)


@lru_cache(maxsize=_REMEMBERED)
def _known_address(items: tuple[tuple[str, Any], ...]) -> tuple[DatabaseOwner, str]:
    return _read_address(dict(items))


def _read_address(body: dict[str, Any]) -> tuple[DatabaseOwner, str]:
    found: tuple[DatabaseOwner, str] = load(_CALL_REQUEST, body, ANONYMOUS)
    return found


class CallMiddleware:
    """WSGI middleware in front of Flask, which answers calls itself, with the same guard and errors."""

    def __init__(self, application: Callable[..., Iterable[bytes]], services: Services, guard: Guard) -> None:
        """Wrap *application*, which answers all other requests."""
        self._application = application
        self._services = services
        self._guard = guard

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a call; as WSGI has it."""
        if environ["PATH_INFO"] != CALL.path or environ["REQUEST_METHOD"] != CALL.method:
            return self._application(environ, start_response)
        steps = self._steps(environ, partial(_read_body, self._services, environ))
        answer = run(steps, environ.get(PEER))
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(answer.body))),
            (REQUEST_ID_HEADER, request_id_of(environ)),
            *answer.headers,
        ]
        start_response(STATUS_LINES[answer.status], headers)
        return [answer.body]

    def answer_steps(self, environ: dict[str, Any], body: bytes) -> Steps[Answer]:
        """Answer a call whose body has been read, also if it fails.

        :param environ: of WSGI, without the body's length
        """
        return self._steps(environ, partial(_check_length, self._services, body))

    def _steps(self, environ: dict[str, Any], read: Callable[[], bytes]) -> Steps[Answer]:
        try:
            caller = self._guard.admit(CALL, environ)
            return (yield from _answer_steps(self._services, environ, caller, read))
        except Exception as exc:  # noqa: BLE001 - answered and logged in one place
            return answer_failure(exc, request_id_of(environ), self._services.events)

    def home_of(self, body: bytes) -> str | None:
        """Return the database that a call's body names, if it names one."""
        try:
            fields = parse_json(body)
            fields.pop("params", None)
            owner, _ = _address(fields)
        except (GatewayError, AttributeError, TypeError):
            return None  # the call itself ends with this error
        return owner.database_name

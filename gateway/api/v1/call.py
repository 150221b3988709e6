"""``POST /call``: from a request to an answer in one function, which every door in front of it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.api.bodies import read_body
from gateway.api.errors import answer_failure
from gateway.api.guard import Guard, caller_of
from gateway.api.requests import check_is_json, current_services, load
from gateway.api.responses import REQUEST_ID_HEADER, Answer, request_id_of, respond
from gateway.api.v1.requests import CallRequest
from gateway.errors import GatewayError, InvalidRequest
from gateway.functions import parse_json
from gateway.naming import DatabaseOwner, owner_facts
from gateway.operations.call_function import ConcurrencyLimit, FunctionCall, call_function
from gateway.routes import CALL
from gateway.security.api_keys import ANYBODY, Caller
from gateway.services import Services

blueprint: Final = Blueprint("call", __name__)
_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_CALL_REQUEST: Final = CallRequest()
CONCURRENCY: Final = ConcurrencyLimit()
_REMEMBERED: Final = 4096  #: addresses
_LONGEST_REMEMBERED: Final = 128  #: characters of a function's name; PostgreSQL has none longer, with its schema


@blueprint.post(CALL.path)
def call() -> ResponseReturnValue:
    """Call a function of the application's."""
    return respond(answer_call(current_services(), request.environ, caller_of(request.environ)))


def answer_call(services: Services, environ: dict[str, Any], caller: Caller) -> Answer:
    """Call the function that the body names, and give its rows.

    :raises GatewayError: the request, or the call, failed
    """
    body, params = read_call_body(services, environ)
    owner, function = _address(body)
    caller.check_platform(owner.platform)
    if not isinstance(params, list | dict):
        raise InvalidRequest("params must be a list or an object", fields={"params": "must be a list or an object"})
    wanted = FunctionCall(owner=owner, function=function, params=params, client=environ.get("gunicorn.socket"))
    database = owner.database_name
    try:
        CONCURRENCY.enter(database, services.settings.requests_per_database)
        try:
            result = call_function(services, wanted)
        finally:
            CONCURRENCY.leave(database)
    except GatewayError as exc:
        exc.facts.update((name, fact) for name, fact in owner_facts(owner).items() if fact is not None)
        raise
    return Answer(
        status=200,
        body=b'{"rows":%b,"row_count":%d,"execution_time_ms":%d}'
        % (result.rows, result.row_count, round(result.execution_time_ms)),
    )


def read_call_body(services: Services, environ: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the JSON object in the body without its ``params``, and these, an empty list where there are none.

    :raises GatewayError: there is no such object
    """
    check_is_json(environ)
    body = parse_json(read_body(environ, services.settings.max_request_bytes))
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    params = body.pop("params", None)
    return body, [] if params is None else params


def _address(body: dict[str, Any]) -> tuple[DatabaseOwner, str]:
    """Return whose database and which function *body* names. The same few are asked for all day.

    Only what was read without an error is remembered, so that of all fields the function alone may be long.
    """
    function = body.get("function")
    if isinstance(function, str) and len(function) <= _LONGEST_REMEMBERED:
        try:
            return _known_address(tuple(body.items()))
        except TypeError:  # a list or an object cannot be remembered, and is no name
            pass
    return _read_address(body)


@lru_cache(maxsize=_REMEMBERED)
def _known_address(items: tuple[tuple[str, Any], ...]) -> tuple[DatabaseOwner, str]:
    return _read_address(dict(items))


def _read_address(body: dict[str, Any]) -> tuple[DatabaseOwner, str]:
    found: tuple[DatabaseOwner, str] = load(_CALL_REQUEST, body, ANYBODY)
    return found


class CallDoor:
    """A short way for calls, in front of Flask: the same guard, the same function, the same errors."""

    def __init__(self, application: Callable[..., Iterable[bytes]], services: Services, guard: Guard) -> None:
        """Stand in front of *application*, where everything else goes."""
        self._application = application
        self._services = services
        self._guard = guard

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a call; as WSGI has it."""
        if environ["PATH_INFO"] != CALL.path or environ["REQUEST_METHOD"] != CALL.method:
            return self._application(environ, start_response)
        request_id = request_id_of(environ)
        try:
            answer = answer_call(self._services, environ, self._guard.admit(CALL, environ))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is answered and logged in one place
            answer = answer_failure(exc, request_id)
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(answer.body))),
            (REQUEST_ID_HEADER, request_id),
            *answer.headers,
        ]
        start_response(_STATUS_LINES[answer.status], headers)
        return [answer.body]

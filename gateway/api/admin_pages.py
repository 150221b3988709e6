"""The operator's pages under ``/admin/``. The browser sends the admin key as the password of HTTP Basic.

Browsers also send this password with requests that other sites cause. Therefore only these routes accept it, only the
form for a call changes anything, and the form needs a token that other sites cannot read.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qsl

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import NotFound, UnsupportedMediaType

from gateway.api.bodies import read_body
from gateway.api.errors import answer_failure
from gateway.api.guard import caller_of
from gateway.api.health import VERSION
from gateway.api.metrics import FAILED_CALLS, SLOW_CALLS, metrics_of
from gateway.api.pages import html_page, protected, render
from gateway.api.request_ids import request_id_of
from gateway.api.requests import current_services, load, single_values
from gateway.api.responses import format_time, respond
from gateway.api.v1.requests import CallRequest
from gateway.databases import ManagedDatabase
from gateway.environment import ADMIN_KEY
from gateway.errors import GatewayError, InvalidRequest
from gateway.functions import parse_json
from gateway.naming import check_name
from gateway.operations.call_function import FunctionCall, call_steps
from gateway.operations.fleet_status import fleet_status
from gateway.pools import database_key
from gateway.services import Services
from gateway.settings import Settings
from gateway.steps import run

blueprint: Final = Blueprint("admin_pages", __name__, url_prefix="/admin")
_audit: Final = logging.getLogger("gateway.audit")
_SHOWN_ROWS: Final = 100  #: of the answer to a call
_SHOWN_SERIES: Final = 20  #: of slow and of failing functions
_ADDRESS_FIELDS: Final = ("platform", "tenant_id", "schema_name", "database_id", "function")
_FORM_FIELDS: Final = (*_ADDRESS_FIELDS, "params", "token")
_MOST_FIELDS: Final = 20
_SAME_SITE: Final = ("same-origin", "none")


@blueprint.get("/")
def overview() -> Response:
    """Show connections, slow and failing functions, platforms and running deploys."""
    services = current_services()
    databases: tuple[ManagedDatabase, ...] = ()
    problem = None
    try:
        databases = services.directory.all(sizes=True)
    except GatewayError as exc:
        problem = exc.message
    page = render(
        "overview.html",
        health=_health(services),
        budget=_budget(services, databases),
        platforms=_platforms(services, databases),
        deploys=[one for one in services.deploy_log.deploys() if one.status == "running"],
        slow=_series(SLOW_CALLS),
        failed=_series(FAILED_CALLS),
        slow_ms=services.settings.slow_call_ms,
        problem=problem,
    )
    return html_page(page)


@blueprint.get("/pages/platform/<platform>")
def platform_page(platform: str) -> Response:
    """Show the version, size and drift of every database of a platform. Queries each of them."""
    services = current_services()
    schemas = fleet_status(services, check_name(platform, field="platform"))
    return html_page(render("platform.html", platform=platform, schemas=schemas, format_time=format_time))


@blueprint.get("/pages/deploys")
def deploys_page() -> Response:
    """Show the running deploys and the last ones that ended."""
    return html_page(render("deploys.html", deploys=current_services().deploy_log.deploys()))


@blueprint.get("/pages/deploys/<deploy>")
def deploy_page(deploy: str) -> Response:
    """Show the report of a deploy, or the plan of a dry run, for each database."""
    log = current_services().deploy_log
    found = next((one for one in log.deploys() if one.id == deploy), None)
    if found is None:
        raise NotFound("there is no record of this deploy; the last hundred are kept")
    return html_page(render("deploy.html", deploy=found, reports=log.reports(deploy)))


@blueprint.get("/pages/call")
def call_page() -> Response:
    """Show the form for a call."""
    values = {name: request.args.get(name, "") for name in _FORM_FIELDS}
    return _call_form(values)


@blueprint.post("/pages/call")
def try_call() -> Response:
    """Call a function as the form says, and show its rows."""
    services, environ = current_services(), request.environ
    values = dict.fromkeys(_FORM_FIELDS, "") | single_values(_form_pairs(services.settings))
    unknown = [name for name in values if name not in _FORM_FIELDS]
    if unknown:
        raise InvalidRequest(f"{unknown[0]} is not a field of this form")
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in _SAME_SITE or not hmac.compare_digest(
        values["token"].encode(), _token(services.settings).encode()
    ):
        return _call_form(
            values, problem="The form was not sent by this page, or is too old. Send it again.", status=403
        )
    caller = caller_of(environ)
    facts = {name: value for name in _ADDRESS_FIELDS if (value := values[name])}
    sent = {"address": caller.address, "request_id": request_id_of(environ)}
    _audit.info("call from the page", extra={**facts, **sent})
    try:
        params = parse_json(values["params"].encode()) if values["params"].strip() else []
        if not isinstance(params, list | dict):
            raise InvalidRequest("params must be a list or an object")
        owner, function = load(CallRequest(), facts, caller)
        result = run(call_steps(services, FunctionCall(owner=owner, function=function, params=params)))
    except GatewayError as exc:
        answer = answer_failure(exc, request_id_of(environ), current_services().events)
        return _call_form(values, error=json.loads(answer.body), status=answer.status)
    rows = "\n".join(islice(_texts_of_rows(result.rows.decode()), _SHOWN_ROWS))
    return _call_form(values, result=result, rows=rows)


@blueprint.errorhandler(GatewayError)
def fail(error: GatewayError) -> Response:
    """Return the error as JSON, or as a page if the client prefers HTML; with 401, let browsers ask for the key."""
    answer = answer_failure(error, request_id_of(request.environ), current_services().events)
    response = respond(answer)
    if request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html":
        response.data = render("error.html", error=json.loads(answer.body))
        response.mimetype = "text/html"
    if answer.status == 401 and ADMIN_KEY in current_services().settings.api_keys:
        response.headers["WWW-Authenticate"] = 'Basic realm="StoneScriptDB Gateway", charset="UTF-8"'
    return response


@blueprint.after_request
def protect(response: Response) -> Response:
    """Add the security headers to every answer under these routes, also to errors."""
    return protected(response)


def _health(services: Services) -> dict[str, Any]:
    statistics = services.registry.statistics()
    return {
        "connected": services.server_check.is_connected(),
        "version": VERSION,
        "uptime_seconds": int(time.monotonic() - services.started_at),
        "connections": statistics.total_connections,
        "most": statistics.max_total_connections,
    }


def _budget(services: Services, databases: tuple[ManagedDatabase, ...]) -> dict[str, Any]:
    """Return the connections and waiting requests of each database; databases with most of them first."""
    occupancy = services.registry.occupancy()
    names = {database_key(one.name): one.name for one in databases}
    names[database_key(services.settings.maintenance_database)] = services.settings.maintenance_database
    rows: defaultdict[int, dict[str, Any]] = defaultdict(lambda: {"states": defaultdict(int), "waiting": ()})
    for (key, state), count in occupancy.connections.items():
        rows[key]["states"][state] += count
    for key, waiting in occupancy.waiting.items():
        rows[key]["waiting"] = waiting
    listed = [{"database": names.get(key, "(connection checks, or a database being created)"), **row}
              for key, row in rows.items()]  # fmt: skip
    listed.sort(key=lambda row: (-len(row["waiting"]), -row["states"]["busy"], row["database"]))
    return {"workers": occupancy.workers, "waiting": sum(map(len, occupancy.waiting.values())), "rows": listed}


def _platforms(services: Services, databases: tuple[ManagedDatabase, ...]) -> list[dict[str, Any]]:
    """Return the platforms that are registered or have databases of version 1."""
    found: dict[str, dict[str, Any]] = {}

    def row(name: str) -> dict[str, Any]:
        return found.setdefault(name, {"name": name, "schemas": 0, "databases": 0, "bytes": 0})

    for platform in services.platforms.all():
        row(platform.name)["schemas"] = len(platform.schemas)
    for database in databases:
        one = row(database.owner.platform)
        one["databases"] += 1
        one["bytes"] += database.size_bytes or 0
    return [found[name] for name in sorted(found)]


def _series(metric: str) -> list[tuple[Mapping[str, str], int]]:
    """Return the labels and counts of a metric, sorted by count."""
    series = [(labels, int(count)) for labels, count in metrics_of(current_app).series(metric)]
    return sorted(series, key=lambda one: -one[1])[:_SHOWN_SERIES]


def _form_pairs(settings: Settings) -> list[tuple[str, str]]:
    """Return the fields of the form in the request.

    :raises UnsupportedMediaType, InvalidRequest: it is not such a form
    """
    if request.mimetype != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("the form must be sent as application/x-www-form-urlencoded")
    body = read_body(request.environ, settings.max_request_bytes)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest("the form is not readable") from None


def _call_form(values: Mapping[str, str], *, status: int = 200, **shown: Any) -> Response:  # noqa: ANN401
    token = _token(current_services().settings)
    shown = {"problem": None, "error": None, "result": None, "rows": "", **shown}
    return html_page(render("call.html", values=values, token=token, shown_rows=_SHOWN_ROWS, **shown), status)


def _texts_of_rows(answer: str) -> Iterator[str]:
    """Yield the JSON text of each row unchanged, so that numbers keep all digits."""
    decoder, at = json.JSONDecoder(), 1
    while answer[at] != "]":
        _, end = decoder.raw_decode(answer, at)
        yield answer[at:end]
        at = end + (answer[end] == ",")


def _token(settings: Settings) -> str:
    """Return the CSRF token of the form, which all workers and gateways with the same key share."""
    (key, *_) = settings.api_keys[ADMIN_KEY]
    return hmac.new(key.encode(), b"the form of /admin/pages/call", "sha256").hexdigest()

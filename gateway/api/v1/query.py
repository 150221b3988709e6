"""``POST /query``: one statement with bound values, for platforms that have a key."""

from __future__ import annotations

from functools import partial
from typing import Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.api.bodies import read_body
from gateway.api.guard import caller_of
from gateway.api.request_ids import request_id_of
from gateway.api.requests import adding_facts, current_services, load
from gateway.api.responses import Answer, respond
from gateway.api.v1.call import PEER, read_call_body
from gateway.api.v1.requests import QueryBody
from gateway.environment import key_name_of
from gateway.errors import InvalidRequest
from gateway.naming import owner_facts
from gateway.operations.run_query import QueryRequest, run_query

blueprint: Final = Blueprint("query", __name__)


@blueprint.post("/query")
def query() -> ResponseReturnValue:
    """Run the statement in the body, and return its rows."""
    services, environ = current_services(), request.environ
    caller = caller_of(environ)
    body, params = read_call_body(environ, partial(read_body, environ, services.settings.max_request_bytes))
    owner, text = load(QueryBody(), body, caller)
    if not isinstance(params, list):
        raise InvalidRequest.of_field("params", "params must be a list: $1 is its first value")
    wanted = QueryRequest(
        owner=owner,
        query=text,
        params=params,
        may_write=caller.name in [key_name_of(platform) for platform in services.settings.query_write_keys],
        sent_by={"request_id": request_id_of(environ), "address": caller.address, "key_of": caller.name},
        peer=environ.get(PEER),
    )
    database = owner.database_name
    with adding_facts(**owner_facts(owner)):
        services.concurrency.enter(database)
        try:
            result = run_query(services, wanted)
        finally:
            services.concurrency.leave(database)
    affected = b"" if result.rows_affected is None else b',"rows_affected":%d' % result.rows_affected
    return respond(
        Answer(
            status=200,
            body=b'{"rows":%b,"row_count":%d%b,"execution_time_ms":%d}'
            % (result.rows, result.row_count, affected, round(result.execution_time_ms)),
        )
    )

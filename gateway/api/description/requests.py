"""The bodies of requests whose views read some fields apart from the schema."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields

from gateway.api.v1.requests import CallRequest, QueryBody
from gateway.api.v2.requests import MigrateRequest

_PARAMS: Final[dict[str, Any]] = {
    "oneOf": [{"type": "array"}, {"type": "object", "additionalProperties": True}],
    "description": "Values by position, or by the names of the function's parameters. None without it.",
}


class CallBody(CallRequest):
    """The body of ``/call``, with ``params``."""

    params = fields.Raw(metadata=_PARAMS)


class QueryRequestBody(QueryBody):
    """The body of ``/query``, with ``params``."""

    params = fields.List(fields.Raw(), metadata={"description": "The values of $1, $2 … in their order."})


class MigrateAllRequest(MigrateRequest):
    """The body of ``/v2/migrate-all``."""

    class Meta(MigrateRequest.Meta):
        """marshmallow's options."""

        exclude = ("database_id", "uuid", "database_ids")


class TryCallForm(CallRequest):
    """The form of ``/admin/pages/call``."""

    params = fields.String(metadata={"description": "A JSON list or object."})
    token = fields.String(required=True, metadata={"description": "The hidden field of the page's form."})

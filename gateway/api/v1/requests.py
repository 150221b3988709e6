"""The requests of version 1: the form of deploys, and the bodies of calls and queries."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load

from gateway.api.requests import FormFlag, Name, Request, Seed, TenantId
from gateway.errors import InvalidRequest
from gateway.naming import DatabaseOwner, schema_database, tenant_database
from gateway.operations.deploy import DeployRequest


class DeployForm(Request):
    """The form of ``/register`` and ``/migrate``, read into a DeployRequest."""

    platform = Name(required=True)
    schema = fields.Raw(required=True)
    tenant_id = TenantId(load_default=None)
    force = FormFlag(load_default=False)
    dry_run = FormFlag(load_default=False)
    seed = Seed(load_default="")

    def __init__(self, request_id: str) -> None:
        super().__init__()
        self._request_id = request_id

    @post_load
    def _make(self, data: dict[str, Any], **_kwargs: Any) -> DeployRequest:  # noqa: ANN401 - marshmallow's
        """Return the request of the parts."""
        owner = tenant_database(data["platform"], data["tenant_id"])
        return DeployRequest(
            owner=owner,
            archive=data["schema"],
            force=data["force"],
            dry_run=data["dry_run"],
            add_seeds=data["seed"] == "insert",
            request_id=self._request_id,
        )


class DatabaseAddress(Request):
    """The database of a call or a query."""

    platform = Name(required=True)
    tenant_id = TenantId(load_default=None, allow_none=True)
    schema_name = Name()
    database_id = Name()
    uuid = Name()


class CallRequest(DatabaseAddress):
    """The body of ``/call`` without its ``params``, which the types of the function check."""

    beside = ("params",)
    function = fields.String(required=True)

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> tuple[DatabaseOwner, str]:  # noqa: ANN401
        """Return the owner of the database, and the name of the function."""
        return _owner_in(data), data["function"]


class QueryBody(DatabaseAddress):
    """The body of ``/query`` without its ``params``, which the types of the statement check."""

    beside = ("params",)
    query = fields.String(required=True)

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> tuple[DatabaseOwner, str]:  # noqa: ANN401
        """Return the owner of the database, and the statement."""
        return _owner_in(data), data["query"]


def _owner_in(data: dict[str, Any]) -> DatabaseOwner:
    ids = [data[name] for name in ("database_id", "uuid") if name in data]
    if len(set(ids)) > 1:
        raise InvalidRequest("database_id and uuid are two names of one field and must not differ")
    if "schema_name" not in data and not ids:
        return tenant_database(data["platform"], data["tenant_id"])
    if "schema_name" not in data or not ids:
        raise InvalidRequest("schema_name and database_id (or uuid) name a database together: send both")
    if data["tenant_id"] is not None:
        raise InvalidRequest(
            "tenant_id names a database of version 1, schema_name and database_id one of version 2: send either"
        )
    return schema_database(data["platform"], data["schema_name"], ids[0])

"""The requests of version 2: bodies, the form of an upload, and the query string of a listing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, post_load, validate

from gateway.api.requests import Flag, Name, Request, Seed
from gateway.errors import InvalidRequest
from gateway.naming import DatabaseOwner, schema_database
from gateway.operations.migrate_databases import StoredSchemaRequest
from gateway.operations.stored_schemas import StoreRequest
from gateway.operations.undo_migration import UndoRequest

ARCHIVES: Final = ("schema", "file")  #: the names that the archive's part may have


class PlatformRequest(Request):
    """The body of ``/platform/register``."""

    platform = Name(required=True)


class DatabasesQuery(Request):
    """The query string of a platform's databases."""

    schema = Name(load_default=None)


class SchemaForm(Request):
    """The form of a schema's upload."""

    schema_name = Name()
    name = Name()
    schema = fields.Raw()
    file = fields.Raw()

    def __init__(self, *, platform: str, sent_by: str | None, request_id: str) -> None:
        super().__init__()
        self._known: dict[str, Any] = {"platform": platform, "sent_by": sent_by, "request_id": request_id}

    @post_load
    def _make(self, data: dict[str, Any], **_kwargs: Any) -> StoreRequest:  # noqa: ANN401 - marshmallow's
        return StoreRequest(
            schema_name=one_of(data, "schema_name", "name"), archive=one_of(data, *ARCHIVES), **self._known
        )


class CreateRequest(Request):
    """The body of ``/database/create``, read into the owner of the database."""

    platform = Name(required=True)
    schema_name = Name(required=True)
    database_id = Name()
    uuid = Name()

    @post_load
    def _find_owner(self, data: dict[str, Any], **_kwargs: Any) -> DatabaseOwner:  # noqa: ANN401 - marshmallow's
        return schema_database(data["platform"], data["schema_name"], one_of(data, "database_id", "uuid"))


class MigrateRequest(Request):
    """The body of ``/v2/migrate``.

    ``detach`` is for the view: whether the migration goes on after the client's disconnect.
    """

    platform = Name(required=True)
    schema_name = Name(required=True)
    database_id = Name()
    uuid = Name()
    database_ids = fields.List(Name(), data_key="only", validate=validate.Length(min=1, error="must name databases"))
    first = fields.Integer(strict=True, load_default=None, validate=validate.Range(min=1, error="must be at least 1"))
    force = Flag(load_default=False)
    dry_run = Flag(load_default=False)
    continue_on_error = Flag(load_default=False)
    detach = Flag(load_default=False)
    undo = fields.String(validate=validate.OneOf(["keep"], error="must be keep"))
    seed = Seed(load_default="")

    def __init__(self, request_id: str, **options: Any) -> None:  # noqa: ANN401 - marshmallow's
        super().__init__(**options)
        self._request_id = request_id

    @post_load
    def _make(self, data: dict[str, Any], **_kwargs: Any) -> tuple[StoredSchemaRequest, bool]:  # noqa: ANN401
        """Return the request, and whether it is detached."""
        wanted = StoredSchemaRequest(
            platform=data["platform"],
            schema_name=data["schema_name"],
            only=_only(data),
            first=data["first"],
            force=data["force"],
            dry_run=data["dry_run"],
            continue_on_error=data["continue_on_error"],
            undo="undo" in data,
            add_seeds=data["seed"] == "insert",
            request_id=self._request_id,
        )
        return wanted, data["detach"]


class UndoBody(Request):
    """The body of ``/v2/undo``."""

    platform = Name(required=True)
    schema_name = Name(required=True)
    database_id = Name()
    uuid = Name()
    database_ids = fields.List(Name(), data_key="only", validate=validate.Length(min=1, error="must name databases"))
    force = Flag(load_default=False)

    @post_load
    def _make(self, data: dict[str, Any], **_kwargs: Any) -> UndoRequest:  # noqa: ANN401 - marshmallow's
        return UndoRequest(
            platform=data["platform"],
            schema_name=data["schema_name"],
            only=_only(data),
            force=data["force"],
        )


def _only(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the databases that a body names, by either field; None for all."""
    one = one_of(data, "database_id", "uuid", required=False)
    if one is not None and "database_ids" in data:
        raise InvalidRequest("database_id names one database, only a list of them: send one of the two")
    if one is not None:
        return (one,)
    return tuple(data["database_ids"]) if "database_ids" in data else None


def one_of(data: Mapping[str, Any], name: str, other: str, *, required: bool = True) -> Any:  # noqa: ANN401 - of any type
    """Return the field that has two names; None if it is missing and not required.

    :raises InvalidRequest: it is missing, or both names have different values
    """
    found = [data[one] for one in (name, other) if one in data]
    if len(found) == 2 and found[0] != found[1]:
        message = f"{name} and {other} are two names of one field and must not differ"
        raise InvalidRequest.of_field(name, message)
    if required and not found:
        raise InvalidRequest.of_field(name, f"{name} is required")
    return found[0] if found else None

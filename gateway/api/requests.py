"""Reading requests: JSON bodies and query strings into checked values, with every wrong field named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, ClassVar, Final, cast

from flask import current_app
from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import OneOf
from werkzeug.exceptions import UnsupportedMediaType

from gateway.api.bodies import read_body
from gateway.errors import GatewayError, InvalidRequest
from gateway.functions import parse_json
from gateway.naming import check_name, check_tenant_id
from gateway.security.api_keys import Caller
from gateway.services import Services

_LISTED_FIELDS: Final = 20  #: of the wrong ones, in an error
_NAME_CHARACTERS: Final = 100  #: of a field's name, in an error
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})

#: What follows a field's name in an error; by marshmallow's key for each.
_WRONG: Final = {"required": "is required", "null": "must not be null"}
_WRONG_TYPE: Final = {
    fields.String: "must be a string",
    fields.Integer: "must be a whole number",
    fields.List: "must be a list",
}

EXTENSION: Final = "gateway"  #: the key in Flask's ``extensions``


class Name(fields.Field[str]):
    """The name of a platform or schema, or the id of a database; loaded unchanged."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:  # noqa: ANN401, ARG002
        try:
            return check_name(value, field=attr or "name")
        except InvalidRequest as exc:
            raise ValidationError(exc.message) from exc


class TenantId(fields.Field[str | None]):
    """A tenant id; None when it means the main database."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:  # noqa: ANN401, ARG002
        try:
            return check_tenant_id(value)
        except InvalidRequest as exc:
            raise ValidationError(exc.message) from exc


class Flag(fields.Field[bool]):
    """A boolean of JSON."""

    default_error_messages = {"invalid": "must be true or false, without quotes"}  # noqa: RUF012 - marshmallow's own form

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:  # noqa: ANN401, ARG002
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class FormFlag(Flag):
    """A boolean of a form: one of the words that shells and PHP use; an empty string is False."""

    default_error_messages = {"invalid": "must be true or false"}  # noqa: RUF012 - as above

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:  # noqa: ANN401, ARG002
        word = value.strip().lower() if isinstance(value, str) else None
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise self.make_error("invalid")


class Seed(fields.String):
    """``insert`` to add missing seeded rows; empty for the default of the route."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - marshmallow's
        super().__init__(validate=OneOf(("insert", ""), error="must be insert"), **options)


class Request(Schema):
    """A request whose fields are all known: one that is not is an error, never ignored.

    :cvar beside: names of the fields that the view reads itself
    """

    beside: ClassVar[tuple[str, ...]] = ()

    error_messages = {"unknown": "is not a field of this request", "type": "must be an object"}  # noqa: RUF012

    class Meta:
        """marshmallow's options."""

        unknown = RAISE

    def field_names(self) -> list[str]:
        """Return the names of all fields, as requests have them."""
        return [*(field.data_key or name for name, field in self.fields.items()), *self.beside]

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002 - marshmallow's hook
        """Word a field's errors as the end of a sentence that begins with its name."""
        for field in (field_obj, *([field_obj.inner] if isinstance(field_obj, fields.List) else [])):
            field.error_messages.update(_WRONG)
            for kind, wrong in _WRONG_TYPE.items():
                if isinstance(field, kind):
                    field.error_messages["invalid"] = wrong


def load(schema: Request, data: Mapping[str, Any], caller: Caller) -> Any:  # noqa: ANN401 - what the schema makes
    """Return what *schema* makes of *data*.

    The platform of a request is known here, so whether the caller may name it is checked here.

    :raises Unauthorized, PlatformIsolationViolation: *caller* may not
    :raises InvalidRequest: with the wrong fields in the message, and under ``fields`` one by one
    """
    platform = data.get("platform")
    if isinstance(platform, str):
        caller.check_platform(platform)
    try:
        return schema.load(data)
    except ValidationError as exc:
        problems = exc.messages_dict
        names = chain(schema.fields, (name for name in data if name not in schema.fields))  # marshmallow keeps no order
        listed = islice((name for name in names if name in problems), _LISTED_FIELDS)
        wrong = {name[:_NAME_CHARACTERS]: _sentence(name, problems[name]) for name in listed}
        message, known = "; ".join(wrong.values()), schema.field_names()
        if any(name not in known for name in wrong):
            message += f"; the request has the fields {', '.join(known)}"
        raise InvalidRequest(message, fields=wrong) from None


def _sentence(name: str, problems: Any) -> str:  # noqa: ANN401 - marshmallow nests lists and objects
    """Return the problem of a field as a sentence that starts with its name."""
    first = problems
    while not isinstance(first, str):
        first = next(iter(first.values() if isinstance(first, Mapping) else first))
    return first if first.startswith(name) else f"{name[:_NAME_CHARACTERS]} {first}"


@contextmanager
def adding_facts(**facts: str | None) -> Iterator[None]:
    """Add *facts* about the request to an error of the gateway's, see :meth:`GatewayError.add_facts`."""
    try:
        yield
    except GatewayError as exc:
        exc.add_facts(**facts)
        raise


def single_values(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the fields of a query string or form.

    :raises InvalidRequest: one is repeated
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise InvalidRequest.of_field(name, f"{name} was sent twice; send it once")
        values[name] = value
    return values


def check_is_json(environ: dict[str, Any]) -> None:
    """Check the content type of the body.

    :raises UnsupportedMediaType: not JSON
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type != "application/json" and not _is_json(content_type.partition(";")[0].strip().lower()):
        raise UnsupportedMediaType("the body must be JSON, with Content-Type: application/json")


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def read_json(environ: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the body.

    :raises UnsupportedMediaType: the content type is not JSON
    :raises RequestEntityTooLarge: it is longer than *max_bytes*
    :raises InvalidRequest: it is not JSON in UTF-8, not an object, incomplete, or has too many values
    """
    check_is_json(environ)
    value = parse_json(read_body(environ, max_bytes))
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    return value


def current_services() -> Services:
    """Return the services of this process."""
    return cast(Services, current_app.extensions[EXTENSION])

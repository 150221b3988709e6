"""JSON values in PostgreSQL's input formats. What a value means, and whether it fits, is left to the server."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

import orjson

from gateway.errors import InvalidRequest, QueryFailed
from gateway.functions.json_values import JsonNumber, JsonValue, dump_json
from gateway.functions.value_types import Form, ValueType

Encoder: TypeAlias = Callable[[JsonValue], bytes | None]  #: a parameter as the protocol takes it, None for NULL

LONGEST_INTEGER: Final = 40  #: digits up to which ``1e3`` is written out; PostgreSQL's integers have at most 20

_SPECIAL: Final = re.compile(r'(["\\])')


def encoder_of(kind: ValueType) -> Encoder:
    """How values of a type are sent."""
    write = _WRITERS[kind.form]

    def encode(value: JsonValue) -> bytes | None:
        if value is None:
            return None
        if type(value) is int:
            return b"%d" % value
        text = write(value, kind)
        if "\0" in text:  # libpq would cut the value there
            raise QueryFailed(
                "a text cannot contain the character U+0000",
                sqlstate="22021",
                cause='invalid byte sequence for encoding "UTF8": 0x00',
            )
        try:
            return text.encode()
        except UnicodeEncodeError as exc:
            raise InvalidRequest(f"params has a string that is not valid Unicode: {exc.reason}") from exc

    return encode


def _scalar(value: JsonValue, _: ValueType) -> str:
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, JsonNumber):
        return value.text
    if isinstance(value, int):
        return str(value)
    # Objects and lists have no form of their own in other types; some, like pgvector's, read them as they are.
    return dump_json(value).decode()


def _integer(value: JsonValue, kind: ValueType) -> str:
    if isinstance(value, JsonNumber):
        try:
            number = Decimal(value.text)
        except InvalidOperation:  # an exponent beyond all bounds; PostgreSQL says so in its own words
            return value.text
        if number.adjusted() < LONGEST_INTEGER and number == number.to_integral_value():
            return format(number.to_integral_value(), "f")
    return _scalar(value, kind)


def _json(value: JsonValue, _: ValueType) -> str:
    """A string that is itself an object, a list or a quoted string in JSON is taken as that: PHP sends them so."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"') and _is_json(value):
        return value
    return dump_json(value).decode()


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _array(value: JsonValue, kind: ValueType) -> str:
    if not isinstance(value, list):
        return _scalar(value, kind)
    assert kind.element is not None
    nested = kind.element.form not in (Form.JSON, Form.ARRAY)  # a list is a further dimension, not an element
    write = _WRITERS[kind.element.form]
    parts = []
    for item in value:
        if item is None:
            parts.append("NULL")
        elif nested and isinstance(item, list):
            parts.append(_array(item, kind))
        else:
            parts.append(_quoted(write(item, kind.element)))
    return "{" + kind.delimiter.join(parts) + "}"


def _composite(value: JsonValue, kind: ValueType) -> str:
    if not isinstance(value, dict):
        return _scalar(value, kind)
    names = [name for name, _ in kind.fields]
    if unknown := value.keys() - set(names):
        raise InvalidRequest(
            f"params has an object with the field {min(unknown)!r}; the type's fields are {', '.join(names)}"
        )
    parts = []
    for name, field in kind.fields:
        item = value.get(name)
        parts.append("" if item is None else _quoted(_WRITERS[field.form](item, field)))
    return "(" + ",".join(parts) + ")"


def _quoted(text: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", text) + '"'


_WRITERS: Final[dict[Form, Callable[[JsonValue, ValueType], str]]] = {
    Form.SCALAR: _scalar,
    Form.INTEGER: _integer,
    Form.JSON: _json,
    Form.ARRAY: _array,
    Form.COMPOSITE: _composite,
}

"""JSON values in PostgreSQL's input formats. The server decides what a value means, and whether it fits its type."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

import orjson

from gateway.errors import InvalidRequest, QueryFailed
from gateway.functions.json_values import MAX_VALUES, JsonNumber, JsonValue, check_number_of_values, dump_json
from gateway.functions.value_types import Form, ValueType

Encoder: TypeAlias = Callable[[JsonValue], bytes | None]  #: a parameter as the protocol takes it, None for NULL
MAX_CHARACTERS: Final = 2**26  #: of an array or a composite as PostgreSQL reads it, eight times the longest request
LONGEST_INTEGER: Final = 40  #: digits up to which ``1e3`` is written out; PostgreSQL's integers have at most 20
_WHOLE: Final = re.compile(r"-?[0-9]{1,40}\.0+")


def encoder_of(kind: ValueType) -> Encoder:
    """Return the function that encodes values of a type."""
    write = _WRITERS[kind.form]

    def encode(value: JsonValue) -> bytes | None:
        if type(value) is int:
            return b"%d" % value
        if value is None:
            return None
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
        if _WHOLE.fullmatch(value.text):
            return value.text.partition(".")[0]
        try:
            number = Decimal(value.text)
        except InvalidOperation:  # an exponent that is too large, which PostgreSQL refuses
            return value.text
        if number.adjusted() < LONGEST_INTEGER and number == number.to_integral_value():
            return format(number.to_integral_value(), "f")
    return _scalar(value, kind)


def _json(value: JsonValue, _: ValueType) -> str:
    """Return the JSON for a string. PHP encodes objects, lists and strings itself; such JSON is sent unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"') and _is_json(value):
        return value
    return dump_json(value).decode()


def _is_json(text: str) -> bool:
    if len(text) > MAX_VALUES:
        check_number_of_values(text.encode())
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
    classes = set(map(type, value))
    if classes == {int}:
        return "{" + kind.delimiter.join(map(str, value)) + "}"
    if classes == {str} and kind.element.form in (Form.SCALAR, Form.INTEGER):
        return _array_of_texts(value, kind.delimiter)
    if classes == {JsonNumber} and kind.element.form is Form.SCALAR:
        return "{" + kind.delimiter.join([number.text for number in value]) + "}"
    parts: list[str] = []
    size = 0
    for item in value:
        if item is None:
            parts.append("NULL")
        elif nested and isinstance(item, list):
            parts.append(_array(item, kind))
        else:
            parts.append(_quoted(write(item, kind.element)))
        size = _checked_size(size + len(parts[-1]))
    return "{" + kind.delimiter.join(parts) + "}"


def _array_of_texts(texts: list[str], delimiter: str) -> str:
    """Return the array of texts, all escaped at once: joined by a character that none of them may contain."""
    joined = "\0".join(texts)
    if joined.count("\0") >= len(texts):
        return "\0"  # for the encoder to refuse
    return '{"' + _escaped(joined).replace("\0", f'"{delimiter}"') + '"}'


def _composite(value: JsonValue, kind: ValueType) -> str:
    if not isinstance(value, dict):
        return _scalar(value, kind)
    parts = [""] * len(kind.fields)
    size = len(parts)
    for name, item in value.items():
        at = kind.positions.get(name)
        if at is None:
            known = ", ".join(kind.positions)
            raise InvalidRequest(f"params has an object with the field {name!r}; the type's fields are {known}")
        if item is not None:
            _, part = kind.fields[at]
            parts[at] = _quoted(_WRITERS[part.form](item, part))
            size = _checked_size(size + len(parts[at]))
    return "(" + ",".join(parts) + ")"


def _checked_size(size: int) -> int:
    """Return *size* if an array or a composite may have as many characters.

    Each level of nesting doubles the backslashes, and an omitted field takes a comma, so that a short value
    may become very long.
    """
    if size > MAX_CHARACTERS:
        raise InvalidRequest(
            f"params has an array or object of more than {MAX_CHARACTERS} characters as PostgreSQL reads it; pass json"
        )
    return size


def _quoted(text: str) -> str:
    return '"' + _escaped(text) + '"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_WRITERS: Final[dict[Form, Callable[[JsonValue, ValueType], str]]] = {
    Form.SCALAR: _scalar,
    Form.INTEGER: _integer,
    Form.JSON: _json,
    Form.ARRAY: _array,
    Form.COMPOSITE: _composite,
}

"""JSON with exact numbers: each is kept as it was written, not rounded to a double."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

import orjson

from gateway.errors import InvalidRequest

JsonValue: TypeAlias = Any  #: None, bool, int, JsonNumber, str, list or dict, and nested so

MAX_INTEGER_DIGITS: Final = 18  #: an integer of so many digits fits 64 bits, and orjson reads it exactly

MAX_VALUES: Final = 500_000  #: of a JSON text; in memory each takes up to 130 bytes, 30 times as much as its text
_MARKS: Final = b",{["  #: before each value but the first, and each that is nested
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # also unclosed, so that none is read twice

# What orjson would change: a fraction, an exponent, or more digits than 64 bits hold; and the sign of zero. Both may
# match inside a string, too, which costs only time. The search is fast because the first can only begin with a digit.
_INEXACT: Final = re.compile(rb"[0-9](?:[.eE]|[0-9]{%d})" % MAX_INTEGER_DIGITS)
_NEGATIVE_ZERO: Final = re.compile(rb"(?<![0-9A-Za-z])-0")


@dataclass(slots=True)  # not frozen, which would take three times as long to make, and a body may be full of them
class JsonNumber:
    """A number as it was written, for those that Python's ``int`` and ``float`` would not keep as they are."""

    text: str


def parse_json(data: bytes) -> JsonValue:
    """Return the value of a JSON text in UTF-8.

    Integers of up to 18 digits are ``int``, all other numbers ``JsonNumber``.

    :raises InvalidRequest: it is not JSON, or has more than MAX_VALUES
    """
    if len(data) > MAX_VALUES:
        check_number_of_values(data)
    try:
        if _INEXACT.search(data) is None and not (b"-0" in data and _NEGATIVE_ZERO.search(data)):
            return orjson.loads(data)
        value = _EXACT.decode(str(data, "utf-8"))
        if b"\\u" in data:  # half of a surrogate pair may be in it, which this decoder lets through
            dump_json(value)
    except RecursionError:
        raise InvalidRequest("the JSON is nested too deeply") from None
    except ValueError as exc:  # both libraries' errors, and bytes that are not UTF-8
        raise InvalidRequest(f"the body is not readable JSON: {exc}") from exc
    return value


def check_number_of_values(data: bytes) -> None:
    """Check that a JSON text has at most MAX_VALUES, before it is read.

    :raises InvalidRequest: it has more
    """
    if _count_marks(data) <= MAX_VALUES:
        return
    count = end = 0
    for strings, string in enumerate(_STRING.finditer(data)):  # marks inside strings do not count
        count += _count_marks(data[end : string.start()])
        end = string.end()
        if count > MAX_VALUES or strings > 2 * MAX_VALUES:  # a mark is followed by two strings at most
            break
    else:
        count += _count_marks(data[end:])
        if count <= MAX_VALUES:
            return
    raise InvalidRequest(f"the JSON has more than {MAX_VALUES} values; send fewer at a time")


def _count_marks(data: bytes) -> int:
    return len(data) - len(data.translate(None, _MARKS))


def dump_json(value: JsonValue) -> bytes:
    """Return the JSON text of a value of ``parse_json``, with its numbers as they were written.

    :raises InvalidRequest: a string in it cannot be written in UTF-8
    """
    try:
        return orjson.dumps(value, default=_written, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as exc:
        raise InvalidRequest(f"a value cannot be written as JSON: {exc}") from exc


def _written(value: object) -> orjson.Fragment:
    if isinstance(value, JsonNumber):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _integer(text: str) -> int | JsonNumber:
    return JsonNumber(text) if text == "-0" or len(text.removeprefix("-")) > MAX_INTEGER_DIGITS else int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_EXACT: Final = json.JSONDecoder(parse_float=JsonNumber, parse_int=_integer, parse_constant=_no_number)

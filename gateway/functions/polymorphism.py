"""Types for parameters that take any type: chosen from the JSON values, because PostgreSQL has only text to look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from psycopg.postgres import types

from gateway.functions.json_values import JsonNumber, JsonValue

BOOLEAN: Final = 16
BIGINT: Final = 20
INTEGER: Final = 23
TEXT: Final = 25
NUMERIC: Final = 1700
JSONB: Final = 3802
UNKNOWN: Final = 0  #: PostgreSQL decides

ANY_ELEMENT: Final = frozenset({2283, 2776, 5077, 5079})  #: anyelement, anynonarray and the same of anycompatible
ANY_ARRAY: Final = frozenset({2277, 5078})  #: anyarray, anycompatiblearray
#: anyenum, anyrange, anymultirange and those of anycompatible: no JSON value tells which one is meant
ANY_OTHER: Final = frozenset({3500, 3831, 4537, 5080, 4538})
POLYMORPHIC: Final = ANY_ELEMENT | ANY_ARRAY | ANY_OTHER

_BY_CLASS: Final = {type(None): None, bool: BOOLEAN, str: TEXT, dict: JSONB}
_BY_WIDTH: Final = (INTEGER, BIGINT, NUMERIC)


def natural_type(value: JsonValue) -> int | None:
    """The type a JSON value would have by itself; of a list, that of its elements. None for null and empty lists."""
    if isinstance(value, list):
        found = {natural_type(item) for item in value} - {None}
        return common_type(found) if found else None
    if isinstance(value, JsonNumber):
        digits = value.text.removeprefix("-")
        return _type_of_integer(int(value.text)) if digits.isdigit() and len(digits) < 20 else NUMERIC
    if isinstance(value, int) and not isinstance(value, bool):
        return _type_of_integer(value)
    return _BY_CLASS[type(value)]


def _type_of_integer(value: int) -> int:
    if -(2**31) <= value < 2**31:
        return INTEGER
    return BIGINT if -(2**63) <= value < 2**63 else NUMERIC


def common_type(found: Iterable[int | None]) -> int:
    """One type for values of several natural types."""
    kinds = {kind for kind in found if kind is not None}
    if not kinds:
        return TEXT
    if len(kinds) == 1:
        return kinds.pop()
    if kinds <= set(_BY_WIDTH):
        return max(kinds, key=_BY_WIDTH.index)
    return JSONB if JSONB in kinds else TEXT


def shape_of(value: JsonValue) -> tuple[bool, int | None]:
    """All of a value that the choice of types, and of functions, depends on: whether it is a list, and of what."""
    return isinstance(value, list), natural_type(value)


def concrete_type(parameter_type: int, value: JsonValue, common: int) -> int:
    """The type to send for a polymorphic parameter.

    :param common: the common type of all values for polymorphic parameters of the call, because PostgreSQL wants one
    """
    if parameter_type in ANY_OTHER:
        return UNKNOWN
    if parameter_type in ANY_ARRAY or isinstance(value, list):
        known = types.get(common)
        return known.array_oid if known else UNKNOWN
    return common

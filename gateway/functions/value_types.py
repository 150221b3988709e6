"""The types of parameters and of values.

Those of parameters are the server's, with domains, arrays and composites resolved. Those of JSON values are what
PostgreSQL takes the same literals for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, TypeAlias

import orjson
from psycopg.postgres import types

from gateway.functions.json_values import JsonNumber, JsonValue

FIRST_USER_OID: Final = 16384  #: PostgreSQL's FirstNormalObjectId: types below it are the same on every server

INTEGERS: Final = frozenset({20, 21, 23, 26})  #: bigint, smallint, integer, oid
JSONS: Final = frozenset({114, 3802})  #: json, jsonb
BOOLEAN: Final = 16
BIGINT: Final = 20
INTEGER: Final = 23
TEXT: Final = 25
NUMERIC: Final = 1700
JSONB: Final = 3802
UNKNOWN: Final = 0  #: PostgreSQL decides
ANY_ELEMENT: Final = frozenset({2283, 2776, 5077, 5079})  #: anyelement, anynonarray and the same of anycompatible
ANY_ARRAY: Final = frozenset({2277, 5078})  #: anyarray, anycompatiblearray
#: anyenum, anyrange, anymultirange and those of anycompatible: no JSON value shows which type is meant
ANY_OTHER: Final = frozenset({3500, 3831, 4537, 5080, 4538})
POLYMORPHIC: Final = ANY_ELEMENT | ANY_ARRAY | ANY_OTHER
TypeRow: TypeAlias = Mapping[str, Any]  #: a row of the query ``type_graph``
_BY_CLASS: Final = {type(None): None, bool: BOOLEAN, str: TEXT, dict: JSONB}
_BY_WIDTH: Final = (INTEGER, BIGINT, NUMERIC)


class Form(Enum):
    """The input format of a type."""

    SCALAR = "scalar"  #: as text, which the type's input function reads
    INTEGER = "integer"  #: as text too, but ``1.0`` counts as ``1``
    JSON = "json"
    ARRAY = "array"
    COMPOSITE = "composite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueType:
    """A type, with domains resolved."""

    oid: int  #: of the type itself, a domain's own
    base: int  #: of the type under a domain; else the same
    form: Form
    element: ValueType | None = None  #: of an array
    delimiter: str = ","  #: between an array's elements
    positions: Mapping[str, int] = field(default_factory=dict, compare=False)  #: of the fields, by their names
    fields: tuple[tuple[str, ValueType], ...] = ()  #: of a composite, in its order


def builtin_type(oid: int) -> ValueType:
    """Return a type that every server has. Other types are sent as text."""
    if oid in INTEGERS:
        return ValueType(oid=oid, base=oid, form=Form.INTEGER)
    if oid in JSONS:
        return ValueType(oid=oid, base=oid, form=Form.JSON)
    known = types.get(oid)
    if known is not None and known.array_oid == oid:
        element = builtin_type(known.oid)
        return ValueType(oid=oid, base=oid, form=Form.ARRAY, element=element, delimiter=known.delimiter)
    return ValueType(oid=oid, base=oid, form=Form.SCALAR)


def read_types(oids: Iterable[int], read_graph: Callable[[list[int]], Iterable[TypeRow]]) -> dict[int, ValueType]:
    """Return the types of these oids.

    :param read_graph: returns the rows of ``type_graph`` for oids; called once, and only if some type is not built in
    """
    wanted = set(oids)
    own = [oid for oid in wanted if oid >= FIRST_USER_OID]
    rows = {row["oid"]: row for row in read_graph(own)} if own else {}
    known: dict[int, ValueType] = {}
    return {oid: _resolve(oid, rows, known) for oid in wanted}


def oid_array(oids: Iterable[int]) -> bytes:
    """Return oids as the text of a PostgreSQL array."""
    return ("{" + ",".join(map(str, oids)) + "}").encode()


def _resolve(oid: int, rows: Mapping[int, TypeRow], known: dict[int, ValueType]) -> ValueType:
    """Return the type of an oid, the same object wherever the type is used."""
    if oid not in known:
        known[oid] = builtin_type(oid) if oid < FIRST_USER_OID else _resolve_own(rows[oid], rows, known)
    return known[oid]


def _resolve_own(row: TypeRow, rows: Mapping[int, TypeRow], known: dict[int, ValueType]) -> ValueType:
    oid = row["oid"]
    if row["base"]:
        return replace(_resolve(row["base"], rows, known), oid=oid)
    if row["element"]:
        element = _resolve(row["element"], rows, known)
        return ValueType(oid=oid, base=oid, form=Form.ARRAY, element=element, delimiter=row["delimiter"])
    if row["fields"] is not None:
        fields = tuple((field["name"], _resolve(field["type"], rows, known)) for field in row["fields"])
        positions = {name: at for at, (name, _) in enumerate(fields)}
        return ValueType(oid=oid, base=oid, form=Form.COMPOSITE, positions=positions, fields=fields)
    return ValueType(oid=oid, base=oid, form=Form.SCALAR)


def parse_rows(texts: Iterable[bytes]) -> list[TypeRow]:
    """Return rows that the server sent as JSON objects."""
    return [orjson.loads(text) for text in texts]


def natural_type(value: JsonValue) -> int | None:
    """Return the natural type of a JSON value; of a list, that of its elements. None for null and empty lists."""
    if isinstance(value, list):
        found = natural_types(value)
        return common_type(found) if found else None
    if isinstance(value, JsonNumber):
        digits = value.text.removeprefix("-")
        return _type_of_integer(int(value.text)) if digits.isdigit() and len(digits) < 20 else NUMERIC
    if isinstance(value, int) and not isinstance(value, bool):
        return _type_of_integer(value)
    return _BY_CLASS[type(value)]


def natural_types(values: Sequence[JsonValue]) -> set[int]:
    """Return the natural types of all these values; of integers, those of the least and the greatest."""
    classes = set(map(type, values))
    found = {_BY_CLASS[each] for each in classes if each in _BY_CLASS}
    if int in classes:
        integers = [value for value in values if type(value) is int] if len(classes) > 1 else values
        found |= {_type_of_integer(min(integers)), _type_of_integer(max(integers))}
    if list in classes or JsonNumber in classes:
        found |= {natural_type(value) for value in values if isinstance(value, list | JsonNumber)}
    return {each for each in found if each is not None}


def _type_of_integer(value: int) -> int:
    if -(2**31) <= value < 2**31:
        return INTEGER
    return BIGINT if -(2**63) <= value < 2**63 else NUMERIC


def common_type(found: Iterable[int | None]) -> int:
    """Return one type for values of several natural types."""
    kinds = {kind for kind in found if kind is not None}
    if not kinds:
        return TEXT
    if len(kinds) == 1:
        return kinds.pop()
    if kinds <= set(_BY_WIDTH):
        return max(kinds, key=_BY_WIDTH.index)
    return JSONB if JSONB in kinds else TEXT


def shape_of(value: JsonValue) -> tuple[bool, int | None]:
    """Return what the choice of types and functions depends on: whether the value is a list, and its natural type."""
    return isinstance(value, list), natural_type(value)


def concrete_type(parameter_type: int, value: JsonValue, common: int) -> int:
    """Return the type to send for a polymorphic parameter.

    :param common: the common type of all values for polymorphic parameters of the call, because PostgreSQL wants one
    """
    if parameter_type in ANY_OTHER:
        return UNKNOWN
    if parameter_type in ANY_ARRAY or isinstance(value, list):
        known = types.get(common)
        return known.array_oid if known else UNKNOWN
    return common

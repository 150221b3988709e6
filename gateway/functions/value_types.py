"""What the gateway must know of a parameter's type to write a JSON value in the type's own input format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, TypeAlias

import orjson
from psycopg.postgres import types

FIRST_USER_OID: Final = 16384  #: PostgreSQL's FirstNormalObjectId: types below it are the same on every server

INTEGERS: Final = frozenset({20, 21, 23, 26})  #: bigint, smallint, integer, oid
JSONS: Final = frozenset({114, 3802})  #: json, jsonb


class Form(Enum):
    """How a value of the type is written."""

    SCALAR = "scalar"  #: as text, which the type's input function reads
    INTEGER = "integer"  #: as text too, but ``1.0`` counts as ``1``
    JSON = "json"
    ARRAY = "array"
    COMPOSITE = "composite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueType:
    """A type, with domains already followed to what they are made of."""

    oid: int  #: of the type itself, a domain's own
    base: int  #: of what a domain is made of; else the same
    form: Form
    element: ValueType | None = None  #: of an array
    delimiter: str = ","  #: between an array's elements
    fields: tuple[tuple[str, ValueType], ...] = ()  #: of a composite, in its order


TypeRow: TypeAlias = Mapping[str, Any]  #: a row of the query ``type_graph``


def builtin_type(oid: int) -> ValueType:
    """A type every server has. Types that are not known here are written as text."""
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
    """The types of these oids.

    :param read_graph: gives the rows of ``type_graph`` for oids; called once, and only if some type is not built in
    """
    wanted = set(oids)
    own = [oid for oid in wanted if oid >= FIRST_USER_OID]
    rows = {row["oid"]: row for row in read_graph(own)} if own else {}
    return {oid: _resolve(oid, rows) for oid in wanted}


def _resolve(oid: int, rows: Mapping[int, TypeRow]) -> ValueType:
    if oid < FIRST_USER_OID:
        return builtin_type(oid)
    row = rows[oid]
    if row["base"]:
        return replace(_resolve(row["base"], rows), oid=oid)
    if row["element"]:
        element = _resolve(row["element"], rows)
        return ValueType(oid=oid, base=oid, form=Form.ARRAY, element=element, delimiter=row["delimiter"])
    if row["fields"] is not None:
        fields = tuple((field["name"], _resolve(field["type"], rows)) for field in row["fields"])
        return ValueType(oid=oid, base=oid, form=Form.COMPOSITE, fields=fields)
    return ValueType(oid=oid, base=oid, form=Form.SCALAR)


def parse_rows(texts: Iterable[bytes]) -> list[TypeRow]:
    """Rows that the server gave as JSON objects."""
    return [orjson.loads(text) for text in texts]

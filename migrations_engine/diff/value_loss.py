"""Conditions for the values of a column that a change of its type would alter or refuse.

A condition raises no error for any value of the old type, because it runs on the rows of a tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, LiteralString

from psycopg import sql

from migrations_engine.diff.type_change import TypeName
from migrations_engine.model import Type

#: ``pg_input_is_valid`` came with PostgreSQL 16; on older servers, the catalog's reader creates a substitute.
_INPUT_IS_VALID_SINCE: Final = 160000
_BYTES: Final = {"name": 63, '"char"': 1}  #: maximum lengths, manual table 8.5
_LAST_TIMESTAMP_DAY: Final = "294276-12-31"  #: manual table 8.9

#: The smallest value, and the first that is too large; manual table 8.2.
_RANGES: Final = {
    "smallint": (-(2**15), 2**15),
    "integer": (-(2**31), 2**31),
    "bigint": (-(2**63), 2**63),
    "oid": (0, 2**32),
}
#: Numbers of magnitudes between these become floats and come back without overflow or underflow.
_FLOAT_BOUNDS: Final = {"real": ("1.2e-38", "3.4e38"), "double precision": ("2.3e-308", "1.7e308")}
#: The largest float of each type below 2^63: above it, the way back to bigint would overflow.
_BELOW_BIGINT: Final = {"real": 2**63 - 2**39, "double precision": 2**63 - 2**10}
_INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
_FLOATS: Final = frozenset(_FLOAT_BOUNDS)
_NUMBERS: Final = _INTEGERS | _FLOATS | {"numeric"}
_STRINGS: Final = frozenset({"text", "character varying", "character", "name", '"char"'})
_ROUNDED: Final = frozenset(
    {
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "time with time zone",
        "interval",
    }
)
#: Old and new type → condition, with {c} for the column.
_PAIRS: Final[Mapping[tuple[str, str], LiteralString]] = {
    ("timestamp without time zone", "date"): "{c}::date::timestamp <> {c}",
    ("timestamp without time zone", "time without time zone"): "true",
    ("date", "timestamp without time zone"): "isfinite({c}) AND {c} > {last}",
    ("interval", "time without time zone"): "{c}::time::interval <> {c}",
    ("inet", "cidr"): "{c} <> network({c})::inet",
}


def loss_condition(
    column: sql.Identifier, old_type: str, new_type: str, types: Mapping[str, Type], server_version: int
) -> sql.Composable | None:
    """Return a condition for values of *column*, not null, that would be lost; None if no query can find them.

    :param types: the application's types by label, as they will be
    """
    old, new = TypeName.parse(old_type), TypeName.parse(new_type)
    own = types.get(new.label)
    if own is not None and own.kind == "enum" and not new.is_array:
        return sql.SQL("{}::text <> ALL ({})").format(column, sql.Literal(list(own.values)))
    if not (old.is_array or new.is_array):
        condition = _number(column, old, new) or _string(column, old, new) or _other(column, old, new, new_type)
        if condition is not None or _depends_on_session(old, new):
            return condition
    function = sql.SQL("pg_input_is_valid" if server_version >= _INPUT_IS_VALID_SINCE else "pg_temp.input_is_valid")
    valid = sql.SQL("{}({}::text, {})").format(function, column, sql.Literal(new_type))
    if old.is_array and new.is_array:
        return sql.SQL("CASE WHEN {valid} THEN {c}::text::{type}::text <> {c}::text ELSE true END").format(
            valid=valid, c=column, type=_spelled(new_type)
        )
    return sql.SQL("NOT {}").format(valid)


def _depends_on_session(old: TypeName, new: TypeName) -> bool:
    """Return whether the change may lose a time zone, a currency or a format, which no query on the value can find."""
    if "money" in (old.base, new.base) or (old.base, new.base) == ("json", "jsonb"):
        return True
    return "with time zone" in old.base or "with time zone" in new.base


def _number(c: sql.Identifier, old: TypeName, new: TypeName) -> sql.Composable | None:
    if old.base not in _NUMBERS and old.base != "oid":
        return None
    if new.base in _RANGES:
        low, above = _RANGES[new.base]
        outside = sql.SQL("NOT ({c} >= {low} AND {c} < {above})").format(
            c=_comparable(c, old), low=sql.Literal(low), above=sql.Literal(above)
        )
        return outside if old.base in _RANGES else sql.SQL("({} OR {} <> trunc({}))").format(outside, c, c)
    if new.base == "numeric":
        return _to_numeric(c, old, new)
    if new.base in _FLOATS:
        return _to_float(c, old, new)
    return None


def _comparable(c: sql.Identifier, old: TypeName) -> sql.Composable:
    return sql.SQL("{}::bigint").format(c) if old.base == "oid" else c


def _to_numeric(c: sql.Identifier, old: TypeName, new: TypeName) -> sql.Composable:
    parts: list[sql.Composable] = []
    if old.base in _FLOATS:
        # The text of a float has as many digits as it needs, the cast to numeric fewer: 15, or 6 for real. Where they
        # differ, the value may still come back; but not the largest ones, which are rounded up beyond the end.
        parts.append(
            sql.SQL(
                "CASE WHEN {c}::text::numeric = {c}::numeric THEN false WHEN abs({c}) > {high} THEN true"
                " ELSE {c}::numeric::{old} <> {c} END"
            ).format(c=c, high=sql.SQL(_FLOAT_BOUNDS[old.base][1]), old=_spelled(old.base))
        )
    if new.modifiers:
        precision, scale = new.numbers
        parts.append(
            sql.SQL("({c}::numeric <> 'NaN' AND (abs(round({c}::numeric, {s})) >= 10::numeric ^ {d}"
                    " OR round({c}::numeric, {s}) <> {c}::numeric))").format(
                c=c, s=sql.Literal(scale), d=sql.Literal(precision - scale)
            )
        )  # fmt: skip
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts)) if parts else sql.SQL("false")


def _to_float(c: sql.Identifier, old: TypeName, new: TypeName) -> sql.Composable:
    target = _spelled(new.base)
    if old.base in _INTEGERS:
        return sql.SQL("CASE WHEN {c} <= {bound} THEN {c}::{t}::bigint <> {c} ELSE true END").format(
            c=c, bound=sql.Literal(_BELOW_BIGINT[new.base]), t=target
        )
    back = sql.SQL("{}::{}::{}").format(c, target, _spelled(old.base))
    if old.base == "numeric":
        back = sql.SQL("{}::{}::text::numeric").format(c, target)
    low, high = (sql.SQL(bound) for bound in _FLOAT_BOUNDS[new.base])
    return sql.SQL(
        "CASE WHEN {c} = 0 OR {c}::text IN ('NaN', 'Infinity', '-Infinity') THEN false"
        " WHEN abs({c}) NOT BETWEEN {low} AND {high} THEN true ELSE {back} <> {c} END"
    ).format(c=c, low=low, high=high, back=back)


def _string(c: sql.Identifier, old: TypeName, new: TypeName) -> sql.Composable | None:
    if old.base not in _STRINGS or new.base not in _STRINGS:
        return None
    parts: list[sql.Composable] = []
    if new.modifiers:
        parts.append(sql.SQL("char_length({}::text) > {}").format(c, sql.Literal(new.numbers[0])))
    if new.base in _BYTES:
        parts.append(sql.SQL("octet_length({}::text) > {}").format(c, sql.Literal(_BYTES[new.base])))
    if new.base == "character" and old.base != "character":
        parts.append(sql.SQL("{c}::text <> rtrim({c}::text, ' ')").format(c=c))
    if old.base == "character" and new.base != "character":  # trailing blanks of character(n) are not converted
        parts.append(sql.SQL("octet_length({c}) <> octet_length({c}::text)").format(c=c))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts)) if parts else sql.SQL("false")


def _other(c: sql.Identifier, old: TypeName, new: TypeName, new_type: str) -> sql.Composable | None:
    if old.base == new.base and new.base in _ROUNDED:
        return sql.SQL("{c}::{type} <> {c}").format(c=c, type=_spelled(new_type))
    if new.base in ("bit", "bit varying") and old.base in ("bit", "bit varying") and new.modifiers:
        operator = sql.SQL("<>") if new.base == "bit" else sql.SQL(">")
        return sql.SQL("length({}) {} {}").format(c, operator, sql.Literal(new.numbers[0]))
    if (old.base, new.base) == ("time without time zone", "interval"):
        return sql.SQL("{}::{} <> {}::interval").format(c, _spelled(new_type), c)
    if (old.base, new.base) == ("jsonb", "json"):
        return sql.SQL("false")
    pair = _PAIRS.get((old.base, new.base))
    return sql.SQL(pair).format(c=c, last=sql.Literal(_LAST_TIMESTAMP_DAY)) if pair else None


def _spelled(type_name: str) -> sql.SQL:
    return sql.SQL(type_name)  # the server's own spelling, quoted by it where need be

"""Choosing among functions of one name that all fit by number and names: by what JSON can be, then by PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.functions.arguments import Binding, ambiguous
from gateway.functions.failures import ServerRefused
from gateway.functions.json_values import JsonNumber, JsonValue
from gateway.functions.polymorphism import BOOLEAN, POLYMORPHIC, UNKNOWN, natural_type
from gateway.functions.statements import Statement, probe_statement
from gateway.functions.value_types import FIRST_USER_OID, Form, ValueType

_NUMBERS: Final = frozenset({20, 21, 23, 26, 700, 701, 790, 1700})  #: the integers, oid, real, double, money, numeric
_WIDENING: Final = (21, 23, 20, 1700, 700, 701)  #: a number is taken implicitly for what comes later in this row
_IMPOSSIBLE: Final = (-1, -1)
_AMBIGUOUS: Final = "42725"
_UNDEFINED: Final = "42883"


class Prober(Protocol):
    """What can ask the server to understand a statement without running it."""

    def parameter_types(self, statement: Statement) -> tuple[int, ...]:
        """The types that the server gives the statement's parameters.

        :raises ServerRefused: it cannot understand it
        """


def choose(bindings: Sequence[Binding], values: Sequence[JsonValue], prober: Prober) -> Binding:
    """The one of *bindings* that the values mean.

    :raises Misfit: several are as good, or PostgreSQL finds none
    """
    suitable = [binding for binding in bindings if _suits(binding, values)] or list(bindings)
    if len(suitable) == 1:
        return suitable[0]
    types = [_type_to_ask_with(value) for value in values]
    try:
        resolved = prober.parameter_types(probe_statement(suitable[0], len(values), types))
    except ServerRefused as exc:
        if exc.sqlstate in (_AMBIGUOUS, _UNDEFINED):
            raise ambiguous(suitable, exc.cause) from exc
        raise
    scored = [(_agreement(binding, types, resolved), binding) for binding in suitable]
    best = max(score for score, _ in scored)
    winners = [binding for score, binding in scored if score == best]
    if best == _IMPOSSIBLE or len(winners) > 1:
        raise ambiguous(suitable)
    return winners[0]


def _type_to_ask_with(value: JsonValue) -> int:
    """Numbers and booleans say what they are; a string may be of any type, like a quoted literal in SQL."""
    if isinstance(value, bool | int | JsonNumber):
        return natural_type(value) or UNKNOWN
    return UNKNOWN


def _agreement(binding: Binding, asked: Sequence[int], resolved: Sequence[int]) -> tuple[int, int]:
    """How well a signature agrees with what PostgreSQL made of the values; negative if it cannot be what it chose.

    PostgreSQL prefers what needs the fewest conversions, and then the preferred type of a category.
    """
    exact = preferred = 0
    for oid, asked_type, resolved_type in zip(_declared(binding, len(asked)), asked, resolved, strict=True):
        if oid == resolved_type:
            exact += 1
        elif oid not in POLYMORPHIC and (
            asked_type == UNKNOWN or oid not in _WIDENING or asked_type not in _WIDENING[: _WIDENING.index(oid)]
        ):
            return _IMPOSSIBLE
        preferred += oid == _WIDENING[-1]
    return exact, preferred


def _declared(binding: Binding, count: int) -> list[int]:
    oids = [parameter.type for parameter in binding.inputs]
    if binding.rest is None:
        return oids
    array = binding.signature.types[oids[-1]]
    element = array.element.oid if array.element else array.oid
    return oids[:-1] + [element] * (count - binding.rest)


def _suits(binding: Binding, values: Sequence[JsonValue]) -> bool:
    kinds = [binding.signature.types[parameter.type] for parameter in binding.inputs]
    if binding.rest is not None:
        element = kinds[-1].element or kinds[-1]
        rest = values[binding.rest :]
        if not (len(rest) == 1 and isinstance(rest[0], list)):
            kinds = kinds[:-1] + [element] * len(rest)
    return all(_could_be(value, kind) for value, kind in zip(values, kinds, strict=True))


def _could_be(value: JsonValue, kind: ValueType) -> bool:
    """Whether a JSON value is of the kind that one would send for a type. Strings may be anything."""
    if value is None or isinstance(value, str) or kind.oid in POLYMORPHIC or kind.form is Form.JSON:
        return True
    own_scalar = kind.form is Form.SCALAR and kind.base >= FIRST_USER_OID
    if isinstance(value, bool):
        return kind.base == BOOLEAN
    if isinstance(value, list):
        return kind.form is Form.ARRAY or own_scalar
    if isinstance(value, dict):
        return kind.form is Form.COMPOSITE or own_scalar
    return kind.base in _NUMBERS

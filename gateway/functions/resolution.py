"""The choice of a call among the functions of one name.

By the number and the names of its values first, then by the kinds of JSON, and then by PostgreSQL itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from gateway.errors import InvalidRequest
from gateway.functions.json_values import JsonNumber, JsonValue
from gateway.functions.refusals import ServerRefused
from gateway.functions.signatures import Binding, Parameter, Routine, Signature
from gateway.functions.statements import Query, probe_statement
from gateway.functions.value_types import (
    BOOLEAN,
    FIRST_USER_OID,
    POLYMORPHIC,
    UNKNOWN,
    Form,
    ValueType,
    natural_type,
    natural_types,
)

PREFIX: Final = "p_"  #: of parameters' names; clients may leave it out or add it

_NUMBERS: Final = frozenset({20, 21, 23, 26, 700, 701, 790, 1700})  #: the integers, oid, real, double, money, numeric
_WIDENING: Final = (21, 23, 20, 1700, 700, 701)  #: a number is taken implicitly for what comes later in this row
_IMPOSSIBLE: Final = (-1, -1)
_AMBIGUOUS: Final = "42725"
_UNDEFINED: Final = "42883"
MAX_ARGUMENTS: Final = 100  #: PostgreSQL's FUNC_MAX_ARGS; only a VARIADIC parameter takes more values
_SHOWN_LABELS: Final = 5  #: in an error's message
_SHOWN_LETTERS: Final = 63
Params: TypeAlias = list[JsonValue] | dict[str, JsonValue]


class Misfit(Exception):
    """The values fit no signature, or several. Its message lists signatures, which only the server can print."""

    def __init__(
        self,
        before: str,
        candidates: Sequence[Signature],
        after: str = "",
        *,
        choose: bool = False,
        cause: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        """Create the error.

        :param before: the words of the message before the list of *candidates*; *after* those after it
        :param choose: whether the candidates are a fact of the answer, too
        """
        super().__init__(before, after)
        self.candidates = candidates
        self._choose = choose
        self._facts = {"cause": cause, "fields": fields}

    def as_invalid_request(self, printed: Sequence[str]) -> InvalidRequest:
        """Return the error, with the candidates as *printed*."""
        before, after = self.args
        listed = list(printed) if self._choose else None
        return InvalidRequest(f"{before}{' or '.join(printed)}{after}", candidates=listed, **self._facts)


def bind(routine: Routine, params: Sequence[JsonValue] | dict[str, JsonValue]) -> list[Binding]:
    """Return a binding for every signature that the number and the names of *params* fit.

    :raises Misfit: there is none
    """
    if isinstance(params, dict) and params:
        named = [binding for one in routine.candidates if (binding := _by_name(one, tuple(params)))]
        if named:
            return named
        if any(_parameter_of(names, key) for names in map(_names_of, routine.candidates) for key in params):
            raise Misfit(
                f"params {_name_problem(routine, tuple(params))}; ",
                routine.candidates,
                fields={"params": "params does not fit the function"},
            )
    in_order = [binding for one in routine.candidates if (binding := _in_order(one, len(params)))]
    if not in_order:
        raise Misfit(
            f"params has {len(params)} values, which does not fit ",
            routine.candidates,
            fields={"params": "params has too many or too few values"},
        )
    return in_order


def ambiguous(bindings: Sequence[Binding], cause: str | None = None) -> Misfit:
    """Return the error for a call that fits several signatures equally well."""
    return Misfit(
        "the call could mean ",
        [binding.signature for binding in bindings],
        ": name the parameters, or use values that fit only one of the functions",
        choose=True,
        cause=cause,
    )


def _in_order(signature: Signature, count: int) -> Binding | None:
    inputs = signature.inputs
    if signature.variadic and count >= len(inputs):
        return Binding(signature=signature, inputs=inputs, named=False, rest=len(inputs) - 1)
    if count > len(inputs) or any(parameter.required for parameter in inputs[count:]):
        return None
    return Binding(signature=signature, inputs=inputs[:count], named=False)


def _by_name(signature: Signature, keys: tuple[str, ...]) -> Binding | None:
    if len(keys) > len(signature.inputs):
        return None
    names = _names_of(signature)
    found = [_parameter_of(names, key) for key in keys]
    inputs = tuple(parameter for parameter in found if parameter is not None)
    given = {parameter.name for parameter in inputs}
    if len(inputs) < len(keys) or len(given) < len(keys):
        return None
    if any(parameter.required and parameter.name not in given for parameter in signature.inputs):
        return None
    return Binding(signature=signature, inputs=inputs, named=True)


def _names_of(signature: Signature) -> dict[str, Parameter]:
    """Return the parameters by every key that names them: their own name, then without the prefix, then with it."""
    named = [parameter for parameter in signature.inputs if parameter.name]
    names = {parameter.name: parameter for parameter in named}
    for parameter in named:
        if parameter.name.startswith(PREFIX):
            names.setdefault(parameter.name.removeprefix(PREFIX), parameter)
    for parameter in named:
        names.setdefault(PREFIX + parameter.name, parameter)
    return names


def _parameter_of(names: dict[str, Parameter], key: str) -> Parameter | None:
    """Return the parameter that a key names, as it is or in lower case."""
    return names.get(key) or names.get(key.lower())


def _name_problem(routine: Routine, keys: tuple[str, ...]) -> str:
    """Return the reason why *keys* do not name the parameters of the nearest candidate."""
    found_by = {
        one.oid: [_parameter_of(names, key) for key in keys] for one in routine.candidates for names in [_names_of(one)]
    }
    nearest = max(routine.candidates, key=lambda one: sum(found is not None for found in found_by[one.oid]))
    unknown = [key for key, found in zip(keys, found_by[nearest.oid], strict=True) if found is None]
    given = {found.name for found in found_by[nearest.oid] if found}
    missing = [one.name or "(unnamed)" for one in nearest.inputs if one.required and one.name not in given]
    if unknown:
        return f"mixes names of parameters with others ({_shown(unknown)})"
    if len(given) < len(keys):
        return "names a parameter twice"
    return f"lacks {', '.join(missing)}"


def _shown(labels: Sequence[str]) -> str:
    """Return the first of the client's labels, and the number of further ones."""
    shown = ", ".join(repr(label[:_SHOWN_LETTERS]) for label in labels[:_SHOWN_LABELS])
    more = len(labels) - _SHOWN_LABELS
    return f"{shown} and {more} more" if more > 0 else shown


class Prober(Protocol):
    """A session that can have the server parse a statement without running it."""

    def parameter_types(self, statement: Query) -> tuple[int, ...]:
        """Return the types that the server infers for the statement's parameters.

        :raises ServerRefused: it cannot infer them
        """


def choose(bindings: Sequence[Binding], values: Sequence[JsonValue], prober: Prober) -> Binding:
    """Return the one of *bindings* that the values fit.

    :raises Misfit: several fit equally well, or PostgreSQL finds none
    """
    if len(bindings) == 1:
        return bindings[0]
    suitable = [binding for binding in bindings if _suits(binding, values)] or list(bindings)
    if len(suitable) == 1:
        return suitable[0]
    types = _types_to_ask_with(suitable, values)
    try:
        resolved = prober.parameter_types(probe_statement(suitable[0], len(types), types))
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


def _types_to_ask_with(bindings: Sequence[Binding], values: Sequence[JsonValue]) -> list[int]:
    """Return a type for each value; beyond the maximum of PostgreSQL's arguments, each further type only once."""
    if len(values) <= MAX_ARGUMENTS:
        return [_type_to_ask_with(value) for value in values]
    first = max(binding.rest or 0 for binding in bindings)
    rest = values[first:]
    numbers = [value for value in rest if isinstance(value, int | JsonNumber)]
    types = natural_types(numbers) | ({UNKNOWN} if len(numbers) < len(rest) else set())
    return [*map(_type_to_ask_with, values[:first]), *sorted(types)]


def _type_to_ask_with(value: JsonValue) -> int:
    """Return the type of a number or boolean; a string may be of any type, like a quoted literal in SQL."""
    if isinstance(value, bool | int | JsonNumber):
        return natural_type(value) or UNKNOWN
    return UNKNOWN


def _agreement(binding: Binding, asked: Sequence[int], resolved: Sequence[int]) -> tuple[int, int]:
    """Return how well a signature matches the types that PostgreSQL inferred; negative if it cannot be the chosen one.

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
            of_each_class = dict(zip(map(type, rest), rest, strict=True)).values()
            kinds = kinds[:-1] + [element] * len(of_each_class)
            values = [*values[: binding.rest], *of_each_class]
    return all(_could_be(value, kind) for value, kind in zip(values, kinds, strict=True))


def _could_be(value: JsonValue, kind: ValueType) -> bool:
    """Return whether a JSON value may be meant for a type. A string may be meant for any."""
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

"""From a routine and the values given to it, to the one statement that makes the call.

First by number and names of the values, then by what JSON can be, and then by PostgreSQL itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from gateway.errors import InvalidRequest
from gateway.functions.json_values import JsonNumber, JsonValue
from gateway.functions.protocol import ServerRefused
from gateway.functions.signatures import Binding, Parameter, Routine, Signature
from gateway.functions.statements import Query, call_statement, probe_statement
from gateway.functions.values import (
    BOOLEAN,
    FIRST_USER_OID,
    POLYMORPHIC,
    UNKNOWN,
    Encoder,
    Form,
    ValueType,
    builtin_type,
    common_type,
    concrete_type,
    encoder_of,
    natural_type,
    natural_types,
    shape_of,
)

PREFIX = "p_"  #: that a parameter's name may have and the client's key may lack, or the other way round

_NUMBERS: Final = frozenset({20, 21, 23, 26, 700, 701, 790, 1700})  #: the integers, oid, real, double, money, numeric
_WIDENING: Final = (21, 23, 20, 1700, 700, 701)  #: a number is taken implicitly for what comes later in this row
_IMPOSSIBLE: Final = (-1, -1)
_AMBIGUOUS: Final = "42725"
_UNDEFINED: Final = "42883"
MAX_ARGUMENTS: Final = 100  #: PostgreSQL's FUNC_MAX_ARGS; only a VARIADIC parameter takes more values
MAX_LABELS: Final = 6500  #: characters of all labels of a plan that is remembered: of 100 parameters with long names
_SHOWN_LABELS: Final = 5  #: in an error's message
_SHOWN_LETTERS: Final = 63
Params: TypeAlias = list[JsonValue] | dict[str, JsonValue]


class Misfit(Exception):
    """The values fit no signature, or several. The answer lists them, but only the server can print them."""

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
        """*before* and *after* are the message's words around the list of *candidates*.

        :param choose: the candidates are a fact of the answer too
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
    """Every signature that the number and the names of *params* fit.

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
    """What can ask the server to understand a statement without running it."""

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
            of_each_class = dict(zip(map(type, rest), rest, strict=True)).values()
            kinds = kinds[:-1] + [element] * len(of_each_class)
            values = [*values[: binding.rest], *of_each_class]
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallPlan:
    """How a routine is called with values of one shape."""

    signature: Signature
    statement: Query
    encoders: tuple[Encoder, ...]
    rest: int | None  #: from which value on they go into the array of a VARIADIC parameter
    outputs: tuple[None, ...]  #: for a procedure's OUT parameters

    def encode(self, params: Params) -> list[bytes | None]:
        """Return the values as the protocol sends them.

        :raises GatewayError: a value cannot be sent at all; PostgreSQL checks whether it fits its type
        """
        values = params if isinstance(params, list) else list(params.values())
        if self.rest is not None:
            values = _folded(values, self.rest)
        return [encode(value) for encode, value in zip(self.encoders, values, strict=True)] + [*self.outputs]


def known_plan(routine: Routine, params: Params) -> CallPlan | None:
    """Return the cached plan for values of this shape."""
    if not _may_be_remembered(params):
        return None
    plan: CallPlan | None = routine.plans.get(_shape(routine, params))
    return plan


def plan_call(routine: Routine, params: Params, prober: Prober, *, max_row_bytes: int) -> CallPlan:
    """Make the plan for values of this shape, and remember it with the routine.

    :param prober: asks PostgreSQL where several functions of the name fit
    :raises Misfit: no function of the name takes these values, or more than one would
    """
    values = params if isinstance(params, list) else list(params.values())
    binding = choose(bind(routine, params), values, prober)
    plan = _make_plan(routine, binding, values, max_row_bytes)
    if _may_be_remembered(params):
        characters = 0 if isinstance(params, list) else sum(map(len, params))
        routine.plans.keep(_shape(routine, params), plan, characters=characters, values=len(params))
    return plan


def _may_be_remembered(params: Params) -> bool:
    """Whether the shape of the values is small enough; clients choose their number and labels freely."""
    return len(params) <= MAX_ARGUMENTS and (isinstance(params, list) or sum(map(len, params)) <= MAX_LABELS)


def _shape(routine: Routine, params: Params) -> object:
    """Return the cache key of a call: calls with the same key have the same plan."""
    outline = len(params) if isinstance(params, list) else tuple(params)
    if not routine.depends_on_values:
        return outline
    values = params if isinstance(params, list) else params.values()
    return outline, tuple(map(shape_of, values))


def _make_plan(routine: Routine, binding: Binding, values: list[JsonValue], max_row_bytes: int) -> CallPlan:
    given = values if binding.rest is None else _folded(values, binding.rest)
    kinds = _value_types(binding, given)
    statement = call_statement(binding, [kind.oid for kind in kinds], routine, max_row_bytes=max_row_bytes)
    statement = routine.plans.shared((statement.sql, statement.types), statement, size=len(statement.sql))
    encoder_for = {kind.oid: encoder_of(kind) for kind in kinds}
    encoders = [encoder_for[kind.oid] for kind in kinds]
    if binding.named and binding.signature.variadic and binding.signature.inputs[-1] in binding.inputs:
        last = binding.inputs.index(binding.signature.inputs[-1])
        encoders[last] = _in_list(encoders[last])
    return CallPlan(
        signature=binding.signature,
        statement=statement,
        encoders=tuple(encoders),
        rest=binding.rest,
        outputs=(None,) * sum(parameter.output for parameter in binding.signature.parameters),
    )


def _folded(values: list[JsonValue], rest: int) -> list[JsonValue]:
    """Put the values from *rest* on into one list; a single list there is that list itself."""
    last = values[rest:]
    return [*values[:rest], last[0] if len(last) == 1 and isinstance(last[0], list) else last]


def _in_list(encode: Encoder) -> Encoder:
    return lambda value: encode(value if isinstance(value, list) or value is None else [value])


def _value_types(binding: Binding, values: Sequence[JsonValue]) -> list[ValueType]:
    """Return the type of each value: the declared one, or for a polymorphic parameter one inferred from the values."""
    declared = [parameter.type for parameter in binding.inputs]
    common = common_type(natural_type(value) for oid, value in zip(declared, values, strict=True) if oid in POLYMORPHIC)
    return [
        builtin_type(concrete_type(oid, value, common)) if oid in POLYMORPHIC else binding.signature.types[oid]
        for oid, value in zip(declared, values, strict=True)
    ]

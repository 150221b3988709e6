"""The plan of a call: its statement and the encoders of its values. Kept with the routine, by the shape of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.functions.json_values import JsonValue
from gateway.functions.resolution import MAX_ARGUMENTS, Params, Prober, bind, choose
from gateway.functions.signatures import Binding, Routine, Signature
from gateway.functions.statements import Query, call_statement
from gateway.functions.value_types import (
    POLYMORPHIC,
    ValueType,
    builtin_type,
    common_type,
    concrete_type,
    natural_type,
    shape_of,
)
from gateway.functions.values import Encoder, encoder_of

MAX_LABELS: Final = 6500  #: characters of all labels of a plan that is remembered: of 100 parameters with long names


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallPlan:
    """The plan of calls of a routine with values of one shape."""

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
        encoded = [encode(value) for encode, value in zip(self.encoders, values, strict=True)]
        return [*encoded, *self.outputs] if self.outputs else encoded


def known_plan(routine: Routine, params: Params) -> CallPlan | None:
    """Return the cached plan for values of this shape."""
    if isinstance(params, list) and not routine.depends_on_values:
        found: CallPlan | None = routine.plans.get(len(params))  # none is kept for too many
        return found
    if not _may_be_remembered(params):
        return None
    plan: CallPlan | None = routine.plans.get(_shape(routine, params))
    return plan


def plan_call(routine: Routine, params: Params, prober: Prober, *, max_row_bytes: int) -> CallPlan:
    """Return a new plan for values of this shape, and cache it with the routine.

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
    """Return whether the shape of the values is small enough to be cached; clients choose their number and labels."""
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
    """Return the values with those from *rest* on in one list; a single list there is used itself."""
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

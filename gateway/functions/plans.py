"""From a routine and the values given to it, to the one statement that makes the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.functions.arguments import Binding, bind
from gateway.functions.json_values import JsonValue
from gateway.functions.literals import Encoder, encoder_of
from gateway.functions.overloads import Prober, choose
from gateway.functions.polymorphism import POLYMORPHIC, common_type, concrete_type, natural_type, shape_of
from gateway.functions.signatures import Routine, Signature
from gateway.functions.statements import Statement, call_statement
from gateway.functions.value_types import ValueType, builtin_type

MAX_PLANS: Final = 200  #: remembered per routine; clients choose the labels of their values freely

Params: TypeAlias = list[JsonValue] | dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """How a routine is called with values of one shape."""

    signature: Signature
    statement: Statement
    encoders: tuple[Encoder, ...]
    rest: int | None  #: from which value on they go into the array of a VARIADIC parameter
    outputs: tuple[None, ...]  #: for a procedure's OUT parameters

    def encode(self, params: Params) -> list[bytes | None]:
        """The values as the protocol takes them.

        :raises GatewayError: a value cannot be sent at all; whether it fits its type is for PostgreSQL to say
        """
        values = params if isinstance(params, list) else list(params.values())
        if self.rest is not None:
            values = _folded(values, self.rest)
        return [encode(value) for encode, value in zip(self.encoders, values, strict=True)] + [*self.outputs]


def plan_call(routine: Routine, params: Params, prober: Prober, *, max_row_bytes: int) -> Plan:
    """The plan for values of this shape, remembered with the routine.

    :param prober: asks PostgreSQL where several functions of the name fit
    :raises Misfit: no function of the name takes these values, or more than one would
    """
    shape = _shape(routine, params)
    plan: Plan | None = routine.plans.get(shape)
    if plan is None:
        values = params if isinstance(params, list) else list(params.values())
        binding = choose(bind(routine, params), values, prober)
        plan = _make_plan(routine, binding, values, max_row_bytes)
        if len(routine.plans) >= MAX_PLANS:
            routine.plans.clear()
            routine.statements.clear()
        routine.plans[shape] = plan
    return plan


def _shape(routine: Routine, params: Params) -> object:
    """What two calls must have in common to be planned alike."""
    outline = len(params) if isinstance(params, list) else tuple(params)
    if not routine.depends_on_values:
        return outline
    values = params if isinstance(params, list) else params.values()
    return outline, tuple(map(shape_of, values))


def _make_plan(routine: Routine, binding: Binding, values: list[JsonValue], max_row_bytes: int) -> Plan:
    given = values if binding.rest is None else _folded(values, binding.rest)
    kinds = _value_types(binding, given)
    statement = call_statement(binding, [kind.oid for kind in kinds], routine, max_row_bytes=max_row_bytes)
    statement = routine.statements.setdefault((statement.sql, statement.types), statement)
    encoders = [encoder_of(kind) for kind in kinds]
    if binding.named and binding.signature.variadic and binding.signature.inputs[-1] in binding.inputs:
        last = binding.inputs.index(binding.signature.inputs[-1])
        encoders[last] = _in_list(encoders[last])
    return Plan(
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
    """The type of each value: the declared one, or for a polymorphic parameter one chosen from the values."""
    declared = [parameter.type for parameter in binding.inputs]
    common = common_type(natural_type(value) for oid, value in zip(declared, values, strict=True) if oid in POLYMORPHIC)
    return [
        builtin_type(concrete_type(oid, value, common)) if oid in POLYMORPHIC else binding.signature.types[oid]
        for oid, value in zip(declared, values, strict=True)
    ]

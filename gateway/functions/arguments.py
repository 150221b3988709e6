"""Which of a function's parameters the given values are for: by name, or in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import InvalidRequest
from gateway.functions.json_values import JsonValue
from gateway.functions.signatures import Parameter, Routine, Signature

PREFIX = "p_"  #: that a parameter's name may have and the client's key may lack, or the other way round


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Values given to a signature: the n-th value is for the n-th of ``inputs``.

    ``rest`` is the index of the first value that goes, with all after it, into the array of a VARIADIC parameter,
    which is then the last of ``inputs``.
    """

    signature: Signature
    inputs: tuple[Parameter, ...]
    named: bool
    rest: int | None = None


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
        """The answer, with the candidates as they are *printed*."""
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
        if any(_parameter_of(one, key) for one in routine.candidates for key in params):
            raise Misfit(
                f"params {_name_problem(routine, tuple(params))}; ",
                routine.candidates,
                fields={"params": "does not fit"},
            )
    in_order = [binding for one in routine.candidates if (binding := _in_order(one, len(params)))]
    if not in_order:
        raise Misfit(
            f"params has {len(params)} values, which does not fit ",
            routine.candidates,
            fields={"params": "has too many or too few values"},
        )
    return in_order


def ambiguous(bindings: Sequence[Binding], cause: str | None = None) -> Misfit:
    """The error for a call that fits several signatures equally well."""
    return Misfit(
        "the call could mean ",
        [binding.signature for binding in bindings],
        ": name the parameters, or give values that tell the functions apart",
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
    found = [_parameter_of(signature, key) for key in keys]
    inputs = tuple(parameter for parameter in found if parameter is not None)
    given = {parameter.name for parameter in inputs}
    if len(inputs) < len(keys) or len(given) < len(keys):
        return None
    if any(parameter.required and parameter.name not in given for parameter in signature.inputs):
        return None
    return Binding(signature=signature, inputs=inputs, named=True)


def _parameter_of(signature: Signature, key: str) -> Parameter | None:
    """The parameter that a key names: exactly, else with the prefix on one side only, else in lower case."""
    by_name = {parameter.name: parameter for parameter in signature.inputs if parameter.name}
    lowered = key.lower()
    for name in (key, PREFIX + key, key.removeprefix(PREFIX), lowered, PREFIX + lowered, lowered.removeprefix(PREFIX)):
        if name in by_name:
            return by_name[name]
    return None


def _name_problem(routine: Routine, keys: tuple[str, ...]) -> str:
    """What keeps *keys* from being the names of parameters, of the candidate that comes nearest."""
    nearest = max(routine.candidates, key=lambda one: sum(_parameter_of(one, key) is not None for key in keys))
    unknown = [key for key in keys if _parameter_of(nearest, key) is None]
    given = {found.name for key in keys if (found := _parameter_of(nearest, key))}
    missing = [one.name or "(unnamed)" for one in nearest.inputs if one.required and one.name not in given]
    if unknown:
        return f"mixes names of parameters with others ({', '.join(map(repr, unknown))})"
    if len(given) < len(keys):
        return "names a parameter twice"
    return f"lacks {', '.join(missing)}"

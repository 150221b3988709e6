"""The cost of a call's values before they are sent is proportional to their size, for every shape."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.errors import FunctionNotFound, GatewayError, InvalidRequest
from gateway.functions import values
from gateway.functions.call_plans import plan_call
from gateway.functions.json_values import parse_json
from gateway.functions.resolution import MAX_ARGUMENTS, Misfit
from gateway.functions.signature_cache import SignatureCache
from gateway.functions.signatures import Parameter, Routine, Signature
from gateway.functions.statements import _known_text_of
from gateway.functions.value_types import INTEGER, POLYMORPHIC, builtin_type, read_types
from gateway.functions.values import encoder_of

INTEGERS, TEXTS, ANY_ARRAY, NUMBERS, TEXT, JSONB = 1007, 1009, 2277, 1231, 25, 3802


def routine(*signatures: tuple[int, ...], variadic: bool = False) -> Routine:
    """A routine with a candidate for each of *signatures*, which are oids of types."""
    candidates = tuple(
        Signature(
            oid=number,
            schema="public",
            name="f",
            is_procedure=False,
            returns_set=False,
            returns_void=False,
            returns_unknown_record=False,
            variadic=variadic,
            parameters=tuple(Parameter(name=f"p_{at}", type=oid, required=True) for at, oid in enumerate(oids)),
            statement_timeout=None,
            types={oid: builtin_type(oid) for oid in oids},
        )
        for number, oids in enumerate(signatures)
    )
    return Routine(
        candidates=candidates,
        same_name=tuple(range(len(candidates))),
        dblink=None,
        depends_on_values=len(candidates) > 1 or any(not POLYMORPHIC.isdisjoint(oids) for oids in signatures),
    )


class AgreesWithEverything:
    """A server that accepts the given types."""

    def __init__(self) -> None:
        self.most = 0

    def parameter_types(self, statement) -> tuple[int, ...]:
        self.most = max(self.most, len(statement.types))
        return statement.types


def steps_of(action: Callable[[], object]) -> int:
    """How many calls of functions, Python's own included, an action takes."""
    count = 0

    def counting(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counting)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def in_list(item: str, around: str = "{}") -> Callable[[int], str]:
    return lambda count: around.format("[" + ",".join([item] * count) + "]")


def labels(first: str = "") -> Callable[[int], str]:
    return lambda count: "{" + first + ",".join(f'"label {number}":{number}' for number in range(count)) + "}"


def everything(count: int) -> str:
    return "[" + ",".join(['null,1,"x",true,1.5,[2],{"a":1}'] * (count // 7)) + "]"


SHAPES = {
    "integers": in_list("1"),
    "texts": in_list('"a\\"b"'),
    "nulls": in_list("null"),
    "fractions": in_list("1.0"),
    "exponents": in_list("1e0"),
    "lists": in_list("[1]"),
    "objects": in_list("{}"),
    "everything": everything,
    "one list of integers": in_list("1", "[{}]"),
    "one list of fractions": in_list("1.5", "[{}]"),
    "one list of lists": in_list('["x"]', "[{}]"),
    "labels": labels(),
    "labels and a name": labels('"p_0":1,'),
    "digits": lambda count: "[" + "1" * count + "]",
    "fraction": lambda count: "[1." + "0" * count + "]",
    "long label": lambda count: '{"' + "x" * count + '":1}',
    "backslashes": lambda count: '["' + "\\\\" * count + '"]',
}
ROUTINES = {
    "integers": lambda: routine((INTEGERS,), variadic=True),
    "any": lambda: routine((ANY_ARRAY,), variadic=True),
    "overloaded": lambda: routine((INTEGERS,), (TEXTS,), (TEXT, NUMBERS), variadic=True),
    "plain": lambda: routine((INTEGERS,), (JSONB,), (TEXT, TEXT)),
}


@pytest.mark.parametrize("kind", ROUTINES)
@pytest.mark.parametrize("shape", SHAPES)
def test_twice_as_much_costs_at_most_twice_as_much(shape, kind):
    def cost(count: int) -> int:
        body, prober = SHAPES[shape](count).encode(), AgreesWithEverything()

        def call() -> None:
            params = parse_json(body)
            with suppress(Misfit, GatewayError):
                plan_call(ROUTINES[kind](), params, prober, max_row_bytes=1000).encode(params)

        steps = steps_of(call)
        assert prober.most <= MAX_ARGUMENTS + 10
        assert steps < 500 + 40 * count
        return steps

    fixed = cost(7 * MAX_ARGUMENTS)
    for factor in (2, 4, 8):
        assert cost(factor * 7 * MAX_ARGUMENTS) <= 1.1 * factor * fixed


@pytest.mark.parametrize("letter", ["x", "É", "名", "."])
def test_a_name_that_is_too_long_is_refused_before_anything_is_done_with_it(letter):
    cache = SignatureCache(schemas=("public",))
    name = letter * 1_000_000

    def find() -> None:
        with pytest.raises(FunctionNotFound) as refused:
            cache.find("db", name)
        assert len(str(refused.value.facts) + refused.value.message) < 1000

    assert steps_of(find) < 1000


def test_many_values_and_long_labels_are_not_remembered():
    asked, prober = routine((ANY_ARRAY,), variadic=True), AgreesWithEverything()
    for params in ([1] * (MAX_ARGUMENTS + 1), {"x" * 7000: 1}, {f"label {number}": 1 for number in range(200)}):
        plan_call(asked, params, prober, max_row_bytes=1000)
    assert not len(asked.plans)
    plan_call(asked, {"a label": 1}, prober, max_row_bytes=1000)
    assert len(asked.plans) == 1


def test_an_error_shows_few_of_many_labels():
    with pytest.raises(Misfit) as misfit:
        params = {"p_0": 1} | {f"{number}" * 1000: 1 for number in range(1000)}
        plan_call(routine((TEXT, TEXT)), params, AgreesWithEverything(), max_row_bytes=1000)
    assert len(str(misfit.value)) < 1000


def test_types_that_are_made_of_each_other_are_read_once():
    """Of two fields each: without that, the type of the last row would be made of 2 ** 60 others."""
    first, levels = 20_000, 60
    rows = [
        {"oid": first + level, "base": 0, "element": None, "delimiter": ",", "fields": fields_of(first + level - 1)}
        for level in range(1, levels)
    ]
    rows.append({"oid": first, "base": 0, "element": None, "delimiter": ",", "fields": []})
    last = first + levels - 1
    assert steps_of(lambda: read_types([last], lambda _: rows)) < 100 * levels
    assert read_types([last], lambda _: rows)[last].fields[1][0] == "b"


def fields_of(oid: int) -> list[dict[str, object]]:
    return [{"name": name, "type": oid} for name in ("a", "b")]


class HasFunctions:
    """A server with every function that it is asked for, each with *parameters* of long names and defaults."""

    def __init__(self, parameters: int) -> None:
        self.names = [f"p{number}_".ljust(63, "x") for number in range(parameters)]

    def ask_rows(self, _: bytes, values) -> list[dict[str, object]]:
        (name,) = (name.strip('"') for name in values[0].decode().strip("{}").split(",") if "dblink" not in name)
        row = dict.fromkeys(("variadic", "return_type"), 0) | dict.fromkeys(("in_extension", "returns_set"), False)
        names = [name.encode().decode() for name in self.names]  # as they come from a server, of each function anew
        counts = {"default_count": len(names), "types": [TEXT] * len(names), "modes": None, "names": names}
        return [row | counts | {"oid": 1, "schema": "public", "name": name, "kind": "f", "settings": None}]

    def ask(self, *_: object) -> list[bytes]:
        raise AssertionError("all types are built in")


@pytest.mark.parametrize(("functions", "parameters", "labels_each"), [(500, 1, 1), (50, 90, 1), (3, 90, 25)])
def test_what_is_remembered_of_functions_is_bounded_in_bytes(functions, parameters, labels_each):
    """Many functions, functions with long signatures, and many ways of calling a function."""
    cache, server, prober = SignatureCache(schemas=("public",), max_bytes=2**18), HasFunctions(parameters), object()

    def call(name: str, params: dict[str, object]) -> None:
        routine = cache.find("db", name) or cache.read(server, "db", name)
        plan_call(routine, params, prober, max_row_bytes=1000)
        cache.weigh("db", name)

    call("first", {})
    tracemalloc.start()
    try:
        for number in range(functions):
            for left_out in range(labels_each):
                names = (each for at, each in enumerate(server.names) if not (at < 9 and left_out >> at & 1))
                call(f"f{number}", {each.encode().decode(): 1 for each in names})
        _known_text_of.cache_clear()  # which has a limit of its own
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 * 2**18
    assert cache.find("db", "f0") is None
    assert cache.find("db", f"f{functions - 1}") is not None


def test_objects_cost_what_they_have_and_not_what_their_type_has(monkeypatch):
    wide = row_type(20_000, {f"f{number}": INTEGER for number in range(1600)})
    array = {"oid": 20_001, "base": 0, "element": 20_000, "delimiter": ",", "fields": None}
    encode = encoder_of(read_types([20_001], lambda _: [wide, array])[20_001])
    count = 1000
    assert steps_of(lambda: encode([{"f7": 1}] * count)) < 40 * count
    monkeypatch.setattr(values, "MAX_CHARACTERS", 2**16)
    with pytest.raises(InvalidRequest, match="characters as PostgreSQL reads it"):
        encode([{}] * (2**16 // 1600 + 1))


def test_nested_quotes_do_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(values, "MAX_CHARACTERS", 2**16)
    rows = [row_type(20_000, {"a": TEXT}), *(row_type(20_000 + level, {"a": 19_999 + level}) for level in range(1, 40))]
    encode = encoder_of(read_types([20_039], lambda _: rows)[20_039])
    value: dict[str, object] = {"a": '"'}
    for _ in range(39):
        value = {"a": value}
    with pytest.raises(InvalidRequest, match="characters as PostgreSQL reads it"):
        encode(value)


def row_type(oid: int, fields: dict[str, int]) -> dict[str, object]:
    parts = [{"name": name, "type": of_field} for name, of_field in fields.items()]
    return {"oid": oid, "base": 0, "element": None, "delimiter": ",", "fields": parts}

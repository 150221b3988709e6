"""The SQL of a call. Names are quoted by psycopg, values are parameters, and PostgreSQL renders each row as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from gateway.functions.arguments import Binding
from gateway.functions.failures import CHANGED
from gateway.functions.json_values import dump_json
from gateway.functions.signatures import Routine, Signature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statement:
    """SQL and the types of its parameters. Two are the same only if they are one object: it is prepared once."""

    sql: bytes
    types: tuple[int, ...]
    many_rows: bool = False  #: it may give more than one row


# A row over the limit comes back as NULL, so that it is never built into the protocol's message. The condition has no
# row to look at, and so PostgreSQL checks it once, before it runs the function: if the name does not mean any more what
# it meant when the signature was read, a setting is asked for that does not exist, and whose name in the error says so.
_CALL: Final = sql.SQL(
    "SELECT CASE WHEN pg_catalog.octet_length(j) <= {limit} THEN j END "
    "FROM (SELECT {rendered} AS j FROM {source} OFFSET 0) AS s "
    "WHERE CASE WHEN {unchanged} THEN '' ELSE pg_catalog.current_setting({changed}) END = ''"
)
# Both sides of every comparison are of one type: for others, a new backend would read all operators called "=".
_ONE_OF_ITS_NAME: Final = sql.SQL(
    "pg_catalog.to_regproc({name})::pg_catalog.oid IS NOT DISTINCT FROM {oid}::pg_catalog.oid"
)
_ONE_OF_SEVERAL: Final = sql.SQL(
    "ARRAY(SELECT q.oid FROM pg_catalog.pg_proc q WHERE q.proname = {name}"
    " AND q.pronamespace = pg_catalog.to_regnamespace({schema})::pg_catalog.oid"
    " ORDER BY q.oid) = {oids}::pg_catalog.oid[]"
)


def call_statement(binding: Binding, types: Sequence[int], routine: Routine, *, max_row_bytes: int) -> Statement:
    """The statement that calls a function with the values of *binding*, whose types are *types*."""
    signature = binding.signature
    call = _invocation(binding)
    if signature.is_procedure:
        outputs = [parameter.type for parameter in signature.parameters if parameter.output]
        return Statement(sql=sql.SQL("CALL {}").format(call).as_bytes(None), types=(*types, *outputs))
    if signature.returns_void:
        rendered: sql.Composable = sql.Literal(dump_json({signature.name: None}).decode())
        source = call
    elif signature.returns_unknown_record:
        rendered = sql.SQL("pg_catalog.row_to_json(v)::pg_catalog.text")
        source = sql.SQL("(SELECT {} AS v OFFSET 0) AS r").format(call)
    else:
        rendered = sql.SQL("pg_catalog.row_to_json(r)::pg_catalog.text")
        source = sql.SQL("(SELECT * FROM {}) AS r").format(call)
    composed = _CALL.format(
        limit=sql.Literal(max_row_bytes),
        rendered=rendered,
        source=source,
        unchanged=_unchanged(signature, routine),
        changed=sql.Literal(CHANGED),
    )
    return Statement(sql=composed.as_bytes(None), types=tuple(types), many_rows=signature.returns_set)


def probe_statement(binding: Binding, count: int, types: Sequence[int]) -> Statement:
    """A statement never run, only understood: it leaves the choice among the functions of one name to PostgreSQL."""
    signature = binding.signature
    names = [parameter.name for parameter in binding.inputs] if binding.named else [""] * count
    arguments = sql.SQL(", ").join(_argument(name, number) for number, name in enumerate(names, 1))
    verb = sql.SQL("CALL {}({})" if signature.is_procedure else "SELECT {}({})")
    composed = verb.format(sql.Identifier(signature.schema, signature.name), arguments)
    return Statement(sql=composed.as_bytes(None), types=tuple(types))


def render_statement(names: Iterable[str], types: Sequence[int]) -> Statement:
    """A statement that makes one JSON row of values that a procedure gave back."""
    columns = sql.SQL(", ").join(
        sql.SQL("${} AS {}").format(sql.Literal(number), sql.Identifier(name)) for number, name in enumerate(names, 1)
    )
    composed = sql.SQL("SELECT pg_catalog.row_to_json(r)::pg_catalog.text FROM (SELECT {}) AS r").format(columns)
    return Statement(sql=composed.as_bytes(None), types=tuple(types))


def _invocation(binding: Binding) -> sql.Composed:
    signature = binding.signature
    name = sql.Identifier(signature.schema, signature.name)
    return sql.SQL("{}({})").format(name, sql.SQL(", ").join(_arguments(binding)))


def _arguments(binding: Binding) -> Iterable[sql.Composable]:
    """Values by name or in order. A procedure's OUT parameters are given too, as NULL, after the values."""
    signature = binding.signature
    numbers = {id(parameter): number for number, parameter in enumerate(binding.inputs, 1)}
    outputs = [parameter for parameter in signature.parameters if parameter.output]
    numbers |= {id(parameter): number for number, parameter in enumerate(outputs, len(binding.inputs) + 1)}
    used = [parameter for parameter in signature.parameters if id(parameter) in numbers]
    # What follows an omitted parameter must be named, and among the OUT ones of a procedure something may be omitted.
    named = binding.named or (bool(outputs) and all(parameter.name for parameter in used))
    for parameter in used:
        written = _argument(parameter.name if named else "", numbers[id(parameter)])
        is_rest = signature.variadic and parameter is signature.inputs[-1]
        yield sql.SQL("VARIADIC {}").format(written) if is_rest else written


def _argument(name: str, number: int) -> sql.Composable:
    value = sql.SQL("${}").format(sql.Literal(number))
    return sql.SQL("{} => {}").format(sql.Identifier(name), value) if name else value


def _unchanged(signature: Signature, routine: Routine) -> sql.Composed:
    """The condition that the name still means what it meant when the signature was read."""
    if routine.same_name == (signature.oid,):
        name = sql.Identifier(signature.schema, signature.name).as_string(None)
        return _ONE_OF_ITS_NAME.format(name=sql.Literal(name), oid=sql.Literal(str(signature.oid)))
    return _ONE_OF_SEVERAL.format(
        name=sql.Literal(signature.name),
        schema=sql.Literal(sql.Identifier(signature.schema).as_string(None)),
        oids=sql.Literal("{" + ",".join(map(str, routine.same_name)) + "}"),
    )

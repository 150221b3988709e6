"""The SQL of a call. Names are quoted by psycopg, values are parameters, and PostgreSQL renders each row as JSON.

psycopg's composing takes longer than a call, so the text is composed once for all databases that have the function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from psycopg import sql
from psycopg.pq import Format

from gateway.functions.json_values import dump_json
from gateway.functions.refusals import CHANGED
from gateway.functions.signatures import Binding, Routine

_REMEMBERED_ARGUMENTS: Final = 16  #: of a call whose text is remembered for other databases; a text has some 2 kB then


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """SQL and the types of its parameters. Two are the same only if they are one object: it is prepared once."""

    sql: bytes
    types: tuple[int, ...]
    many_rows: bool = False  #: it may return more than one row
    result_format: Format = Format.TEXT


# No name of a schema can be mistaken for one of these: a whole row is written as ``r.*``, which means the relation and
# never a column; every other name is the only one that is visible where it stands; and operators are functions, or have
# their schema, because a bare one is looked up along the search_path. The row is returned as UTF-8 in a bytea, also if
# the function has changed client_encoding.
#
# Of a row over the limit, one byte more than the limit is sent. The condition depends on no row, and so PostgreSQL
# checks it once, before it runs the function: if the name does not mean any more what it meant when the signature was
# read, a setting that does not exist is read, whose name in the error identifies this case.
_CALL: Final = sql.SQL(
    "SELECT pg_catalog.substr(pg_catalog.convert_to({rendered}, 'UTF8'), 1, {limit}) "
    "FROM {source}, {planning} "
    "WHERE CASE WHEN {unchanged} THEN true ELSE pg_catalog.current_setting({changed})::pg_catalog.bool END"
)
#: Relations without a column, which the planner removes. PostgreSQL plans a prepared statement for each call where
#: it estimates that this saves more than planning costs, which it takes to be 2.5 units of cost for each relation: with
#: two or three of them, far less than planning does cost. See decision 140.
_PLANNING: Final = sql.SQL(", ".join(f"(SELECT) AS planning_{number}" for number in range(8)))
_ONE_OF_ITS_NAME: Final = sql.SQL(
    "pg_catalog.oideq(pg_catalog.to_regproc({name})::pg_catalog.oid, '{oids}'::pg_catalog.oid)"
)
_ONE_OF_SEVERAL: Final = sql.SQL(
    "pg_catalog.array_eq(ARRAY(SELECT q.oid FROM pg_catalog.pg_proc AS q"
    " WHERE q.proname OPERATOR(pg_catalog.=) {name}"
    " AND pg_catalog.oideq(q.pronamespace, pg_catalog.to_regnamespace({schema})::pg_catalog.oid)"
    " ORDER BY q.oid USING OPERATOR(pg_catalog.<)), '{{{oids}}}'::pg_catalog.oid[])"
)
_RENDERED: Final = b"pg_catalog.convert_to(pg_catalog.to_json($%d)::pg_catalog.text, 'UTF8')"
_OIDS: Final = sql.SQL("\0")  #: stands for the oids, which are no part of what databases share


@dataclass(frozen=True, slots=True)
class _Argument:
    name: str  #: empty if it is passed by position
    number: int  #: of the value
    is_rest: bool  #: the array of a VARIADIC parameter

    def as_sql(self) -> sql.Composable:
        value = sql.SQL("${}").format(sql.Literal(self.number))
        if self.name:
            value = sql.SQL("{} => {}").format(sql.Identifier(self.name), value)
        return sql.SQL("VARIADIC {}").format(value) if self.is_rest else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What the text of a call depends on, without the oids: the same in the databases of many tenants."""

    schema: str
    name: str
    arguments: tuple[_Argument, ...]
    is_procedure: bool
    returns_void: bool
    returns_unknown_record: bool
    is_one_of_several: bool
    max_row_bytes: int


def call_statement(binding: Binding, types: Sequence[int], routine: Routine, *, max_row_bytes: int) -> Query:
    """Return the statement that calls a function with the values of *binding*, whose types are *types*."""
    signature = binding.signature
    outputs = [parameter.type for parameter in signature.parameters if parameter.output]
    text = _text_of(
        _Call(
            schema=signature.schema,
            name=signature.name,
            arguments=tuple(_arguments(binding)),
            is_procedure=signature.is_procedure,
            returns_void=signature.returns_void,
            returns_unknown_record=signature.returns_unknown_record,
            is_one_of_several=routine.same_name != (signature.oid,),
            max_row_bytes=max_row_bytes,
        )
    )
    oids = ",".join(map(str, routine.same_name)).encode()
    return Query(
        sql=text.replace(b"\0", oids),
        types=(*types, *outputs),
        many_rows=signature.returns_set,
        result_format=Format.TEXT if signature.is_procedure else Format.BINARY,
    )


def _text_of(call: _Call) -> bytes:
    """Return the text of a call; that of a short one is remembered for the other databases of a platform."""
    return _known_text_of(call) if len(call.arguments) <= _REMEMBERED_ARGUMENTS else _compose(call)


@lru_cache(maxsize=1024)
def _known_text_of(call: _Call) -> bytes:
    return _compose(call)


def _compose(call: _Call) -> bytes:
    arguments = sql.SQL(", ").join(argument.as_sql() for argument in call.arguments)
    invocation = sql.SQL("{}({})").format(sql.Identifier(call.schema, call.name), arguments)
    if call.is_procedure:
        return sql.SQL("CALL {}").format(invocation).as_bytes(None)
    if call.returns_void:
        rendered: sql.Composable = sql.Literal(dump_json({call.name: None}).decode())
        source = invocation
    elif call.returns_unknown_record:
        rendered = sql.SQL("pg_catalog.row_to_json(r.v)::pg_catalog.text")
        source = sql.SQL("(SELECT {} AS v OFFSET 0) AS r").format(invocation)
    else:
        rendered = sql.SQL("pg_catalog.row_to_json(r.*)::pg_catalog.text")
        source = sql.SQL("(SELECT * FROM {}) AS r").format(invocation)
    composed = _CALL.format(
        limit=sql.Literal(call.max_row_bytes + 1),
        rendered=rendered,
        source=source,
        planning=_PLANNING,
        unchanged=_unchanged(call),
        changed=sql.Literal(CHANGED),
    )
    return composed.as_bytes(None)


def probe_statement(binding: Binding, count: int, types: Sequence[int]) -> Query:
    """Return a statement that is only prepared, so that PostgreSQL chooses among the functions of one name."""
    signature = binding.signature
    names = [parameter.name for parameter in binding.inputs] if binding.named else [""] * count
    arguments = sql.SQL(", ").join(_Argument(name, number, False).as_sql() for number, name in enumerate(names, 1))
    verb = sql.SQL("CALL {}({})" if signature.is_procedure else "SELECT {}({})")
    composed = verb.format(sql.Identifier(signature.schema, signature.name), arguments)
    return Query(sql=composed.as_bytes(None), types=tuple(types))


def render_statement(types: Sequence[int]) -> Query:
    """Return a statement that renders each output of a procedure as JSON. It has no names, and so no encoding."""
    rendered = (_RENDERED % number for number in range(1, len(types) + 1))
    return Query(sql=b"SELECT " + b", ".join(rendered), types=tuple(types), result_format=Format.BINARY)


def _arguments(binding: Binding) -> Iterable[_Argument]:
    """Return the arguments, by name or in order. A procedure's OUT parameters are passed as NULL, after the values."""
    signature = binding.signature
    numbers = {id(parameter): number for number, parameter in enumerate(binding.inputs, 1)}
    outputs = [parameter for parameter in signature.parameters if parameter.output]
    numbers |= {id(parameter): number for number, parameter in enumerate(outputs, len(binding.inputs) + 1)}
    used = [parameter for parameter in signature.parameters if id(parameter) in numbers]
    # What follows an omitted parameter must be named, and among the OUT ones of a procedure something may be omitted.
    named = binding.named or (bool(outputs) and all(parameter.name for parameter in used))
    for parameter in used:
        is_rest = signature.variadic and parameter is signature.inputs[-1]
        yield _Argument(parameter.name if named else "", numbers[id(parameter)], is_rest)


def _unchanged(call: _Call) -> sql.Composed:
    """Return the condition that the name still resolves to the function of the cached signature."""
    if call.is_one_of_several:
        schema = sql.Identifier(call.schema).as_string(None)
        return _ONE_OF_SEVERAL.format(name=sql.Literal(call.name), schema=sql.Literal(schema), oids=_OIDS)
    name = sql.Identifier(call.schema, call.name).as_string(None)
    return _ONE_OF_ITS_NAME.format(name=sql.Literal(name), oids=_OIDS)

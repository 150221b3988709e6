"""The signatures of the functions and procedures of a database that may be called, from ``pg_proc``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar

from gateway.functions.value_types import POLYMORPHIC, ValueType, oid_array, parse_rows, read_types
from gateway.naming import RESERVED_PREFIX
from migrations_engine.queries import load_queries

MAX_PLANS: Final = 200  #: and as many statements per routine; clients choose the labels of their values freely

VOID: Final = 2278
RECORD: Final = 2249
#: The pseudo-types that no client can send and no row can contain: cstring and its array, record[], "any", trigger and
#: event_trigger, internal, unknown, pg_ddl_command, and the handlers of languages, wrappers, indexes, samples, tables.
NOT_FOR_CLIENTS: Final = frozenset({2275, 1263, 2287, 2276, 2279, 3838, 2281, 705, 32, 2280, 3115, 325, 3310, 269})

LONGEST_NAME: Final = 63  #: bytes; the type ``name`` would cut a longer one, and find another function
_ROUTINE_BYTES: Final = 2000  #: about what a routine takes in memory, without what follows
_SIGNATURE_BYTES: Final = 700
_PART_BYTES: Final = 200  #: of a parameter, a type, or a field of one, without its name
_PLAN_BYTES: Final = 900  #: without its statement and without what each value adds
_VALUE_BYTES: Final = 150
_OF_DBLINK: Final = "dblink_get_connections"  #: looked up with every name: the extension is installed
_QUERIES: Final = load_queries(__package__)
_INPUT_MODES: Final = frozenset("ibv")
_TIMEOUT: Final = "statement_timeout="
_OUTPUT_MODES: Final = frozenset("obt")

T = TypeVar("T")


class Asker(Protocol):
    """A session that can query the server."""

    def ask(self, sql: bytes, values: Sequence[bytes]) -> list[bytes]:
        """Return the first column of every row."""

    def ask_rows(self, sql: bytes, values: Sequence[bytes]) -> list[dict[str, Any]]:
        """Return every row, by the names of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. ``name`` is empty if it has none; ``output`` means a procedure's pure OUT."""

    name: str
    type: int
    required: bool
    output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One function or procedure that may be called."""

    oid: int
    schema: str
    name: str
    is_procedure: bool
    returns_set: bool
    returns_void: bool
    returns_unknown_record: bool  #: a record without declared columns
    variadic: bool  #: the last input takes the rest of the values as an array
    parameters: tuple[Parameter, ...]  #: inputs, and for a procedure its OUT parameters in between
    statement_timeout: str | None  #: that the function sets for itself
    types: Mapping[int, ValueType] = field(compare=False)  #: of the inputs; ``Routine.types`` stands for them

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if not parameter.output)


class Plans:
    """The plans of one routine by the shape of their values. All are forgotten when there are too many."""

    def __init__(self) -> None:
        # Changed by single operations only, which threads cannot see half done.
        self._by_shape: dict[Any, Any] = {}
        self._statements: dict[Any, Any] = {}
        self.size = 0  #: in bytes, about

    def __len__(self) -> int:
        """Return the number of plans."""
        return len(self._by_shape)

    def get(self, shape: object) -> Any:  # noqa: ANN401 - the plan that was kept
        """Return the plan for values of *shape*, or None."""
        return self._by_shape.get(shape)

    def shared(self, key: object, statement: T, *, size: int) -> T:
        """Return the statement that was kept under *key*, else keep *statement* and return it.

        :param size: of the statement, in bytes
        """
        if len(self._statements) >= MAX_PLANS:
            self._clear()
        if key not in self._statements:
            self.size += _PLAN_BYTES + size
        kept: T = self._statements.setdefault(key, statement)
        return kept

    def keep(self, shape: object, plan: object, *, characters: int, values: int) -> None:
        """Keep *plan*.

        :param characters: of the labels in *shape*
        :param values: how many it takes
        """
        if len(self._by_shape) >= MAX_PLANS:
            self._clear()
        self._by_shape[shape] = plan
        self.size += _PLAN_BYTES + characters + _VALUE_BYTES * values

    def _clear(self) -> None:
        self._by_shape.clear()
        self._statements.clear()
        self.size = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """The functions of one name in one schema; the arguments select one."""

    candidates: tuple[Signature, ...]
    same_name: tuple[int, ...]  #: oids of all that share the name, also of those that may not be called
    dblink: str | None  #: the schema of the database's extension dblink
    depends_on_values: bool  #: whether what is called, or with which types, depends on more than names and numbers
    types: bytes = b""  #: a checksum of the types that are not built in
    plans: Plans = field(default_factory=Plans, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Its approximate size in memory, in bytes, with its plans."""
        types = {id(kind): kind for one in self.candidates for kind in one.types.values()}
        parameters = sum(_PART_BYTES + len(each.name) for one in self.candidates for each in one.parameters)
        signatures = _SIGNATURE_BYTES * len(self.candidates) + parameters + _size_of_types(types)
        return _ROUTINE_BYTES + signatures + self.plans.size


def _size_of_types(types: dict[int, ValueType]) -> int:
    """Return the approximate size of types in bytes, with their parts, which are added to *types*, by identity."""
    size, left = 0, list(types.values())
    while left:
        kind = left.pop()
        size += _PART_BYTES + sum(_PART_BYTES + len(name) for name, _ in kind.fields)
        for part in (*(part for _, part in kind.fields), *([kind.element] if kind.element else [])):
            if id(part) not in types:
                types[id(part)] = part
                left.append(part)
    return size


def read_routine(asker: Asker, name: str, schemas: Sequence[str]) -> Routine | None:
    """Return the routine of *name*: as written, else folded as by PostgreSQL, else with its schema."""
    meanings = list(_meanings(name, schemas))
    try:
        names = _array_of(name for _, name in [*meanings, ("", _OF_DBLINK)] if len(name.encode()) <= LONGEST_NAME)
    except UnicodeEncodeError:
        return None
    rows = [] if b"\0" in names else asker.ask_rows(_QUERIES["routines"], [names])
    of_dblink = (_unquoted(row["schema"]) for row in rows if row["name"] == _OF_DBLINK and row["in_extension"])
    for schema, meant in meanings:
        same_name = [row for row in rows if _unquoted(row["schema"]) == schema and row["name"] == meant]
        if found := [row for row in same_name if _may_be_called(row)]:
            return _routine(asker, schema, found, same_name, next(of_dblink, None))
    return None


def describe(asker: Asker, candidates: Sequence[Signature]) -> list[str]:
    """Return the signatures as PostgreSQL prints them, for messages."""
    printed = asker.ask(_QUERIES["arguments"], [oid_array(one.oid for one in candidates)])
    return [
        f"{one.name}({arguments.decode(errors='replace')})" for one, arguments in zip(candidates, printed, strict=True)
    ]


def _may_be_called(row: Mapping[str, Any]) -> bool:
    return (
        row["kind"] in ("f", "p")
        and not row["in_extension"]
        and not row["name"].startswith(RESERVED_PREFIX)
        and row["return_type"] not in NOT_FOR_CLIENTS
        and not any(one.type in NOT_FOR_CLIENTS or one.type == RECORD for one in _parameters(row))
    )


def _meanings(name: str, schemas: Sequence[str]) -> Iterable[tuple[str, str]]:
    for spelt in (name, _fold(name)):
        for schema in schemas:
            yield schema, spelt
    qualifier, _, rest = name.partition(".")
    for schema, spelt in ((qualifier, rest), (_fold(qualifier), _fold(rest))):
        if schema in schemas:
            yield schema, spelt


def _fold(name: str) -> str:
    """Return *name* folded as PostgreSQL folds an unquoted name in a UTF-8 database: ASCII letters only."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def _array_of(texts: Iterable[str]) -> bytes:
    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in dict.fromkeys(texts))
    return ("{" + ",".join(quoted) + "}").encode()


def _unquoted(identifier: str) -> str:
    """Return a name as PostgreSQL prints it, with quotes only where they are needed."""
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def _routine(
    asker: Asker,
    schema: str,
    rows: Sequence[Mapping[str, Any]],
    same_name: Sequence[Mapping[str, Any]],
    dblink: str | None,
) -> Routine:
    checksum = blake2b(digest_size=16)

    def read_graph(oids: list[int]) -> list[Mapping[str, Any]]:
        texts = sorted(asker.ask(_QUERIES["type_graph"], [oid_array(oids)]))
        checksum.update(b"\n".join(texts))
        return parse_rows(texts)

    used = {row["oid"]: _parameters(row) for row in sorted(rows, key=itemgetter("oid"))}
    oids = {one.type for parameters in used.values() for one in parameters if not one.output}
    types = read_types(oids, read_graph)
    by_oid = {row["oid"]: row for row in rows}
    return Routine(
        candidates=tuple(_signature(by_oid[oid], schema, parameters, types) for oid, parameters in used.items()),
        same_name=tuple(sorted(row["oid"] for row in same_name)),
        dblink=dblink,
        depends_on_values=len(rows) > 1 or not oids.isdisjoint(POLYMORPHIC),
        types=checksum.digest(),
    )


def _parameters(row: Mapping[str, Any]) -> tuple[Parameter, ...]:
    modes = row["modes"] or "i" * len(row["types"])
    names = row["names"] or [""] * len(row["types"])
    called = [mode for mode in modes if mode in _INPUT_MODES or (row["kind"] == "p" and mode == "o")]
    inputs = sum(mode in _INPUT_MODES for mode in called)
    parameters: list[Parameter] = []
    seen = 0
    for mode, name, oid in zip(modes, names, row["types"], strict=False):
        if mode in _INPUT_MODES:
            seen += 1
            parameters.append(Parameter(name=name, type=oid, required=seen <= inputs - row["default_count"]))
        elif mode == "o" and row["kind"] == "p":
            parameters.append(Parameter(name=name, type=oid, required=False, output=True))
    return tuple(parameters)


def _signature(
    row: Mapping[str, Any], schema: str, parameters: tuple[Parameter, ...], types: Mapping[int, ValueType]
) -> Signature:
    own_timeouts = (text.removeprefix(_TIMEOUT) for text in row["settings"] or () if text.startswith(_TIMEOUT))
    return Signature(
        oid=row["oid"],
        schema=schema,
        name=row["name"],
        is_procedure=row["kind"] == "p",
        returns_set=row["returns_set"],
        returns_void=row["return_type"] == VOID,
        returns_unknown_record=row["return_type"] == RECORD and _OUTPUT_MODES.isdisjoint(row["modes"] or ""),
        variadic=row["variadic"] != 0,
        parameters=parameters,
        statement_timeout=next(own_timeouts, None),
        types={one.type: types[one.type] for one in parameters if not one.output},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The values of a call, bound to a signature: the n-th value to the n-th of ``inputs``.

    ``rest`` is the index of the first value that goes, with all after it, into the array of a VARIADIC parameter,
    which is then the last of ``inputs``.
    """

    signature: Signature
    inputs: tuple[Parameter, ...]
    named: bool
    rest: int | None = None

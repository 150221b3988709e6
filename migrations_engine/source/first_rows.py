"""The rows that a schema's files insert, and whether they differ in each database."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, NamedTuple

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema
from migrations_engine.source.created_as import table_created_as
from migrations_engine.source.lexer import content_of, name_of, occurs, pieces
from migrations_engine.source.names import insert_target
from migrations_engine.source.script import statements_of
from migrations_engine.source.statements import SqlStatement

RANDOM_FUNCTION: Final = r"random|uuid|gen_salt|txid|xact_id"  #: in the names of functions with a new result each time
#: The names of such functions, and of those with a result that depends on time, place or role.
_VOLATILE_NAME: Final = re.compile(
    rf"\w*?(?:{RANDOM_FUNCTION})\w*|now|timeofday|\w+?_timestamp|current_setting|set_config|version|pg_backend_pid|"
    r"current_(?:database|schemas?)",
    re.IGNORECASE,
)
#: Words that stand for the current time, place or role without being called.
_CURRENT_VALUES: Final = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
    | {"current_catalog", "current_schema", "current_role", "current_user", "session_user", "system_user", "user"}
)
#: In a string that becomes a date or a timestamp: ``'now'``, ``'today 10:00'``.
_RELATIVE_TIME: Final = re.compile(r"\b(?:now|today|tomorrow|yesterday)\b", re.IGNORECASE)
#: Words that may make a string a date or a timestamp in columns of every type.
_CONVERTING: Final = frozenset({"cast", "date", "time", "timetz", "timestamp", "timestamptz", "zone"})
#: The first words of statements that may add or change rows.
_CHANGES_ROWS: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "DO", "WITH", "SELECT", "CALL", "MERGE", "EXECUTE", "EXPLAIN"}
)
_LEVELS_OF_CODE: Final = 4  #: quoted in each other in the block of a DO; deeper ones are in doubt
_END: Final = ("", "", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRows:
    """The rows of a new database. In case of doubt they are volatile.

    :ivar are_volatile: some depend on the time, place or role of their insertion, or are random
    :ivar tables: schema and name of the tables into which they are inserted, as far as the statements name them
    :ivar dated: those that get strings like ``'today'``, which depend on the time if they become dates
    """

    are_volatile: bool
    tables: frozenset[tuple[str, str]] = frozenset()
    dated: frozenset[tuple[str, str]] = frozenset()


def first_rows(schema: Schema) -> FirstRows:
    """Return what is known of the rows of a new database of *schema*, from the text of its files."""
    functions = frozenset(file.stem.lower() for file in schema.functions)
    changes = filter(_changes_rows, statements_of(schema.migrations))
    tables, dated = set(), set()
    try:
        for statement in chain(statements_of(schema.seeders), changes):
            levels = _LEVELS_OF_CODE if statement.words[:1] == ("DO",) else 0
            found = _values(statement.text, functions, levels=levels)
            target = insert_target(statement)
            if found.are_volatile or (found.have_relative_times and (found.are_converted or target is None)):
                return FirstRows(are_volatile=True)
            if target is not None:
                tables.add(target.table.address)
                if found.have_relative_times:
                    dated.add(target.table.address)
    except SchemaExtractionFailed:  # a string in a block is not SQL
        return FirstRows(are_volatile=True)
    return FirstRows(are_volatile=False, tables=frozenset(tables), dated=frozenset(dated))


def _changes_rows(statement: SqlStatement) -> bool:
    return table_created_as(statement) is not None or not _CHANGES_ROWS.isdisjoint(statement.words[:1])


class _Values(NamedTuple):
    """What a text has in it."""

    are_volatile: bool = False  #: a call or a word whose value differs in each database
    have_relative_times: bool = False  #: a string that is the current time if it becomes a date
    are_converted: bool = False  #: some string may become a date by an expression


def _values(text: str, functions: Set[str], *, levels: int = 0) -> _Values:
    """Return what *text* has in it.

    :param functions: names in lower case; a call of one is volatile
    :param levels: of quoted code that is read too, in the block of a DO; 0 if strings are values
    :raises SchemaExtractionFailed: quoted code has an unclosed string, quoted name or comment
    """
    relative = converted = False
    for (kind, piece, _), (_, following, _) in pairwise(chain(pieces(text), (_END,))):
        if kind in {"word", "quoted"}:
            name = (name_of(piece) or "").lower()
            called = following == "(" and (name in functions or _VOLATILE_NAME.fullmatch(name))
            if called or (kind == "word" and name in _CURRENT_VALUES):
                return _Values(are_volatile=True)
            converted = converted or (kind == "word" and name in _CONVERTING)
        elif kind == "symbol":
            converted = converted or piece == "::"
        elif kind in {"string", "dollar"}:
            relative = relative or occurs(_RELATIVE_TIME, piece)
            if levels and _is_volatile_code(piece, functions, levels):
                return _Values(are_volatile=True)
    return _Values(have_relative_times=relative, are_converted=converted)


def _is_volatile_code(quoted: str, functions: Set[str], levels: int) -> bool:
    code = content_of(quoted)
    return code is None or levels == 1 or _values(code, functions, levels=levels - 1).are_volatile

"""DDL for objects that belong to no relation, such as operators, casts, publications and event triggers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.steps import Phase, Step, found_of, join, wanted_of
from migrations_engine.diff import Difference, change_type
from migrations_engine.model import DatabaseObject

#: Kinds of ``pg_identify_object``, from which change types are made.
KINDS: Final = (
    "collation",
    "language",
    "access method",
    "text search parser",
    "text search template",
    "text search dictionary",
    "text search configuration",
    "foreign-data wrapper",
    "server",
    "operator",
    "operator family",
    "operator class",
    "conversion",
    "cast",
    "transform",
    "publication",
    "event trigger",
)
_LAST: Final = frozenset({"publication", "event trigger"})  #: they need tables, or react to all other statements
#: Change types that add objects which tables and their members may use.
ADDED_FOR_OTHERS: Final = frozenset(change_type("add", kind) for kind in KINDS if kind not in _LAST)
_DICTIONARY: Final = re.compile(r"CREATE (TEXT SEARCH DICTIONARY .*?) \((TEMPLATE = .*?)(?:, (.*))?\)", re.DOTALL)
_OPTION: Final = re.compile(r"(\w+) = (?:E?'(?:[^']|'')*'|\S+)")


def add_object(difference: Difference) -> Iterator[Step]:
    """Create an object, and run the statements about it."""
    wanted = wanted_of(difference, DatabaseObject)
    phase = Phase.LAST if wanted.kind in _LAST else Phase.BASICS
    for statement in (wanted.definition, *(said for said, _ in wanted.parts)):
        yield Step(phase, sql.SQL(statement))


def drop_object(difference: Difference) -> Iterator[Step]:
    """Drop an object after all that use it, without CASCADE."""
    yield _drop(found_of(difference, DatabaseObject), Phase.GONE)


def alter_object(difference: Difference) -> Iterator[Step]:
    """Run changed statements about an object, or replace it by another one."""
    found, wanted = found_of(difference, DatabaseObject), wanted_of(difference, DatabaseObject)
    if found.definition == wanted.definition:
        phase = Phase.LAST if wanted.kind in _LAST else Phase.BASICS
        yield from (Step(phase, sql.SQL(back)) for said, back in found.parts if (said, back) not in wanted.parts)
        yield from (Step(phase, sql.SQL(said)) for said, back in wanted.parts if (said, back) not in found.parts)
    elif alteration := _dictionary_options(found.definition, wanted.definition):
        yield Step(Phase.BASICS, sql.SQL(alteration))
    else:
        yield _drop(found, Phase.CLEAR)
        yield from add_object(difference)


def _drop(item: DatabaseObject, phase: Phase) -> Step:
    return Step(phase, join("DROP", item.kind.replace("-", " ").upper(), item.identity))


def _dictionary_options(found: str, wanted: str) -> str | None:
    """Return the statement that changes only the options of a text search dictionary, which may be in use."""
    before, after = _DICTIONARY.fullmatch(found), _DICTIONARY.fullmatch(wanted)
    if before is None or after is None or before.group(1, 2) != after.group(1, 2):
        return None
    kept = [match[1] for match in _OPTION.finditer(after[3] or "")]
    gone = [match[1] for match in _OPTION.finditer(before[3] or "") if match[1] not in kept]
    return f"ALTER {after[1]} ({', '.join([*gone, *([after[3]] if after[3] else [])])})"

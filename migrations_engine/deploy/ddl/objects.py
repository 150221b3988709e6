"""DDL for the objects that belong to no relation: operators, casts, publications, event triggers and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.steps import Phase, Step, found_of, join, wanted_of
from migrations_engine.diff import Difference
from migrations_engine.model import DatabaseObject

#: ``pg_identify_object``'s word → change types are made of it.
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
_LAST: Final = frozenset({"publication", "event trigger"})  #: they need the tables, or watch every other statement
_DICTIONARY: Final = re.compile(r"CREATE (TEXT SEARCH DICTIONARY .*?) \((TEMPLATE = .*?)(?:, (.*))?\)", re.DOTALL)
_OPTION: Final = re.compile(r"(\w+) = (?:E?'(?:[^']|'')*'|\S+)")


def add_object(difference: Difference) -> Iterator[Step]:
    """Make an object with all that is said about it."""
    wanted = wanted_of(difference, DatabaseObject)
    phase = Phase.LAST if wanted.kind in _LAST else Phase.BASICS
    for statement in (wanted.definition, *(said for said, _ in wanted.parts)):
        yield Step(phase, sql.SQL(statement))


def drop_object(difference: Difference) -> Iterator[Step]:
    """Drop an object when nothing of the schema uses it any more; nothing is cascaded."""
    yield _drop(found_of(difference, DatabaseObject), Phase.GONE)


def alter_object(difference: Difference) -> Iterator[Step]:
    """Change what is said about an object, or put another one in its place."""
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

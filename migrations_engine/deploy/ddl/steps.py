"""Parts of DDL: phases, steps and names.

Definitions were printed and quoted by the server. All other names are quoted by psycopg.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import NamedTuple, TypeAlias, TypeVar

from psycopg import sql

from migrations_engine.diff import Difference, replayable
from migrations_engine.model import Relation, SchemaObject

S = TypeVar("S")
Part: TypeAlias = sql.Composable | str | None  #: a plain text is a keyword, or was printed by the server


class Phase(IntEnum):
    """The phase in which a statement runs."""

    CLEAR = 0  #: views and others that are created again later
    UNTIE = 1  #: foreign keys, before the keys they refer to
    DROP = 2  #: other constraints, and indexes
    BASICS = 3  #: schemas, types, sequences
    TABLES = 4
    COLUMNS = 5
    KEYS = 6  #: indexes, and the constraints that foreign keys refer to
    CONSTRAINTS = 7
    VIEWS = 8
    BEHAVIOUR = 9  #: triggers, rules, policies
    GONE = 10  #: objects that are no longer used
    NOTES = 11  #: comments and privileges
    LAST = 12  #: publications, and event triggers, which would react to the rest


class Step(NamedTuple):
    """A statement with its phase and effect."""

    phase: Phase
    sql: sql.Composable
    effect: str = ""  #: locks and rewrites, in words
    action: sql.Composable | None = None  #: of an ALTER TABLE, to be combined with others of the same table


def join(*parts: Part) -> sql.Composable:
    """Return the parts joined by blanks, without those that are None or empty."""
    return sql.SQL(" ").join(sql.SQL(part) if isinstance(part, str) else part for part in parts if part)


def define(definition: str | None) -> sql.SQL:
    """Return the SQL of a definition that the server has printed."""
    return sql.SQL(replayable(definition or ""))


def named(item: SchemaObject) -> sql.Identifier:
    """Return the qualified name of an object."""
    return sql.Identifier(*item.address)


def word(relation: Relation) -> str:
    """Return the keyword for a relation in DDL."""
    return "TABLE" if relation.kind == "partitioned table" else relation.kind.upper()


def alter(relation: Relation, phase: Phase, *parts: Part, effect: str = "", together: bool = False) -> Step:
    """Return an ``ALTER TABLE`` with one action."""
    action = join(*parts)
    return Step(phase, join("ALTER", word(relation), named(relation), action), effect, action if together else None)


def options(start: str, given: tuple[str, ...]) -> sql.Composable | None:
    """Return options in parentheses, from a text ``name=value`` each."""
    if not given:
        return None
    pairs = [option.partition("=")[::2] for option in given]
    return join(start, "(", sql.SQL(", ").join(join(name, "=", sql.Literal(value)) for name, value in pairs), ")")


def foreign_options(found: tuple[str, ...], wanted: tuple[str, ...]) -> sql.Composable:
    """Return the OPTIONS clause that changes the *found* options to the *wanted* ones, from ``name=value`` each."""
    before, after = (dict(option.partition("=")[::2] for option in side) for side in (found, wanted))
    changes = [join("DROP", sql.Identifier(name)) for name in before if name not in after]
    changes += [
        join("SET" if name in before else "ADD", sql.Identifier(name), sql.Literal(value))
        for name, value in after.items()
        if before.get(name) != value
    ]
    return join("OPTIONS (", sql.SQL(", ").join(changes), ")")


def collate(collation: str | None) -> str | None:
    """Return the COLLATE clause, or nothing if none is needed."""
    return f"COLLATE {collation}" if collation else None


def renamings(taken: Collection[str | None], old: str, new: str) -> Iterator[tuple[Phase, str, str]]:
    """Return the steps of a rename, each from one name to another: two if *new* is among the names still *taken*."""
    if new not in taken:
        yield Phase.DROP, old, new
        return
    between = temporary_name(old)
    yield Phase.DROP, old, between
    yield Phase.BASICS, between, new


def temporary_name(name: str) -> str:
    """Return the name of an object of that *name* while another one takes its place."""
    return f"_stonescriptdb_gateway_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def relation_of(difference: Difference) -> Relation:
    """Return the relation of *difference*."""
    assert difference.relation is not None
    return difference.relation


def wanted_of(difference: Difference, kind: type[S]) -> S:
    """Return the wanted side of *difference*."""
    assert isinstance(difference.wanted, kind)
    return difference.wanted


def found_of(difference: Difference, kind: type[S]) -> S:
    """Return the found side of *difference*."""
    assert isinstance(difference.found, kind)
    return difference.found

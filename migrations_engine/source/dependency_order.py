"""Finds the order in which the files of a folder must run, from their text."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import SchemaFile, once_per_file
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.names import ROUTINE_KINDS, ObjectName, created_name
from migrations_engine.source.references import mentions, references
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_RELATIONS: Final = {"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"}
_TYPES: Final = {"TYPE", "DOMAIN"}
_MAKERS_AT_MOST: Final = 16  #: files that create a type or function of the same name, of which one is needed

_Name = TypeVar("_Name", bound=Hashable)
Edges = list[set[int]]  #: for each file, the numbers of the files that must run before it


@dataclass(frozen=True, slots=True)
class _File:
    """The objects that the statements of a file create and need."""

    statements: tuple[SqlStatement, ...]
    relations: set[ObjectName] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    routines: set[str] = field(default_factory=set)
    needed: set[ObjectName] = field(default_factory=set)


def order_tables(files: Sequence[SchemaFile]) -> tuple[SchemaFile, ...]:
    """Return the files of ``tables/``, each after those whose tables it needs. The sort is stable.

    Views, functions and types come before the files that mention them, if possible.

    :raises SchemaExtractionFailed: files need each other in a cycle, or a file cannot be split into statements
    """
    read = [_read(file) for file in files]
    needed = _needed(read, _first_makers(read))
    order = _sorted(needed, _mentioned(read))
    if len(order) < len(files):
        raise _circle(files, needed, set(range(len(files))) - set(order))
    return tuple(files[number] for number in order)


def order_types(files: Sequence[SchemaFile]) -> tuple[SchemaFile, ...]:
    """Return the files of ``types/``, each after those whose types it mentions, if possible.

    :raises SchemaExtractionFailed: a file cannot be split into statements
    """
    read = [_read(file) for file in files]
    return tuple(files[number] for number in _sorted([set() for _ in files], _mentioned(read)))


def order_migrations(files: Sequence[SchemaFile], declared: Iterable[SchemaFile] = ()) -> tuple[SchemaFile, ...]:
    """Return files in the order of their names. A file moves only after the later one that creates a table it needs.

    Files that use its objects move with it. A cycle stays in the order of the names, and PostgreSQL then reports the
    missing object.

    :param declared: the files of ``tables/``, whose objects exist before any migration runs
    :raises SchemaExtractionFailed: a file cannot be split into statements
    """
    if len(files) < 2:
        return tuple(files)
    read = [_read(file) for file in files]
    there = {made for file in declared for made in _read(file).relations}
    makers = {made: maker for made, maker in _first_makers(read).items() if made not in there}
    needed = _needed(read, makers)
    if all(before < number for number, befores in enumerate(needed) for before in befores):
        return tuple(files)
    mentioned = [{before for before in befores if before < number} for number, befores in enumerate(_mentioned(read))]
    order = _sorted(needed, mentioned)
    placed = set(order)
    order += [number for number in range(len(files)) if number not in placed]
    return tuple(files[number] for number in order)


@dataclass(frozen=True, kw_only=True)
class Filling:
    """The tables that a file of seeders fills, and those to be filled before it, by any unique number."""

    tables: frozenset[int]
    names: frozenset[str]  #: of those tables, as in its statements
    needs: frozenset[int]  #: the tables that their foreign keys refer to
    mentions: frozenset[str]  #: every name in its queries


def order_seeders(fillings: Mapping[SchemaFile, Filling]) -> tuple[SchemaFile, ...]:
    """Return files, each after those that fill the tables that it refers to or reads. The sort is stable.

    In a cycle these preferences are dropped.
    """
    files, found = list(fillings), list(fillings.values())
    by_table = _numbers_by_name([filling.tables for filling in found])
    by_name = _numbers_by_name([filling.names for filling in found])
    wished: Edges = []
    for number, one in enumerate(found):
        before = {filler for table in one.needs & by_table.keys() for filler in by_table[table]}
        before.update(*(by_name[name] for name in (one.mentions - one.names) & by_name.keys()))
        wished.append(before - {number})
    return tuple(files[number] for number in _sorted([set() for _ in files], wished))


def _qualified(name: ObjectName) -> ObjectName:
    return ObjectName(*name.address)


@once_per_file
def _read(file: SchemaFile) -> _File:
    read = _File(script_of(file).statements)
    for statement in read.statements:
        read.needed.update(_qualified(needed) for needed in references(statement))
        created = created_name(statement)
        if created is None:
            read.relations.update(_renamed(statement))
        elif created.name is not None:
            if created.kind in _RELATIONS:
                made = _qualified(ObjectName(created.schema, created.name))
                read.relations.update({made} - read.needed)  # else it replaces one that was there before
            elif created.kind in _TYPES:
                read.types.add(created.name)
            elif created.kind in ROUTINE_KINDS:
                read.routines.add(created.name)
    return read


def _renamed(statement: SqlStatement) -> Iterator[ObjectName]:
    altered = alter_table_actions(statement)
    for action in altered.actions if altered else ():
        if altered and action.kind == "RENAME TO" and action.new_name:
            yield _qualified(ObjectName(altered.table.schema, action.new_name))


def _first_makers(files: Sequence[_File]) -> dict[ObjectName, int]:
    makers: dict[ObjectName, int] = {}
    for number, file in enumerate(files):
        for made in file.relations:
            makers.setdefault(made, number)
    return makers


def _needed(files: Sequence[_File], makers: Mapping[ObjectName, int]) -> Edges:
    """Return the files that each file needs, because they alone create a table or sequence that it uses."""
    return [{makers[name] for name in file.needed - file.relations if name in makers} for file in files]


def _mentioned(files: Sequence[_File]) -> Edges:
    """Return the files that each file probably needs: a word may be the name of a column as well as of a view."""
    relations = _numbers_by_name([{made.name for made in file.relations} for file in files])
    types = _numbers_by_name([file.types for file in files])
    routines = _numbers_by_name([file.routines for file in files])
    before: Edges = []
    for number, file in enumerate(files):
        found: set[int] = set()
        for statement in file.statements:
            names_columns = _names_columns(statement)
            if names_columns and not types and not routines:
                continue
            seen = mentions(statement)
            found.update(*(types[name] for name in seen.names & types.keys()))
            found.update(*(routines[name] for name in seen.called & routines.keys()))
            if not names_columns:
                found.update(*(relations[name] for name in seen.names & relations.keys()))
        before.append(found - {number})
    return before


def _names_columns(statement: SqlStatement) -> bool:
    """Return whether most names in the statement are columns, and the tables that it needs are known for certain."""
    words = set(statement.words)
    return (
        statement.words[:1] in {("CREATE",), ("ALTER",)}
        and bool({"TABLE", "INDEX", "TRIGGER"} & words)
        and "AS" not in words
    )


def _numbers_by_name(groups: Sequence[Collection[_Name]]) -> dict[_Name, set[int]]:
    numbers: dict[_Name, set[int]] = defaultdict(set)
    for number, names in enumerate(groups):
        for name in names:
            if len(numbers[name]) < _MAKERS_AT_MOST:
                numbers[name].add(number)
    return dict(numbers)


def _sorted(needed: Edges, wished: Edges) -> list[int]:
    """Return the numbers of the files, each after those that it needs, the smallest first among equals.

    Preferences are dropped in a cycle. Files whose requirements make one are left out, with all that need them.
    """
    missing = [set(needs) for needs in needed]
    hoped = [set(needs) | set(wishes) for needs, wishes in zip(needed, wished, strict=True)]
    followers: Edges = [set() for _ in needed]
    for number, befores in enumerate(hoped):
        for before in befores:
            followers[before].add(number)
    possible = [number for number, befores in enumerate(missing) if not befores]
    ready = [number for number, befores in enumerate(hoped) if not befores]
    order: list[int] = []
    placed: set[int] = set()
    while ready or possible:
        number = heapq.heappop(ready or possible)
        if number in placed:
            continue
        placed.add(number)
        order.append(number)
        for follower in followers[number]:
            for waiting, queue in ((missing, possible), (hoped, ready)):
                if number in waiting[follower]:
                    waiting[follower].remove(number)
                    if not waiting[follower]:
                        heapq.heappush(queue, follower)
    return order


def _circle(files: Sequence[SchemaFile], needed: Edges, stuck: set[int]) -> SchemaExtractionFailed:
    path, met = [min(stuck)], set[int]()
    while path[-1] not in met:
        met.add(path[-1])
        path.append(min(needed[path[-1]] & stuck))
    circle = path[path.index(path[-1]) : -1]
    first = circle.index(min(circle))
    labels = [files[number].path for number in circle[first:] + circle[: first + 1]]
    return SchemaExtractionFailed(
        f"tables/ cannot be put in order, these files need each other: {' → '.join(labels)}. Take one of the foreign "
        "keys out and write it as ALTER TABLE … ADD FOREIGN KEY in a file of its own, in tables/ or in migrations/",
        file=files[circle[first]].label,
    )

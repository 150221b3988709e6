"""The target names of keys, indexes and sequences, which are unique in a schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

from migrations_engine.diff.target_relations import alike
from migrations_engine.model import Attachment, Column, Constraint, Relation

_WITH_INDEX: Final = frozenset({"p", "u", "x"})  #: ``Constraint.kind``

M = TypeVar("M", Constraint, Attachment)


def names_of_members(relations: Iterable[Relation]) -> frozenset[tuple[str, str]]:
    """Return the names of the keys, indexes and sequences of *relations*, each with its schema."""
    return frozenset((relation.schema, name) for relation in relations for name in _names(relation))


def with_free_names(wanted: Relation, actual: Relation | None, taken: frozenset[tuple[str, str]]) -> Relation:
    """Return *wanted* with the present names of keys, indexes and sequences whose declared names others have.

    So it is with a table that was created beside a renamed one, which has kept the names of its key and indexes.

    :param actual: the relation in the database
    :param taken: names that others have, each with its schema
    """
    if actual is None or taken.isdisjoint((wanted.schema, name) for name in _names(wanted)):
        return wanted

    def free(item: M, present: Iterable[M]) -> M:
        found = alike(item, present) if (wanted.schema, item.name) in taken else None
        return item if found is None else replace(item, name=found.name)

    def with_sequence(column: Column) -> Column:
        own, found = column.sequence, actual.column(column.name)
        if own is None or found is None or found.sequence is None or own.address not in taken:
            return column
        return replace(column, sequence=own.with_name_of(found.sequence))

    return replace(
        wanted,
        columns=tuple(with_sequence(column) for column in wanted.columns),
        constraints=tuple(free(item, actual.constraints) for item in wanted.constraints),
        attachments=tuple(free(item, actual.attachments) for item in wanted.attachments),
    )


def _names(relation: Relation) -> Iterator[str]:
    yield from (item.name for item in relation.constraints if item.kind in _WITH_INDEX)
    yield from (item.name for item in relation.attachments if item.kind == "index")
    yield from (column.sequence.name for column in relation.columns if column.sequence is not None)

"""The targets of sequences, and of those that belong to a column in one catalog and to none in another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

from migrations_engine.diff.sources import Versions, together
from migrations_engine.model import Catalog, Column, Sequence

_OPTIONS: Final = (
    together("type", "minimum", "maximum"),
    *(together(name) for name in ("start", "increment", "cache", "cycle")),
)
_PARTS: Final = (*_OPTIONS, together("unlogged"), together("owned_by"))


def sometimes_free(catalogs: Iterable[Catalog]) -> frozenset[str]:
    """Return the labels of sequences that belong to a serial column in one of *catalogs* and to none in another."""
    known = [*catalogs]
    free = {sequence.label for catalog in known for sequence in catalog.sequences}
    return frozenset(
        sequence.label for catalog in known for sequence in _of_serial_columns(catalog) if sequence.label in free
    )


def with_free_sequences(catalog: Catalog, labels: Collection[str]) -> Catalog:
    """Return *catalog* with the sequences of *labels* as free ones, which makes their owner a property of them.

    Their columns have a call of ``nextval`` as their default.
    """

    def column_of(column: Column) -> Column:
        if column.sequence is None or not column.is_serial or column.sequence.label not in labels:
            return column
        return replace(column, default=own_default(column), sequence=None)

    freed = [sequence for sequence in _of_serial_columns(catalog) if sequence.label in labels]
    if not freed:
        return catalog
    relations = tuple(
        replace(relation, columns=tuple(column_of(column) for column in relation.columns))
        for relation in catalog.relations
    )
    return replace(catalog, relations=relations, sequences=(*catalog.sequences, *freed), text=None)


def target_sequence(versions: Versions[Sequence]) -> Sequence | None:
    """Return the target of a declared sequence; None if it should not exist."""
    if versions.declared is None or versions.complete is None:
        return versions.decide(lambda _: True)
    return replace(versions.declared, **versions.decide_parts(_PARTS))


def with_target_options(column: Column, versions: Versions[Column]) -> Column:
    """Return *column* with the target of each option of its sequence, if it has one."""
    sequences = versions.within(lambda version: version.sequence)
    if column.sequence is None or sequences.declared is None or sequences.complete is None:
        return column
    return replace(column, sequence=replace(column.sequence, **sequences.decide_parts(_OPTIONS)))


def own_default(column: Column) -> str | None:
    """Return the default of the column; of a serial column, the call of ``nextval``."""
    if column.sequence is not None and column.is_serial:
        return f"nextval('{column.sequence.qualified}'::regclass)"
    return None if column.generated or column.identity else column.default


def _of_serial_columns(catalog: Catalog) -> Iterator[Sequence]:
    for relation in catalog.relations:
        for column in relation.columns:
            if column.sequence is not None and column.is_serial:
                yield column.sequence

"""The targets of sequences, and of those that belong to a column in one catalog and to none in another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

from psycopg import sql

from migrations_engine.diff.difference import Verdict, incompatible, safe, unless_refused
from migrations_engine.diff.sources import Versions, together
from migrations_engine.model import Catalog, Column, Relation, Sequence

_CLAUSES: Final = {  #: of ``CREATE SEQUENCE``
    "start": "START",
    "increment": "INCREMENT",
    "minimum": "MINVALUE",
    "maximum": "MAXVALUE",
    "cache": "CACHE",
    "owned_by": "OWNED BY",
}
_SWITCHES: Final = {"cycle": ("NO CYCLE", "CYCLE"), "unlogged": ("LOGGED", "UNLOGGED")}
_OPTIONS: Final = (
    together("type", "minimum", "maximum"),
    *(together(name) for name in ("start", "increment", "cache", "cycle")),
)
_MAXIMA: Final = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}  #: PostgreSQL manual, table 8.2
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


def of_type_of_column(column: Column, found: Column | None) -> Column:
    """Return *column* with its identity sequence as PostgreSQL changes it with the type.

    :param found: the present column
    """
    sequence = column.sequence
    if not (sequence and found and column.identity and column.type in _MAXIMA) or found.type == column.type:
        return column
    maximum = _MAXIMA[column.type] if sequence.maximum == _MAXIMA[sequence.type] else sequence.maximum
    return replace(column, sequence=replace(sequence, type=column.type, maximum=maximum))


def own_default(column: Column) -> str | None:
    """Return the default of the column; of a serial column, the call of ``nextval``."""
    if column.sequence is not None and column.is_serial:
        return _drawing_from(column.sequence)
    return None if column.generated or column.identity else column.default


def sequence_texts(old: Sequence, new: Sequence) -> tuple[str, str]:
    """Return the types of two sequences, each with the clauses in which they differ."""
    names = [name for name in (*_CLAUSES, *_SWITCHES) if getattr(old, name) != getattr(new, name)]
    first, second = (" ".join([item.type, *(_clause(item, name) for name in names)]) for item in (old, new))
    return first, second


def _clause(sequence: Sequence, name: str) -> str:
    value = getattr(sequence, name)
    return _SWITCHES[name][value] if name in _SWITCHES else f"{_CLAUSES[name]} {'NONE' if value is None else value}"


def sequence_verdict(old: Sequence, new: Sequence) -> Verdict:
    """Return the verdict for changed options: PostgreSQL refuses a range that does not include the last number.

    A sequence that has not been drawn from begins anew.
    """
    if new.minimum <= old.minimum and new.maximum >= old.maximum:
        return safe("it applies only to numbers that are drawn later")
    as_type = f" AS {new.type}" if new.type != old.type else ""
    numbers = f"MINVALUE {new.minimum} MAXVALUE {new.maximum} START {new.start} RESTART"
    return unless_refused(
        f"the last number of the sequence may be out of the range {new.minimum} to {new.maximum}; "
        f"a migration can begin anew: ALTER SEQUENCE {old.label}{as_type} {numbers}"
    )


def position_outside(found: Sequence, wanted: Sequence) -> sql.Composed:
    """Return a query for the number of sequences, 0 or 1, whose last drawn number is outside the wanted range."""
    return sql.SQL("SELECT count(*) FROM {} WHERE is_called AND last_value NOT BETWEEN {} AND {}").format(
        sql.Identifier(*found.address), wanted.minimum, wanted.maximum
    )


def replaced_sequence_verdict(old: Column, new: Column, relations: Iterable[Relation]) -> Verdict | None:
    """Return the verdict for a serial column that becomes an identity column, or the other way round; else None.

    :param relations: of the database
    """
    if old.sequence is None or new.sequence is None or old.is_serial == new.is_serial:
        return None
    if (user := _other_user(old.sequence, relations)) is not None:
        return incompatible(f"its sequence would be replaced, which {user} uses, too")
    options = sequence_verdict(old.sequence, new.sequence)
    return options if options.compatibility != "safe" else safe("the numbers continue where they are")


def _other_user(sequence: Sequence, relations: Iterable[Relation]) -> str | None:
    """Return a view, or a column that does not own *sequence*, which draws from it; None if there is none."""
    drawing = _drawing_from(sequence)
    for relation in relations:
        if drawing in (relation.definition or ""):
            return relation.label
        for column in relation.columns:
            if not column.inherited and drawing in (column.default or ""):
                return f"{relation.label}.{column.name}"
    return None


def _drawing_from(sequence: Sequence) -> str:
    name = sequence.qualified.replace("'", "''")
    return f"nextval('{name}'::regclass)"


def _of_serial_columns(catalog: Catalog) -> Iterator[Sequence]:
    for relation in catalog.relations:
        for column in relation.columns:
            if column.sequence is not None and column.is_serial:
                yield column.sequence

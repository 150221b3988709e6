"""Compares types and sequences: new and missing ones, and the parameters of sequences."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from migrations_engine.diff.columns import sequence_verdict
from migrations_engine.diff.difference import Difference, dataloss, safe
from migrations_engine.diff.sides import is_settled
from migrations_engine.diff.type_alterations import altered_type, renamed_constraints, type_shape
from migrations_engine.diff.type_change import TypeName
from migrations_engine.model import Catalog, Sequence, Type


def diff_types(actual: Catalog, declared: Catalog, complete: Catalog, formerly: Catalog | None) -> Iterator[Difference]:
    """Differences of enums, domains, composites and ranges."""
    for asked in _by_use(declared):
        label, wanted, found = (
            asked.label,
            complete.type_by_label.get(asked.label),
            actual.type_by_label.get(asked.label),
        )
        if wanted is None:  # a migration drops or renames it
            continue
        if found is None:
            verdict = safe(f"the {wanted.kind} type is new")
            yield Difference(change_type="add_type", table=label, wanted=wanted, to_text=wanted.kind, verdict=verdict)
        elif not is_settled(found, asked, wanted, type_shape):
            yield from altered_type(found, wanted, actual)
        else:
            yield from renamed_constraints(found, asked, wanted)
    for found in actual.types:
        label = found.label
        known = label in declared.type_by_label or label in complete.type_by_label
        if formerly and label in formerly.type_by_label and not known:
            verdict = safe("the type is declared no more; it holds no rows and is left in place")
            yield Difference(change_type="drop_type", table=label, found=found, from_text=found.kind, verdict=verdict)


def diff_sequences(
    actual: Catalog, declared: Catalog, complete: Catalog, formerly: Catalog | None
) -> Iterator[Difference]:
    """Differences of the sequences that are not a column's own."""
    there, asked_for, finished, former = (
        {sequence.label: sequence for sequence in side.sequences}
        for side in (actual, declared, complete, formerly or Catalog())
    )
    columns_own = _own_sequences(actual)
    finished_own = _own_sequences(complete)
    for label, asked in asked_for.items():
        wanted, found = finished.get(label), there.get(label) or columns_own.get(label)
        if wanted is None:  # a migration drops or renames it
            continue
        if found is None:
            verdict = safe("the sequence is new")
            yield Difference(
                change_type="add_sequence", table=label, wanted=wanted, to_text=wanted.type, verdict=verdict
            )
        elif not is_settled(found, asked, wanted, _sequence_shape):
            yield _altered_sequence(found, wanted)
    for label, found in there.items():
        if label in former and label not in asked_for and label not in finished and label not in finished_own:
            verdict = dataloss("the sequence is declared no more; its position would be lost")
            yield Difference(
                change_type="drop_sequence", table=label, found=found, from_text=found.type, verdict=verdict
            )


def _own_sequences(catalog: Catalog) -> dict[str, Sequence]:
    """Return the sequences that columns own, by label."""
    columns = [column for relation in catalog.relations for column in relation.columns]
    return {column.sequence.label: column.sequence for column in columns if column.sequence is not None}


def _by_use(catalog: Catalog) -> list[Type]:
    """Return the types of a catalog, each after those it depends on."""
    ordered: list[Type] = []
    pending = list(catalog.types)

    def uses(type_: Type) -> set[str]:
        texts = [type_.base or "", *(attribute.type for attribute in type_.attributes)]
        return {TypeName.parse(text).label for text in texts}

    while pending:
        waiting = {type_.label for type_ in pending}
        ready = [type_ for type_ in pending if not uses(type_) & waiting - {type_.label}] or pending
        ordered += ready
        pending = [type_ for type_ in pending if type_ not in ready]
    return ordered


def _sequence_shape(sequence: Sequence) -> Hashable:
    return sequence.options, sequence.owned_by, sequence.unlogged


def _altered_sequence(found: Sequence, wanted: Sequence) -> Difference:
    verdict = sequence_verdict(found, wanted)
    if wanted.unlogged and not found.unlogged:
        verdict = dataloss("an unlogged sequence begins again after a crash")
    return Difference(
        change_type="alter_sequence",
        table=found.label,
        found=found,
        wanted=wanted,
        from_text=found.type,
        to_text=wanted.type,
        verdict=verdict,
    )

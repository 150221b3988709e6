"""Compares types and sequences."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from migrations_engine.diff.difference import Difference, dataloss, safe
from migrations_engine.diff.sequences import sequence_texts, sequence_verdict
from migrations_engine.diff.type_alterations import altered_type, renamed_constraints, type_shape, used_types
from migrations_engine.diff.use_order import labels_by_use
from migrations_engine.model import Catalog, Sequence


def diff_types(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[Difference]:
    """Yield the differences of enums, domains, composites and ranges."""
    for label in labels_by_use(wanted.type_by_label, used_types):
        new, old = wanted.type_by_label[label], actual.type_by_label.get(label)
        if old is None:
            verdict = safe(f"the {new.kind} type is new")
            yield Difference(change_type="add_type", table=label, wanted=new, to_text=new.kind, verdict=verdict)
        elif type_shape(old) != type_shape(new):
            yield from altered_type(old, new, actual)
        else:
            yield from renamed_constraints(old, new)
    for old in actual.types:
        if former and old.label in former.type_by_label and old.label not in wanted.type_by_label:
            verdict = safe("the type is no longer declared; it holds no rows")
            yield Difference(change_type="drop_type", table=old.label, found=old, from_text=old.kind, verdict=verdict)


def diff_sequences(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[Difference]:
    """Yield the differences of the sequences that no column owns."""
    all_found, all_wanted, all_former = (
        {sequence.label: sequence for sequence in side.sequences} for side in (actual, wanted, former or Catalog())
    )
    found_of_columns, wanted_of_columns = _own_sequences(actual), _own_sequences(wanted)
    for label, new in all_wanted.items():
        old = all_found.get(label) or found_of_columns.get(label)
        if old is None:
            verdict = safe("the sequence is new")
            yield Difference(change_type="add_sequence", table=label, wanted=new, to_text=new.type, verdict=verdict)
        elif _sequence_shape(old) != _sequence_shape(new):
            yield _altered_sequence(old, new)
    for label, old in all_found.items():
        if label in all_former and label not in all_wanted and label not in wanted_of_columns:
            verdict = dataloss("the sequence is no longer declared; its position would be lost")
            yield Difference(change_type="drop_sequence", table=label, found=old, from_text=old.type, verdict=verdict)


def _own_sequences(catalog: Catalog) -> dict[str, Sequence]:
    """Return the sequences that columns own, by label."""
    columns = [column for relation in catalog.relations for column in relation.columns]
    return {column.sequence.label: column.sequence for column in columns if column.sequence is not None}


def _sequence_shape(sequence: Sequence) -> Hashable:
    return sequence.options, sequence.owned_by, sequence.unlogged


def _altered_sequence(found: Sequence, wanted: Sequence) -> Difference:
    verdict, texts = sequence_verdict(found, wanted), sequence_texts(found, wanted)
    if wanted.unlogged and not found.unlogged:
        verdict = dataloss("an unlogged sequence begins again after a crash")
    return Difference(
        change_type="alter_sequence",
        table=found.label,
        found=found,
        wanted=wanted,
        from_text=texts[0],
        to_text=texts[1],
        verdict=verdict,
    )

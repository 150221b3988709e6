"""Comparing types and sequences. Only an enum's new values are a change that a deploy may make by itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from migrations_engine.diff.columns import sequence_verdict
from migrations_engine.diff.difference import Difference, dataloss, incompatible, safe
from migrations_engine.diff.expression import canonical
from migrations_engine.diff.sides import is_settled
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
            yield from _altered(found, wanted)
        else:
            yield from _renamed_constraints(found, asked, wanted)
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
    """The sequences that are a column's own, by label."""
    columns = [column for relation in catalog.relations for column in relation.columns]
    return {column.sequence.label: column.sequence for column in columns if column.sequence is not None}


def _by_use(catalog: Catalog) -> list[Type]:
    """The types of a catalog, each after those it is made of."""
    ordered: list[Type] = []
    pending = list(catalog.types)

    def uses(type_: Type) -> set[str]:
        texts = [type_.base or "", *(attribute.type for attribute in type_.attributes)]
        return {TypeName.parse(text).base.removeprefix("public.") for text in texts}

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


def _altered(found: Type, wanted: Type) -> Iterator[Difference]:
    label = found.label
    if found.kind == wanted.kind == "enum" and _is_subsequence(found.values, wanted.values):
        verdict = safe("values that are there stay as they are")
        for value in wanted.values:
            if value not in found.values:
                yield Difference(
                    change_type="add_enum_value",
                    table=label,
                    name=value,
                    found=found,
                    wanted=wanted,
                    to_text=value,
                    verdict=verdict,
                )
        return
    yield Difference(
        change_type="alter_type",
        table=label,
        found=found,
        wanted=wanted,
        from_text=_described(found),
        to_text=_described(wanted),
        verdict=incompatible(_what_differs(found, wanted)),
    )


def _renamed_constraints(found: Type, asked: Type, wanted: Type) -> Iterator[Difference]:
    """The constraints of a domain that only their names tell apart from the wanted ones."""
    if _constraints(found) in (_constraints(asked), _constraints(wanted)):
        return
    had = [item for item in _constraints(found) if item not in _constraints(wanted)]
    has = [item for item in _constraints(wanted) if item not in _constraints(found)]
    for (_, old), (_, new) in zip(had, has, strict=True):
        yield Difference(
            change_type="rename_domain_constraint",
            table=found.label,
            name=old,
            found=found,
            wanted=wanted,
            from_text=old,
            to_text=new,
            verdict=safe("only the constraint's name changes"),
        )


def _constraints(domain: Type) -> list[tuple[str, str]]:
    """What the constraints of a domain say, and their names, in an order that does not depend on the names first."""
    not_null = [("NOT NULL", domain.not_null_name)] if domain.not_null_name else []
    return sorted([*((canonical(definition) or "", name) for name, definition in domain.checks), *not_null])


def _what_differs(found: Type, wanted: Type) -> str:
    if found.kind != wanted.kind:
        return f"the {found.kind} would become a {wanted.kind}"
    if found.kind == "enum":
        missing = [value for value in found.values if value not in wanted.values]
        return f"without the values {', '.join(missing)}" if missing else "its values would change their order"
    if found.kind == "composite":
        before, after = (
            {(item.name, item.type, item.collation) for item in side.attributes} for side in (found, wanted)
        )
        names = sorted({name for name, *_ in before ^ after})
        return f"the attributes {', '.join(names)} differ" if names else "its attributes would change their order"
    parts = {
        "base type": found.base != wanted.base,
        "collation": found.collation != wanted.collation,
        "NOT NULL": found.not_null != wanted.not_null,
        "default": canonical(found.default) != canonical(wanted.default),
        "checks": _checks(found) != _checks(wanted),
        "details": found.details != wanted.details,
    }
    return f"its {', '.join(part for part, differs in parts.items() if differs)} would change"


def _described(type_: Type) -> str:
    if type_.kind == "enum":
        return f"enum ({', '.join(type_.values)})"
    if type_.kind == "composite":
        return f"composite ({', '.join(f'{item.name} {item.type}' for item in type_.attributes)})"
    words = [type_.kind, type_.base or "", f"DEFAULT {type_.default}" if type_.default is not None else ""]
    words += ["NOT NULL" if type_.not_null else "", *(definition for _, definition in type_.checks)]
    return " ".join(word for word in words if word)


def _is_subsequence(some: tuple[str, ...], all_: tuple[str, ...]) -> bool:
    rest = iter(all_)
    return all(value in rest for value in some)


def _checks(type_: Type) -> frozenset[str | None]:
    return frozenset(canonical(definition) for _, definition in type_.checks)


def type_shape(type_: Type) -> Hashable:
    """All that is compared of a type."""
    attributes = tuple((item.name, item.type, item.collation) for item in type_.attributes)
    restrictions = (type_.base, type_.collation, type_.not_null, canonical(type_.default), _checks(type_))
    return type_.kind, type_.values, attributes, restrictions, type_.details

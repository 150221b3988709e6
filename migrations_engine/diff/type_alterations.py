"""Compares an existing type with its declaration.

Safe are new values of an enum, and all changes of domains and composite types that lose no value and that no value of a
column violates. All others need a migration.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from migrations_engine.diff.difference import Difference, Verdict, dataloss, incompatible, safe, unless_refused
from migrations_engine.diff.expression import canonical
from migrations_engine.diff.type_change import TypeName
from migrations_engine.model import UNVALIDATED, Catalog, Column, Relation, Type

_NOT_STORED: Final = "no column has values of the type"
_LATER_VALUES: Final = "it applies only to values that are added later"


def altered_type(found: Type, wanted: Type, actual: Catalog) -> Iterator[Difference]:
    """Yield the differences of a type, in parts if a deploy can apply each of them."""
    parts = None
    if found.kind == wanted.kind == "enum":
        parts = _enum_parts(found, wanted)
    elif found.kind == wanted.kind == "composite":
        parts = _composite_parts(found, wanted, actual)
    elif found.kind == wanted.kind == "domain":
        parts = _domain_parts(found, wanted, actual)
    if parts is not None:
        yield from parts
        return
    yield Difference(
        change_type="alter_type",
        table=found.label,
        found=found,
        wanted=wanted,
        from_text=_described(found),
        to_text=_described(wanted),
        verdict=incompatible(_what_differs(found, wanted)),
    )


def columns_of_type(label: str, catalog: Catalog) -> list[tuple[Relation, Column]]:
    """Return the columns that store values of a type or arrays of it."""
    return [
        (relation, column)
        for relation in catalog.relations
        if relation.is_table or relation.kind == "materialized view"
        for column in relation.columns
        if TypeName.parse(column.type).label == label
    ]


def columns_around_type(label: str, catalog: Catalog) -> list[tuple[Relation, Column]]:
    """Return the columns of tables with a type inside an array, composite type or range, without inherited ones."""
    found = [one for one in columns_of_type(label, catalog) if TypeName.parse(one[1].type).is_array]
    for name in _made_of(label, catalog):
        if catalog.type_by_label[name].kind != "domain":
            found += columns_of_type(name, catalog)
        found += columns_around_type(name, catalog)
    unique = {(relation.label, column.name): (relation, column) for relation, column in found}
    return [one for one in unique.values() if one[0].is_table and not one[1].inherited]


def used_types(type_: Type) -> set[str]:
    """Return the labels of the types that a domain, range or composite type uses."""
    texts = [type_.base or "", *(attribute.type for attribute in type_.attributes)]
    return {TypeName.parse(text).label for text in texts}


def _is_stored(label: str, catalog: Catalog) -> bool:
    """Return whether columns have values of a type, or of another type that contains it."""
    if columns_of_type(label, catalog) or any(_of_type(relation) == label for relation in catalog.relations):
        return True
    return any(_is_stored(name, catalog) for name in _made_of(label, catalog))


def _of_type(relation: Relation) -> str:
    return TypeName.parse(relation.of_type or "").label


def _made_of(label: str, catalog: Catalog) -> list[str]:
    """Return the labels of the domains, ranges and composite types that a type is part of."""
    return [type_.label for type_ in catalog.types if label in used_types(type_)]


def _part(
    change_type: str,
    sides: tuple[Type, Type],
    name: str | None,
    texts: tuple[str | None, str | None],
    verdict: Verdict,
) -> Difference:
    found, wanted = sides
    return Difference(
        change_type=change_type,
        table=found.label,
        name=name,
        found=found,
        wanted=wanted,
        from_text=texts[0],
        to_text=texts[1],
        verdict=verdict,
    )


def _enum_parts(found: Type, wanted: Type) -> list[Difference] | None:
    if not _is_subsequence(found.values, wanted.values):
        return None
    verdict = safe("existing values stay as they are")
    new = [value for value in wanted.values if value not in found.values]
    return [_part("add_enum_value", (found, wanted), value, (None, value), verdict) for value in new]


def _composite_parts(found: Type, wanted: Type, actual: Catalog) -> list[Difference] | None:
    """Return the attributes that differ; None if their order would change."""
    before = {attribute.name: attribute for attribute in found.attributes}
    after = {attribute.name: attribute for attribute in wanted.attributes}
    kept, added = [name for name in before if name in after], [name for name in after if name not in before]
    if [*kept, *added] != [*after]:
        return None
    stored, sides = _is_stored(found.label, actual), (found, wanted)
    parts = []
    for name, attribute in before.items():
        if name not in after:
            verdict = dataloss("columns have values of it, which would be lost") if stored else safe(_NOT_STORED)
            parts.append(_part("drop_attribute", sides, name, (attribute.type, None), verdict))
    for name in kept:
        old, new = before[name], after[name]
        if (old.type, old.collation) != (new.type, new.collation):
            verdict = incompatible("columns have values of it") if stored else safe(_NOT_STORED)
            parts.append(_part("alter_attribute_type", sides, name, (old.type, new.type), verdict))
    for name in added:
        verdict = safe("it is NULL in existing values")
        parts.append(_part("add_attribute", sides, name, (None, after[name].type), verdict))
    return parts


def _domain_parts(found: Type, wanted: Type, actual: Catalog) -> list[Difference] | None:
    """Return the differences of a domain; None if its base type differs."""
    if (found.base, found.collation, found.details) != (wanted.base, wanted.collation, wanted.details):
        return None
    sides, parts = (found, wanted), []
    if canonical(found.default) != canonical(wanted.default):
        texts = (found.default, wanted.default)
        parts.append(_part("alter_domain_default", sides, None, texts, safe(_LATER_VALUES)))
    checked = _verdict_of_constraint(found, actual)
    if wanted.not_null and not found.not_null:
        parts.append(_part("set_domain_not_null", sides, None, ("NULL", "NOT NULL"), checked))
    elif found.not_null and not wanted.not_null:
        parts.append(
            _part("drop_domain_not_null", sides, None, ("NOT NULL", "NULL"), safe("the domain allows more values"))
        )
    had, has = dict(found.checks), dict(wanted.checks)
    shapes = _checks(found), _checks(wanted)
    for name, definition in had.items():
        if name not in has and canonical(definition) not in shapes[1]:
            verdict = safe("the domain allows more values")
            parts.append(_part("drop_domain_constraint", sides, name, (definition, None), verdict))
    for name, definition in has.items():
        if canonical(definition) not in shapes[0]:
            verb = "alter" if name in had else "add"
            verdict = safe(_LATER_VALUES) if definition.endswith(UNVALIDATED) else checked
            texts = (had.get(name), definition)
            parts.append(_part(f"{verb}_domain_constraint", sides, name, texts, verdict))
    return parts or None


def _verdict_of_constraint(domain: Type, actual: Catalog) -> Verdict:
    """Return the verdict for a new constraint of a domain.

    PostgreSQL cannot check values inside values of other types.
    """
    arrays = [column for _, column in columns_of_type(domain.label, actual) if TypeName.parse(column.type).is_array]
    inside = [label for label in _made_of(domain.label, actual) if _is_stored(label, actual)]
    if arrays or inside:
        return incompatible("columns have the domain inside arrays or other types, which PostgreSQL cannot check")
    return unless_refused("existing values may be refused")


def renamed_constraints(found: Type, wanted: Type) -> Iterator[Difference]:
    """Yield the constraints of a domain that differ from the wanted ones by name or number alone."""
    had = [item for item in _constraints(found) if item not in _constraints(wanted)]
    has = [item for item in _constraints(wanted) if item not in _constraints(found)]
    sides = (found, wanted)
    for item in had:
        same = next((other for other in has if other[0] == item[0]), None)
        if same is None:
            verdict = safe("another constraint of the domain says the same")
            yield _part("drop_domain_constraint", sides, item[1], (item[0], None), verdict)
        else:
            has.remove(same)
            verdict = safe("only the constraint's name changes")
            yield _part("rename_domain_constraint", sides, item[1], (item[1], same[1]), verdict)
    for _, name in has:
        verdict = safe("another constraint of the domain says the same")
        yield _part("add_domain_constraint", sides, name, (None, dict(wanted.checks)[name]), verdict)


def _constraints(domain: Type) -> list[tuple[str, str]]:
    """Return definitions and names of a domain's constraints, ordered by definition first."""
    not_null = [("NOT NULL", domain.not_null_name)] if domain.not_null_name else []
    return sorted([*((canonical(definition) or "", name) for name, definition in domain.checks), *not_null])


def _what_differs(found: Type, wanted: Type) -> str:
    if found.kind != wanted.kind:
        return f"the {found.kind} would become a {wanted.kind}"
    if found.kind == "enum":
        missing = [value for value in found.values if value not in wanted.values]
        return f"without the values {', '.join(missing)}" if missing else "its values would change their order"
    if found.kind == "composite":
        return "its attributes would change their order"
    parts = {
        "base type": found.base != wanted.base,
        "collation": found.collation != wanted.collation,
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
    """Return everything that is compared of a type."""
    attributes = tuple((item.name, item.type, item.collation) for item in type_.attributes)
    restrictions = (type_.base, type_.collation, type_.not_null, canonical(type_.default), _checks(type_))
    return type_.kind, type_.values, attributes, restrictions, type_.details

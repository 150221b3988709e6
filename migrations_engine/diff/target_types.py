"""The target of a type: each part follows the latest change of that part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Final

from migrations_engine.diff.expression import canonical
from migrations_engine.diff.sources import Versions, together
from migrations_engine.diff.target_relations import target_constraints
from migrations_engine.diff.type_alterations import type_shape
from migrations_engine.model import UNVALIDATED, Catalog, Column, Constraint, Type

_PARTS_OF_DOMAINS: Final = (
    together("base", "collation", "details"),
    (("default",), lambda domain: canonical(domain.default)),
    together("not_null", "not_null_name"),
)


def target_type(versions: Versions[Type]) -> Type | None:
    """Return the target of a declared type; None if it should not exist. An enum gets the values of migrations."""
    declared, complete = versions.declared, versions.complete
    if declared is None or complete is None or declared.kind != complete.kind:
        return versions.decide(type_shape)
    if declared.kind == "enum" and {*declared.values} <= {*complete.values}:
        return complete
    if declared.kind == "composite" and versions.before is not None and versions.actual is not None:
        return replace(declared, attributes=tuple(_attributes(versions, declared, complete)))
    if declared.kind != "domain":
        return versions.decide(type_shape)
    return replace(declared, checks=tuple(sorted(_checks(versions))), **versions.decide_parts(_PARTS_OF_DOMAINS))


def _attributes(versions: Versions[Type], declared: Type, complete: Type) -> Iterator[Column]:
    """Yield the attributes that a composite type should have, in the order that they have in a new database."""
    for name in dict.fromkeys(attribute.name for attribute in (*complete.attributes, *declared.attributes)):
        target = versions.within(partial(_attribute, name=name)).decide(attrgetter("type", "collation"))
        if target is not None:
            yield target


def _attribute(type_: Type, *, name: str) -> Column | None:
    return next((attribute for attribute in type_.attributes if attribute.name == name), None)


def values_that_go(declared: Catalog, complete: Catalog) -> list[tuple[Type, str]]:
    """Return the declared values of enums that migrations rename, each with its type."""
    return [
        (enum, value)
        for enum in declared.types
        if enum.kind == "enum" and (migrated := complete.type_by_label.get(enum.label)) is not None
        for value in enum.values
        if value not in migrated.values
    ]


def naming_values(values: Iterable[tuple[Type, str]]) -> Callable[[str | None], bool]:
    """Return a function that returns whether a printed definition names one of *values* of enums."""
    patterns = []
    for enum, value in values:
        spelled, type_ = re.escape(value.replace("'", "''")), re.escape(enum.qualified)
        patterns += [rf"'{spelled}'::{type_}(?![\w\"])", rf"'{{(?:[^']*[,\"])?{spelled}(?:[,\"][^']*)?}}'::{type_}\[\]"]
    if not patterns:
        return lambda _: False
    named = re.compile("|".join(patterns))
    return lambda text: text is not None and named.search(text) is not None


def _checks(versions: Versions[Type]) -> Iterator[tuple[str, str]]:
    """Yield the checks that a domain should have. A second one of the same definition is none of them."""
    declared = dict(versions.declared.checks) if versions.declared is not None else {}
    definitions = {canonical(definition.removesuffix(UNVALIDATED)) for definition in declared.values()}
    for check in target_constraints(versions.within(_constraints)):
        if check.name in declared or canonical(check.definition) not in definitions:
            yield check.name, check.definition + (UNVALIDATED if check.unvalidated else "")


def _constraints(domain: Type) -> tuple[Constraint, ...]:
    return tuple(
        Constraint(
            name=name,
            kind="c",
            definition=definition.removesuffix(UNVALIDATED),
            unvalidated=definition.endswith(UNVALIDATED),
        )
        for name, definition in domain.checks
    )

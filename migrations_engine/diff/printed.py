"""Definitions as PostgreSQL prints them over the types of the columns that they use.

PostgreSQL prints ``CHECK (a > -1)`` with casts that depend on the type of *a*. Where migrations have changed that type,
the declared definition is never found in the database, even directly after it was run there. Such definitions are
compared without casts. Over columns of the same types, casts count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final, TypeVar

from migrations_engine.diff.expression import canonical, without_casts
from migrations_engine.diff.sources import Sources
from migrations_engine.diff.use_order import labels_by_use
from migrations_engine.model import Attachment, Catalog, Column, Constraint, Relation

D = TypeVar("D", Constraint, Attachment)

_Definitions = Mapping[tuple[str, str], str]  #: by kind and name
_Keys = Collection[tuple[str, str, str]]  #: label of a relation, kind and name
_Origin = tuple[Catalog, Collection[str]]  #: and the labels of those of its relations that have other types elsewhere
_MAY_READ_OTHERS: Final = frozenset({"policy", "rule"})  #: definitions with queries of other tables


def alike_in(sources: Sources) -> Sources:
    """Return *sources* with the definitions of the database where the others differ from it in casts alone.

    A declaration that has changed since the last deploy stays, because its casts may be what has changed.
    """
    actual, declared, complete = sources.actual, sources.declared, sources.complete
    former = sources.former and _over_types_of(declared, sources.former)
    migrated = _over_types_of(complete, declared)
    origins = [(side, retyped(side, actual)) for side in (declared, complete)]
    return replace(
        sources,
        declared=printed_by(actual, migrated, origins, but=_changed(former, declared)),
        complete=_over_types_of(actual, complete),
        before=sources.before and _over_types_of(actual, sources.before),
        former=former and _over_types_of(actual, former),
        stated=sources.stated and _over_types_of(actual, _over_types_of(declared, sources.stated)),
    )


def as_printed(target: Catalog, sources: Sources) -> Catalog:
    """Return *target* with the definitions of the database that differ from its own in casts alone.

    Definitions of *sources* over columns of the same types stay, and so do those whose declaration has changed.
    """
    declared, former = sources.declared, sources.former
    if target == sources.actual:
        return target
    origins = [(side, retyped(side, sources.actual) & retyped(side, target)) for side in (declared, sources.complete)]
    return printed_by(
        sources.actual, target, origins, but=_changed(former and _over_types_of(declared, former), declared)
    )


def printed_by(other: Catalog, catalog: Catalog, origins: Sequence[_Origin], *, but: _Keys = frozenset()) -> Catalog:
    """Return *catalog* with the definitions of *other* that differ in casts alone, over columns of other types.

    :param origins: the catalogs in which definitions of *catalog* were printed
    :param but: definitions that stay
    """
    if not any(labels for _, labels in origins):
        return catalog
    relations = tuple(
        _as_in(found, relation, origins, but)
        if (found := other.relation_by_label.get(relation.label)) is not None and found != relation
        else relation
        for relation in catalog.relations
    )
    return catalog if relations == catalog.relations else replace(catalog, relations=relations, text=None)


def recast(one: Catalog, other: Catalog) -> Iterator[str]:
    """Yield the names of what PostgreSQL prints with other casts in *one*, because columns have other types there."""
    labels = retyped(one, other)
    for relation in one.relations if labels else ():
        there = _definitions(other.relation_by_label.get(relation.label))
        for key, text in _definitions(relation).items():
            is_over_types = relation.label in labels or key[0] in _MAY_READ_OTHERS
            if is_over_types and text != there.get(key) and without_casts(text) == without_casts(there.get(key)):
                yield f"{relation.label}.{key[1]}" if key[1] else relation.label


def retyped(one: Catalog, other: Catalog) -> frozenset[str]:
    """Return the labels of the tables of *one* with a column that has another type in *other*, and of their views."""
    return with_views(one, {label for label in one.relation_by_label if _has_other_types(label, one, other)})


def with_views(catalog: Catalog, labels: Collection[str]) -> frozenset[str]:
    """Return *labels* of relations, and those of the views that use them."""
    found = set(labels)
    if found:
        views = {relation.label: relation for relation in catalog.relations if not relation.is_table}
        for label in labels_by_use(views, attrgetter("uses")):
            if found & {*views[label].uses}:
                found.add(label)
    return frozenset(found)


def _has_other_types(label: str, one: Catalog, other: Catalog) -> bool:
    relation, there = one.relation_by_label[label], other.relation_by_label.get(label)
    if there is None or not relation.is_table or there.columns == relation.columns:
        return False
    types = {column.name: column.type for column in there.columns}
    return any(types.get(column.name, column.type) != column.type for column in relation.columns)


def _over_types_of(other: Catalog, catalog: Catalog) -> Catalog:
    return printed_by(other, catalog, [(catalog, retyped(catalog, other))])


def _changed(former: Catalog | None, declared: Catalog) -> _Keys:
    """Return the keys of the definitions in *declared* that have changed since *former*."""
    return {
        (relation.label, *key)
        for relation in (former.relations if former is not None else ())
        if (now := declared.relation_by_label.get(relation.label)) != relation
        for key, text in _definitions(relation).items()
        if canonical(text) != canonical(_definitions(now).get(key))
    }


def _as_in(found: Relation, relation: Relation, origins: Sequence[_Origin], but: _Keys) -> Relation:
    settled = {
        item
        for origin, labels in origins
        for item in _definitions(origin.relation_by_label.get(relation.label)).items()
        if not (labels if item[0][0] in _MAY_READ_OTHERS else relation.label in labels)
    }
    there = _definitions(found)
    printed = {
        key: there[key]
        for key, text in _definitions(relation).items()
        if (relation.label, *key) not in but
        and (key, text) not in settled
        and text != there.get(key)
        and without_casts(there.get(key)) == without_casts(text)
    }
    return _with_definitions(relation, printed, found) if printed else relation


def _definitions(relation: Relation | None) -> _Definitions:
    if relation is None:
        return {}
    texts = {
        **{(item.kind, item.name): item.definition for item in relation.constraints},
        **{(item.kind, item.name): item.definition for item in relation.attachments},
        **{("column", column.name): column.default for column in relation.columns if column.generated},
        (relation.kind, ""): relation.definition,
    }
    return {key: text for key, text in texts.items() if text is not None}


def _with_definitions(relation: Relation, texts: _Definitions, found: Relation) -> Relation:
    """Return *relation* with the given definitions in place of its own, and the columns of *found* if it is a view."""
    query = texts.get((relation.kind, ""))
    if query is not None:
        columns = tuple(_of_type(relation.column(column.name), column) for column in found.columns)
        relation = replace(relation, definition=query, columns=columns)
    return replace(
        relation,
        constraints=tuple(_with_definition(item, texts) for item in relation.constraints),
        attachments=tuple(_with_definition(item, texts) for item in relation.attachments),
        columns=tuple(
            replace(column, default=texts.get(("column", column.name), column.default)) for column in relation.columns
        ),
    )


def _of_type(declared: Column | None, printed: Column) -> Column:
    """Return the declared column of a view, with the type of the printed one."""
    return replace(declared, type=printed.type, collation=printed.collation) if declared else printed


def _with_definition(item: D, texts: _Definitions) -> D:
    return replace(item, definition=texts.get((item.kind, item.name), item.definition))

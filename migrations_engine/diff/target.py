"""The target catalog of a database, computed from its schema, its migrations and its present state.

A table, column, type, default or constraint follows the latest change. Where a migration and the declaration differ:

1. a change by a migration of this deploy stays;
2. a declaration that has changed since the last deploy is the target;
3. the present state stays if it is as declared; else the target is the result of the migrations.

Objects without rows (views, indexes, triggers, rules, policies, privileges, comments) are wanted as declared, also if a
migration changed them, if their dependencies exist. Objects made only by a migration, or by hand, stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from migrations_engine.diff.comments import is_on
from migrations_engine.diff.printed import alike_in, printed_by, retyped
from migrations_engine.diff.sequences import own_default, sometimes_free, target_sequence, with_free_sequences
from migrations_engine.diff.sources import Sources, Versions, versions_by_label
from migrations_engine.diff.target_names import names_of_members, with_free_names
from migrations_engine.diff.target_relations import alike, target_table, target_view, users_of
from migrations_engine.diff.target_types import naming_values, target_type, values_that_go
from migrations_engine.diff.use_order import labels_by_use
from migrations_engine.model import Attachment, Catalog, Column, Constraint, DatabaseObject, Relation


class _Labelled(Protocol):
    @property
    def label(self) -> str:
        """The name in messages, unique within the kind."""


T = TypeVar("T")
L = TypeVar("L", bound=_Labelled)


def target_catalog(sources: Sources) -> Catalog:
    """Return the catalog that the database should have at the end of the deploy, undeclared objects included."""
    declared_alone, sources = sources.declared, _with_free_sequences(alike_in(sources))
    relations = tuple(_relations(sources))
    owned = {column.sequence.label for table in relations for column in table.columns if column.sequence is not None}
    sequences = _labelled(sources, lambda side: side.sequences, target_sequence)
    merged: dict[str, Any] = {
        "relations": relations,
        "types": tuple(_labelled(sources, lambda side: side.types, target_type)),
        "sequences": tuple(sequence for sequence in sequences if sequence.label not in owned),
        "objects": tuple(_objects(sources)),
    }
    target = replace(Catalog(), **merged)
    declared, actual = (without_gone(side, target) for side in (sources.declared, sources.actual))
    sources = replace(sources, declared=declared, actual=actual)
    merged["comments"] = _comments(sources)
    for field in fields(Catalog):
        if field.name not in (*merged, "server_version", "column_users", "text"):
            sides = (sources.declared, sources.complete, sources.actual, sources.former or Catalog())
            merged[field.name] = _with_extras(*(getattr(side, field.name) for side in sides))
    return _with_declared_casts(replace(sources.actual, **merged, text=None), declared_alone, sources)


def _with_declared_casts(target: Catalog, declared: Catalog, sources: Sources) -> Catalog:
    """Return *target* with the casts of *declared* in the definitions over columns that get their declared types."""
    labels = retyped(sources.actual, target) - retyped(declared, target)
    return printed_by(declared, target, [(side, labels) for side in (sources.actual, sources.complete)])


def _with_free_sequences(sources: Sources) -> Sources:
    """Return *sources* with sequences that are free in one of them as free ones in all."""
    sides = {field.name: side for field in fields(sources) if isinstance(side := getattr(sources, field.name), Catalog)}
    labels = sometimes_free(sides.values())
    free: dict[str, Any] = {name: with_free_sequences(side, labels) for name, side in sides.items()}
    return replace(sources, **free)


def _relations(sources: Sources) -> Iterator[Relation]:
    relations = versions_by_label(sources, attrgetter("relation_by_label"))
    tables = {label: versions for label, versions in relations.items() if _is_table(versions)}
    targets = _tables(sources, tables)
    gone = {
        (label, column.name)
        for label, table in sources.declared.relation_by_label.items()
        for column in table.columns
        if table.is_table and (label not in targets or targets[label].column(column.name) is None)
    }
    readers = [user for user in sources.declared.column_users if user.kind == "view"]
    unusable = {user.name for user in readers if (user.relation, user.column) in gone}
    renamed = naming_values(values_that_go(sources.declared, sources.complete))
    unusable |= {view.label for view in sources.declared.relations if renamed(view.definition)}
    views = {
        label: view
        for label, versions in sorted(relations.items())
        if label not in tables and (view := target_view(versions)) is not None
    }
    for label in labels_by_use(views, attrgetter("uses")):
        missing = {*views[label].uses} & relations.keys() - targets.keys()
        if not (label in unusable or missing):
            targets[label] = views[label]
        elif (migrated := _as_migrated(relations[label])) is not None:
            targets[label] = migrated
    taken = names_of_members(table for label, table in targets.items() if relations[label].declared is None)
    for label, relation in targets.items():
        uses = users_of({column for table, column in gone if table == label})
        unsuitable = [item for item in relation.attachments if uses(item) or renamed(item.definition)]
        wanted = _without(unsuitable, relation, relations[label].complete) if unsuitable else relation
        yield with_free_names(wanted, relations[label].actual, taken) if relations[label].declared else wanted


def _tables(sources: Sources, tables: Mapping[str, Versions[Relation]]) -> dict[str, Relation]:
    """Return the target tables by label, without partitions that migrations rename or whose parents go."""
    targets = {label: table for label, versions in tables.items() if (table := target_table(versions)) is not None}
    bounds = {(table.parents, table.partition_bound) for table in sources.complete.relations}
    for label, table in [(label, table) for label, table in targets.items() if table.partition_bound]:
        is_renamed = tables[label].complete is None and (table.parents, table.partition_bound) in bounds
        if is_renamed or not all(parent in targets and targets[parent].partition_key for parent in table.parents):
            del targets[label]
    return {label: _with_drawn_defaults(table, targets, sources) for label, table in targets.items()}


def _with_drawn_defaults(table: Relation, targets: Mapping[str, Relation], sources: Sources) -> Relation:
    """Return *table* with defaults that draw from its parents' sequences by the names which these get."""
    renamed: dict[tuple[str, str | None], str | None] = {}
    for parent in table.parents:
        sides = [
            side.relation_by_label[parent]
            for side in (sources.complete, sources.actual)
            if parent in side.relation_by_label
        ]
        for column in targets[parent].columns if parent in targets else ():
            earlier = filter(None, (side.column(column.name) for side in sides))
            renamed |= {
                (one.name, own_default(one)): own_default(column) for one in earlier if one.sequence and column.sequence
            }
    columns = (replace(one, default=renamed.get((one.name, one.default), one.default)) for one in table.columns)
    return replace(table, columns=tuple(columns)) if renamed else table


def _is_table(versions: Versions[Relation]) -> bool:
    relation = versions.declared or versions.complete or versions.actual
    return relation is not None and relation.is_table


def _as_migrated(versions: Versions[Relation]) -> Relation | None:
    """Return the target of a view whose declaration names a table or column that migrations drop or rename."""
    if versions.complete is None:
        return None
    return target_view(versions if versions.declared is None else replace(versions, declared=versions.complete))


def _without(items: Collection[Attachment], relation: Relation, complete: Relation | None) -> Relation:
    """Return *relation* with *items* of its attachments as the migrations leave them."""
    left = complete.attachments if complete else ()
    found = (alike(item, left) if item in items else item for item in relation.attachments)
    return replace(relation, attachments=tuple(item for item in found if item is not None))


def _labelled(
    sources: Sources, items: Callable[[Catalog], Sequence[L]], target: Callable[[Versions[L]], L | None]
) -> Iterator[L]:
    """Yield the targets of types or sequences."""
    for versions in versions_by_label(sources, lambda catalog: {item.label: item for item in items(catalog)}).values():
        chosen = versions.undeclared() if versions.declared is None else target(versions)
        if chosen is not None:
            yield chosen


def _objects(sources: Sources) -> Iterator[DatabaseObject]:
    by_identity = versions_by_label(
        sources, lambda catalog: {f"{item.kind} {item.identity}": item for item in catalog.objects}
    )
    for versions in by_identity.values():
        declared = versions.declared
        holds_values = declared is not None and declared.kind == "collation"  # in the order of indexes
        chosen = versions.decide(lambda item: item) if holds_values else declared or versions.undeclared()
        if chosen is not None:
            yield chosen


def without_gone(catalog: Catalog, target: Catalog) -> Catalog:
    """Return *catalog* without comments and privileges on what is not in *target*."""
    gone = [*_gone(catalog, target)]
    if not gone:
        return catalog
    places = {(relation.label, item.name) if relation else (item.label, None) for item, relation in gone}
    return replace(
        catalog,
        comments=tuple(one for one in catalog.comments if not any(is_on(one[1], *place) for place in gone)),
        privileges=tuple(
            one for one in catalog.privileges if places.isdisjoint([(one.label, None), (one.label, one.column)])
        ),
        text=None,
    )


def _gone(catalog: Catalog, target: Catalog) -> Iterator[tuple[Any, Relation | None]]:
    """Yield the objects of *catalog* that are not in *target*, members with their relation."""
    types, sequences = ({item.label for item in items} for items in (target.types, target.sequences))
    yield from ((item, None) for item in catalog.types if item.label not in types)
    yield from ((item, None) for item in catalog.sequences if item.label not in sequences)
    for relation in catalog.relations:
        kept = target.relation_by_label.get(relation.label)
        if kept is None:
            yield relation, None
            continue
        names = {(type(item), item.name) for item in _members(kept)}
        yield from ((item, relation) for item in _members(relation) if (type(item), item.name) not in names)


def _members(relation: Relation) -> tuple[Column | Constraint | Attachment, ...]:
    return *relation.columns, *relation.constraints, *relation.attachments


def _comments(sources: Sources) -> tuple[tuple[str, str, str], ...]:
    """Return declared comments, and those that migrations make. Others, made by hand, are not compared."""
    declared, complete, actual = (
        {(kind, identity): text for kind, identity, text in side.comments}
        for side in (sources.declared, sources.complete, sources.actual)
    )
    kept = {key: text for key, text in actual.items() if key not in declared and key in complete}
    return tuple((*key, text) for key, text in sorted({**declared, **kept}.items()))


def _with_extras(
    declared: Sequence[T], complete: Sequence[T], actual: Sequence[T], former: Sequence[T]
) -> tuple[T, ...]:
    """Return declared and additional objects, without those that are no longer declared."""
    return (*declared, *(item for item in actual if item not in declared and (item in complete or item not in former)))

"""Definitions as PostgreSQL prints them over the types of the columns that they use.

PostgreSQL prints ``CHECK (a > -1)`` with casts that depend on the type of *a*. Where migrations have changed that type,
the declared definition is never found in the database, even directly after it was run there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from migrations_engine.diff.expression import canonical, without_casts
from migrations_engine.diff.sources import Sources
from migrations_engine.model import Attachment, Catalog, Constraint, Relation

D = TypeVar("D", Constraint, Attachment)

_Definitions = dict[tuple[str, str], str]  #: by kind and name


def as_printed(target: Catalog, sources: Sources) -> Catalog:
    """Return *target* with the definitions of *actual* that differ in casts alone.

    Definitions over the same column types as in a new database stay, and so do those whose declaration has changed
    since *former*.
    """
    relations = tuple(_as_found(relation, sources) for relation in target.relations)
    return target if relations == target.relations else replace(target, relations=relations, text=None)


def _as_found(relation: Relation, sources: Sources) -> Relation:
    label = relation.label
    found = sources.actual.relation_by_label.get(label)
    if found is None or found == relation:
        return relation
    declared, complete, former = (
        side.relation_by_label.get(label) if side is not None else None
        for side in (sources.declared, sources.complete, sources.former)
    )
    same = [side for side in (declared, complete) if side is not None and _has_types_of(side, relation)]
    settled = {item for side in same for item in _definitions(side).items()}
    there, asked, earlier = _definitions(found), _definitions(declared), _definitions(former)
    printed = {
        key: there[key]
        for key, text in _definitions(relation).items()
        if without_casts(there.get(key)) == without_casts(text)
        and (key, text) not in settled
        and canonical(earlier.get(key)) in (None, canonical(asked.get(key)))
    }
    return _with_definitions(relation, printed) if printed else relation


def _has_types_of(side: Relation, table: Relation) -> bool:
    """Return whether the columns of *table* have the same types in *side*. Those of a view follow from its query."""
    types = {column.name: column.type for column in side.columns}
    return table.is_table and all(types.get(column.name, column.type) == column.type for column in table.columns)


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


def _with_definitions(relation: Relation, texts: _Definitions) -> Relation:
    """Return *relation* with the given definitions in place of its own."""
    return replace(
        relation,
        constraints=tuple(_with_definition(item, texts) for item in relation.constraints),
        attachments=tuple(_with_definition(item, texts) for item in relation.attachments),
        columns=tuple(
            replace(column, default=texts.get(("column", column.name), column.default)) for column in relation.columns
        ),
        definition=texts.get((relation.kind, ""), relation.definition),
    )


def _with_definition(item: D, texts: _Definitions) -> D:
    return replace(item, definition=texts.get((item.kind, item.name), item.definition))

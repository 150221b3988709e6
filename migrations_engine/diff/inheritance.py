"""Leaves out properties that a child table or partition inherits from its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from migrations_engine.diff.difference import Difference
from migrations_engine.diff.expression import canonical
from migrations_engine.diff.sequences import own_default
from migrations_engine.model import Attachment, Catalog, Column, Relation

#: Changes of a partitioned table that drop the parts of its indexes.
_REPLACING: Final = frozenset({"drop_constraint", "alter_constraint", "drop_index", "alter_index"})


def with_own_defaults(catalog: Catalog, actual: Catalog) -> dict[str, Relation]:
    """Return the relations by label; an inherited column has a default only if it differs from its parent's.

    :param actual: the database, in which a table may have parents that it is not declared with
    """
    relations, found = catalog.relation_by_label, actual.relation_by_label

    def parents(relation: Relation) -> tuple[str, ...]:
        return relation.parents or (found[relation.label].parents if relation.label in found else ())

    def own(relation: Relation, column: Column) -> Column:
        for parent in parents(relation):
            above = relations[parent].column(column.name) if parent in relations else None
            if column.inherited and above and canonical(column.default) == canonical(own_default(above)):
                return replace(column, default=None)
        return column

    return {
        label: replace(relation, columns=tuple(own(relation, column) for column in relation.columns))
        if parents(relation)
        else relation
        for label, relation in relations.items()
    }


def without_followers(differences: Sequence[Difference], relations: Mapping[str, Relation]) -> list[Difference]:
    """Leave out differences that change with the parent table: columns like those of it, and parts of its indexes.

    Parts of an index that the parent drops or replaces go with it. Names that differ then are found afterwards.
    """
    told = {(item.table, item.name, item.change_type, item.to_text) for item in differences}
    replaced = {item.table for item in differences if item.change_type in _REPLACING}

    def follows(item: Difference) -> bool:
        relation = item.relation
        if relation is not None and isinstance(item.found, Attachment) and item.found.inherited:
            return item.change_type == "rename_index" and not replaced.isdisjoint(relation.parents)
        column = relation.column(item.name) if relation and item.name else None
        if relation is None or column is None or not column.inherited:
            return False
        parents = [parent for parent in relation.parents if parent in relations]
        return any((parent, item.name, item.change_type, item.to_text) in told for parent in parents)

    return [item for item in differences if not follows(item)]

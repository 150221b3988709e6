"""Renames the objects of an earlier catalog, so that a rename is not compared as a drop and an addition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from migrations_engine.model import Attachment, Catalog, Column, Constraint, Names, ObjectNames, Relation

M = TypeVar("M", Constraint, Attachment)


def with_new_names(before: Catalog, then: Names, now: Names, after: Catalog) -> Catalog:
    """Return *before* with the present names of its tables, columns and types.

    :param then: the names at the time of *before*
    :param now: the present names
    :param after: the present catalog, for definitions of constraints and indexes with the new names
    """
    pairs = [_Renaming(old, now[identity]) for identity, old in then.items() if identity in now]
    renamed = {pair.old.label: pair for pair in pairs if pair.changes_something}
    if not renamed:
        return before
    relations = before.relations
    for renaming in renamed.values():
        relations = tuple(renaming.in_columns_of(relation) for relation in relations)
    return replace(
        before,
        relations=tuple(
            renamed[relation.label].of(relation, after) if relation.label in renamed else relation
            for relation in (_with_parents(relation, renamed) for relation in relations)
        ),
        types=tuple(
            replace(type_, label=pair.new.label, schema=pair.new.schema, name=pair.new.name)
            if (pair := renamed.get(type_.label))
            else type_
            for type_ in before.types
        ),
        text=None,
    )


@dataclass(frozen=True, slots=True)
class _Renaming:
    """The earlier and the present names of a table or type."""

    old: ObjectNames
    new: ObjectNames

    @property
    def changes_something(self) -> bool:
        kept = [name for number, name in self.old.columns.items() if number in self.new.columns]
        return self.old.label != self.new.label or any(name not in self.new.columns.values() for name in kept)

    def of(self, relation: Relation, after: Catalog) -> Relation:
        """Return *relation* with its new names, and the present definitions of its members."""
        names = {name: self.new.columns.get(number, name) for number, name in self.old.columns.items()}
        result = after.relation_by_label.get(self.new.label)
        return replace(
            relation,
            label=self.new.label,
            schema=self.new.schema,
            name=self.new.name,
            columns=tuple(replace(column, name=names.get(column.name, column.name)) for column in relation.columns),
            constraints=_as_now(relation.constraints, result.constraints if result else ()),
            attachments=_as_now(relation.attachments, result.attachments if result else ()),
        )

    def in_columns_of(self, relation: Relation) -> Relation:
        """Return *relation* with the new name of the type in the types and defaults of its columns."""
        if self.old.label == self.new.label:
            return relation
        spelled = re.compile(rf'(?<![\w."]){re.escape(self.old.qualified)}(?![\w"])')

        def spell(text: str | None) -> str | None:
            return text and spelled.sub(self.new.qualified, text)

        def column_of(column: Column) -> Column:
            return replace(column, type=spell(column.type) or column.type, default=spell(column.default))

        return replace(relation, columns=tuple(column_of(column) for column in relation.columns))


def _with_parents(relation: Relation, renamed: Mapping[str, _Renaming]) -> Relation:
    parents = tuple(renamed[parent].new.label if parent in renamed else parent for parent in relation.parents)
    return replace(relation, parents=parents)


def _as_now(items: Sequence[M], now: Sequence[M]) -> tuple[M, ...]:
    """Return *items* with the present definitions of those with the same names."""
    by_name = {(item.kind, item.name): item for item in now}
    return tuple(by_name.get((item.kind, item.name), item) for item in items)

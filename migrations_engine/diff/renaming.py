"""Renames the objects of an earlier catalog, so that a rename is not compared as a drop and an addition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from migrations_engine.diff.comments import spellings
from migrations_engine.model import Attachment, Catalog, Column, Constraint, Names, ObjectNames, Privilege, Relation

Comment: TypeAlias = tuple[str, str, str]
M = TypeVar("M", Constraint, Attachment)


def with_new_names(before: Catalog, then: Names, now: Names, after: Catalog) -> Catalog:
    """Return *before* with the present names of its tables, views, columns, sequences and types.

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
        sequences=tuple(
            replace(sequence, label=pair.new.label, schema=pair.new.schema, name=pair.new.name)
            if (pair := renamed.get(sequence.label))
            else sequence
            for sequence in before.sequences
        ),
        comments=tuple(_comment_in(comment, renamed.values(), after) for comment in before.comments),
        privileges=tuple(
            renamed[privilege.label].of_privilege(privilege) if privilege.label in renamed else privilege
            for privilege in before.privileges
        ),
        text=None,
    )


@dataclass(frozen=True, slots=True)
class _Renaming:
    """The earlier and the present names of a table, view, sequence or type."""

    old: ObjectNames
    new: ObjectNames

    @property
    def changes_something(self) -> bool:
        kept = [name for number, name in self.old.columns.items() if number in self.new.columns]
        return self.old.label != self.new.label or any(name not in self.new.columns.values() for name in kept)

    def of(self, relation: Relation, after: Catalog) -> Relation:
        """Return *relation* with its new names, and the present definitions of its members."""
        names = self._columns
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

    def of_privilege(self, privilege: Privilege) -> Privilege:
        """Return *privilege* with the new names."""
        column = privilege.column and self._columns.get(privilege.column, privilege.column)
        return replace(privilege, label=self.new.label, qualified=self.new.qualified, column=column)

    def of_identity(self, identity: str) -> Iterator[str]:
        """Yield the possible new identities of *identity*, with the column quoted or not."""
        spelled = self.in_text(identity)
        yield spelled
        for old, new in self._columns.items():
            if spelled in [f"{self.new.qualified}.{name}" for name in spellings(old)]:
                yield from (f"{self.new.qualified}.{name}" for name in spellings(new))

    def in_columns_of(self, relation: Relation) -> Relation:
        """Return *relation* with the new name of the type in the types and defaults of its columns."""
        if self.old.label == self.new.label:
            return relation

        def column_of(column: Column) -> Column:
            default = column.default and self.in_text(column.default)
            return replace(column, type=self.in_text(column.type), default=default)

        return replace(relation, columns=tuple(column_of(column) for column in relation.columns))

    def in_text(self, text: str) -> str:
        """Return *text* with the new name in place of the old one."""
        return re.sub(rf'(?<![\w."]){re.escape(self.old.qualified)}(?![\w"])', lambda _: self.new.qualified, text)

    @property
    def _columns(self) -> dict[str, str]:
        return {name: self.new.columns.get(number, name) for number, name in self.old.columns.items()}


def _comment_in(comment: Comment, renamings: Iterable[_Renaming], after: Catalog) -> Comment:
    """Return *comment* with the new name of its object."""
    kind, identity, text = comment
    commented = {identity for _, identity, _ in after.comments}
    for renaming in renamings:
        names = [*renaming.of_identity(identity)]
        identity = next((name for name in reversed(names) if name in commented), names[0])
    return kind, identity, text


def _with_parents(relation: Relation, renamed: Mapping[str, _Renaming]) -> Relation:
    parents = tuple(renamed[parent].new.label if parent in renamed else parent for parent in relation.parents)
    return replace(relation, parents=parents)


def _as_now(items: Sequence[M], now: Sequence[M]) -> tuple[M, ...]:
    """Return *items* with the present definitions of those with the same names."""
    by_name = {(item.kind, item.name): item for item in now}
    return tuple(by_name.get((item.kind, item.name), item) for item in items)

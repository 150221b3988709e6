"""Renames the objects of an earlier catalog, so that a rename is not compared as a drop and an addition."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final, TypeAlias, TypeVar

from migrations_engine.diff.comments import identities_of_member, spellings
from migrations_engine.diff.target import without_gone
from migrations_engine.model import (
    Attachment,
    Catalog,
    Column,
    Constraint,
    Names,
    ObjectNames,
    Privilege,
    Relation,
    Type,
)

Comment: TypeAlias = tuple[str, str, str]
M = TypeVar("M", Constraint, Attachment)

#: Kinds of members whose comments have another kind.
_MEMBERS: Final = {"table constraint": "constraint", "statistics object": "statistics"}
_WORD: Final = re.compile(r"""E?'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|\w+|[^\s\w]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Renames:
    """The names of objects before and after migrations."""

    then: Names
    now: Names
    after: Catalog  #: after the migrations, for definitions of constraints and indexes with the new names

    @property
    def earlier_labels(self) -> dict[str, str]:
        """The earlier labels of what was renamed, by its present one."""
        return {pair.new.label: pair.old.label for pair in self._pairs if pair.old.label != pair.new.label}

    def applied_to(self, before: Catalog) -> Catalog:
        """Return an earlier catalog with the present names of its tables, views, columns, sequences and types."""
        renamed = {pair.old.label: pair for pair in self._pairs if pair.changes_something}
        if not renamed:
            return before
        relations = before.relations
        for renaming in renamed.values():
            relations = tuple(renaming.in_columns_of(relation) for relation in relations)
        spelling, after = _Spelling.of(renamed.values()), self.after
        return replace(
            before,
            relations=tuple(
                spelling.of_relation(
                    renamed[relation.label].of(relation) if relation.label in renamed else relation, after
                )
                for relation in (_with_parents(relation, renamed) for relation in relations)
            ),
            types=tuple(pair.of_type(type_) if (pair := renamed.get(type_.label)) else type_ for type_ in before.types),
            sequences=tuple(
                sequence.with_name_of(pair.new) if (pair := renamed.get(sequence.label)) else sequence
                for sequence in before.sequences
            ),
            comments=tuple(_comment_in(comment, renamed.values(), after) for comment in before.comments),
            privileges=tuple(
                renamed[privilege.label].of_privilege(privilege) if privilege.label in renamed else privilege
                for privilege in before.privileges
            ),
            text=None,
        )

    @property
    def _pairs(self) -> Iterator[_Renaming]:
        return (_Renaming(old, self.now[identity]) for identity, old in self.then.items() if identity in self.now)


def without_renamed_away(renamed: Catalog, former: Catalog, declared: Catalog) -> Catalog:
    """Return *renamed* without the tables, columns and sequences whose new names are not *declared*.

    A migration has put them aside with their rows, and they stay like what a migration has created.

    :param renamed: the declarations of the last deploy, with the names that migrations have given to them
    :param former: the same with the names that were declared, in the same order
    """

    def kept(relation: Relation, then: Relation) -> Relation:
        wanted = declared.relation_by_label.get(relation.label)
        pairs = zip(relation.columns, then.columns, strict=True)
        columns = tuple(
            column
            for column, earlier in pairs
            if column.name == earlier.name or (wanted and wanted.column(column.name))
        )
        return relation if wanted is None or columns == relation.columns else replace(relation, columns=columns)

    relations = {now.label: (now, then) for now, then in zip(renamed.relations, former.relations, strict=True)}
    away = {
        label
        for label, (now, then) in relations.items()
        if now.is_table and label != then.label and label not in declared.relation_by_label
    }
    away |= {label for label, (now, _) in relations.items() if away & {*now.parents} and now.partition_bound}
    sequences = zip(renamed.sequences, former.sequences, strict=True)
    asked_for = {sequence.label for sequence in declared.sequences}
    remaining = replace(
        renamed,
        relations=tuple(kept(now, then) for label, (now, then) in relations.items() if label not in away),
        sequences=tuple(now for now, then in sequences if now.label == then.label or now.label in asked_for),
        text=None,
    )
    notes = without_gone(renamed, remaining)
    return replace(remaining, comments=notes.comments, privileges=notes.privileges)


@dataclass(frozen=True, slots=True)
class _Renaming:
    """The earlier and the present names of a table, view, sequence or type."""

    old: ObjectNames
    new: ObjectNames

    @property
    def changes_something(self) -> bool:
        has_other_columns = any(old != new for old, new in self._columns.items())
        return self.old.label != self.new.label or has_other_columns or bool(self._members)

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """The earlier and the present name of everything that was renamed."""
        yield self.old.name, self.new.name
        yield from self._columns.items()
        yield from ((old, new) for (_, old), new in self._members.items())

    def of(self, relation: Relation) -> Relation:
        """Return *relation* with its new names."""
        return replace(
            relation.with_name_of(self.new),
            columns=self._renamed(relation.columns),
            constraints=tuple(
                replace(item, name=self._members.get(("constraint", item.name), item.name))
                for item in relation.constraints
            ),
            attachments=tuple(
                replace(item, name=self._members.get((item.kind, item.name), item.name))
                for item in relation.attachments
            ),
        )

    def of_type(self, type_: Type) -> Type:
        """Return *type_* with its new name, and those of its values or attributes."""
        values = tuple(self._columns.get(value, value) for value in type_.values)
        return replace(type_.with_name_of(self.new), values=values, attributes=self._renamed(type_.attributes))

    def of_privilege(self, privilege: Privilege) -> Privilege:
        """Return *privilege* with the new names."""
        column = privilege.column and self._columns.get(privilege.column, privilege.column)
        return replace(privilege, label=self.new.label, qualified=self.new.qualified, column=column)

    def of_identity(self, kind: str, identity: str) -> Iterator[str]:
        """Yield the possible new identities of *identity*, with the column or member quoted or not."""
        spelled = self.in_text(identity)
        yield spelled
        for (member, old), new in self._members.items():
            if member == _MEMBERS.get(kind, kind):
                olds, news = (identities_of_member(self.new, member, name) for name in (old, new))
                yield from news if spelled in olds else ()
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

    def _renamed(self, columns: Iterable[Column]) -> tuple[Column, ...]:
        names = self._columns
        return tuple(replace(column, name=names.get(column.name, column.name)) for column in columns)

    @property
    def _columns(self) -> dict[str, str]:
        return {name: self.new.columns.get(number, name) for number, name in self.old.columns.items()}

    @property
    def _members(self) -> dict[tuple[str, str], str]:
        """The new names of renamed members, by kind and old name."""
        return {
            (key.partition(" ")[0], old): new
            for key, old in self.old.members.items()
            if (new := self.new.members.get(key, old)) != old
        }


@dataclass(frozen=True, slots=True)
class _Spelling:
    """Compares definitions from before and after renames."""

    pairs: frozenset[tuple[str, str]]  #: earlier and present names
    tables: Mapping[tuple[str, str], tuple[str, str]]  #: schema and name
    schemas: frozenset[str]  #: from or to which something was moved

    @classmethod
    def of(cls, renamings: Collection[_Renaming]) -> _Spelling:
        moved = [one for one in renamings if one.old.schema != one.new.schema]
        return cls(
            pairs=frozenset(pair for one in renamings for pair in one.pairs),
            tables={one.old.address: one.new.address for one in renamings},
            schemas=frozenset(schema for one in moved for schema in (one.old.schema, one.new.schema)),
        )

    def of_relation(self, relation: Relation, after: Catalog) -> Relation:
        """Return *relation* with the present definitions of members of which nothing but names has changed."""
        now = after.relation_by_label.get(relation.label)
        if now is None:
            return relation
        return replace(
            relation,
            constraints=tuple(self._as_now(item, now.constraints) for item in relation.constraints),
            attachments=tuple(self._as_now(item, now.attachments) for item in relation.attachments),
        )

    def _as_now(self, item: M, now: Iterable[M]) -> M:
        same = next((other for other in now if (other.kind, other.name) == (item.kind, item.name)), None)
        if same is None or same == item:
            return item
        if isinstance(item, Constraint) and isinstance(same, Constraint) and item.kind == "f":
            is_same = self._is_same_key(item, same)
        else:
            is_same = self._differ_in_names(self._words(item.definition), self._words(same.definition))
        return same if is_same else item

    def _is_same_key(self, old: Constraint, new: Constraint) -> bool:
        table = (old.foreign_schema or "", old.foreign_table or "")
        return (
            self.tables.get(table, table) == (new.foreign_schema, new.foreign_table)
            and self._differ_in_names(old.columns, new.columns)
            and self._differ_in_names(old.foreign_columns, new.foreign_columns)
            and old.definition.rpartition(")")[2] == new.definition.rpartition(")")[2]
        )

    def _differ_in_names(self, old: Sequence[str], new: Sequence[str]) -> bool:
        """Return whether the words are the same but for names."""
        return len(old) == len(new) and all(a == b or (a, b) in self.pairs for a, b in zip(old, new, strict=True))

    def _words(self, definition: str) -> list[str]:
        words = [word.strip('"').replace('""', '"') for word in _WORD.findall(definition)]
        return [
            word
            for word, following in zip_longest(words, words[1:])
            if not (self.schemas and (word == "." or (following == "." and word in self.schemas)))
        ]


def _comment_in(comment: Comment, renamings: Iterable[_Renaming], after: Catalog) -> Comment:
    """Return *comment* with the new name of its object."""
    kind, identity, text = comment
    commented = {identity for _, identity, _ in after.comments}
    for renaming in renamings:
        names = [*renaming.of_identity(kind, identity)]
        identity = next((name for name in reversed(names) if name in commented), names[0])
    return kind, identity, text


def _with_parents(relation: Relation, renamed: Mapping[str, _Renaming]) -> Relation:
    parents = tuple(renamed[parent].new.label if parent in renamed else parent for parent in relation.parents)
    return replace(relation, parents=parents)

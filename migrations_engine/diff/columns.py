"""Compares the columns of a table or view."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from migrations_engine.diff.difference import Difference, Verdict, dataloss, incompatible, safe, unless_refused
from migrations_engine.diff.expression import canonical_default, naming
from migrations_engine.diff.generated_columns import columns_made_again, expression, generated_from, generation
from migrations_engine.diff.sequences import own_default, replaced_sequence_verdict, sequence_texts, sequence_verdict
from migrations_engine.diff.sides import ColumnSides, RelationSides
from migrations_engine.diff.type_change import TypeName, classify_type_change
from migrations_engine.model import Catalog, Column, ColumnUser, Relation, Type

_LATER_ROWS: Final = "it applies only to rows that are added later"
_PROPERTIES: Final = ("storage", "compression", "statistics")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnComparison:
    """The comparison of one table's columns."""

    sides: RelationSides
    types: Mapping[str, Type]  #: the application's types by label
    users: tuple[ColumnUser, ...]  #: of any column of the database
    server_version: int
    made_again: frozenset[str]  #: names of generated columns that can only be dropped and added again
    relations: tuple[Relation, ...]  #: of the database

    @classmethod
    def of(cls, sides: RelationSides, actual: Catalog, wanted: Catalog) -> ColumnComparison:
        """Return the comparison of a table of the database *actual*, which should become *wanted*."""
        types = {**actual.type_by_label, **wanted.type_by_label}
        return cls(
            sides=sides,
            types=types,
            users=actual.column_users,
            server_version=actual.server_version,
            made_again=frozenset(columns_made_again(sides, actual, types)),
            relations=actual.relations,
        )

    def differences(self) -> Iterator[Difference]:
        """Yield the differences of each column in the declared order, then the columns that are not wanted."""
        sides = self.sides
        for wanted in sides.wanted.columns:
            found = sides.found.column(wanted.name)
            if found is not None:
                former = sides.former.column(wanted.name) if sides.former else None
                yield from self._altered(ColumnSides(found=found, wanted=wanted, former=former))
            elif not wanted.inherited and not self._follows_a_type:
                yield self._difference("add_column", None, wanted, (None, wanted.type), self._added(wanted))
        for column in sides.found.columns if not self._follows_a_type else ():
            if (column.local or not column.inherited) and self._is_unwanted(column):
                verdict = dataloss("the column is no longer declared; its values would be lost")
                yield self._difference("drop_column", column, None, (column.type, None), verdict)

    def view_differences(self) -> Iterator[Difference]:
        """Yield the differences of a view's columns. Everything else about them follows from its query."""
        sides = self.sides
        for wanted in sides.wanted.columns:
            found = sides.found.column(wanted.name) or Column(name=wanted.name, type=wanted.type)
            former = sides.former.column(wanted.name) if sides.former else None
            column = ColumnSides(found=found, wanted=wanted, former=former)
            yield from self._default(column)
            yield from self._properties(column)

    @property
    def holds_back_a_type(self) -> bool:
        """Return whether a column keeps an unwanted type, so that PostgreSQL prints its dependants with other casts."""
        for found in self.sides.found.columns:
            wanted = self.sides.wanted.column(found.name)
            if wanted is None or found.type == wanted.type:
                continue
            if self._type_verdict(found, wanted).compatibility != "safe":
                return True
        return False

    @property
    def _follows_a_type(self) -> bool:
        """Return whether the columns of the table are the attributes of a composite type."""
        return self.sides.found.of_type is not None and self.sides.found.of_type == self.sides.wanted.of_type

    def _is_unwanted(self, column: Column) -> bool:
        sides = self.sides
        if sides.wanted.column(column.name):
            return False
        return sides.former is None or sides.former.column(column.name) is not None

    def _difference(
        self,
        change_type: str,
        found: Column | None,
        wanted: Column | None,
        texts: tuple[str | None, str | None],
        verdict: Verdict,
    ) -> Difference:
        subject = found or wanted
        assert subject is not None
        return Difference(
            change_type=change_type,
            table=self.sides.found.label,
            name=subject.name,
            found=found,
            wanted=wanted,
            relation=self.sides.found,
            from_text=texts[0],
            to_text=texts[1],
            verdict=verdict,
        )

    def _added(self, column: Column) -> Verdict:
        domain = self.types.get(TypeName.parse(column.type).label)
        is_domain = domain is not None and domain.kind == "domain" and not column.type.endswith("[]")
        required = column.not_null or (is_domain and domain is not None and domain.not_null)
        filled = column.default is not None or column.sequence is not None or column.generated is not None
        if filled or (is_domain and domain is not None and domain.default is not None):
            rewrites = column.sequence is not None or column.generated == "STORED"
            return safe("existing rows get its default", rewrites=rewrites)
        if required:
            return dataloss("NOT NULL without a default: existing rows would have no value")
        return safe("existing rows get NULL")

    def _altered(self, sides: ColumnSides) -> Iterator[Difference]:
        if sides.found.name in self.made_again:
            verdict = safe("a generated column has no values of its own, and is created again", rewrites=True)
            texts = (generation(sides.found), generation(sides.wanted))
            yield self._difference("remake_generated_column", sides.found, sides.wanted, texts, verdict)
            return
        if not sides.wanted.inherited and not self._follows_a_type:
            yield from self._type(sides)
            yield from self._collation(sides)
        yield from self._generated(sides)
        yield from self._identity(sides)
        yield from self._default(sides)
        yield from self._not_null(sides)
        yield from self._not_null_constraint(sides)
        yield from self._sequence(sides)
        yield from self._properties(sides)

    def _type(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found, sides.wanted
        if old.type != new.type:
            yield self._difference("alter_column_type", old, new, (old.type, new.type), self._type_verdict(old, new))

    def _type_verdict(self, old: Column, new: Column) -> Verdict:
        verdict = classify_type_change(old.type, new.type, self.types)
        if verdict.compatibility == "safe" and (obstacle := self._obstacle(old)):
            return incompatible(f"{verdict.reason}, but {obstacle}")
        return verdict

    def _obstacle(self, column: Column) -> str | None:
        """Return why PostgreSQL refuses to change the type of *column*, in words; None if it does not."""
        relation = self.sides.found
        for user in generated_from(relation, self.users):
            if user.column == column.name and user.name not in self.made_again:
                return f"the generated column {user.name} uses the column"
        return "the column is in the partition key" if _is_in_partition_key(column, relation) else None

    def _collation(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found, sides.wanted
        if old.collation != new.collation:
            texts = (old.collation or "the type's own", new.collation or "the type's own")
            verdict = incompatible("values would sort and compare differently")
            yield self._difference("alter_column_collation", old, new, texts, verdict)

    def _generated(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found, sides.wanted
        if expression(old) == expression(new):
            return
        if new.generated is None and old.generated == "STORED":
            verdict = safe("the computed values stay, and are no longer computed")
        elif old.generated and new.generated:
            verdict = safe("the values are computed again", rewrites=new.generated == "STORED")
        elif old.generated:
            verdict = incompatible("the values of a virtual column are not stored")
        else:
            verdict = incompatible("computed values would replace existing ones")
        yield self._difference("alter_column_generated", old, new, (generation(old), generation(new)), verdict)

    def _identity(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found, sides.wanted
        if old.identity == new.identity:
            return
        verdict = replaced_sequence_verdict(old, new, self.relations) or safe(_LATER_ROWS)
        yield self._difference("alter_column_identity", old, new, (_identity(old), _identity(new)), verdict)

    def _default(self, sides: ColumnSides) -> Iterator[Difference]:
        def key(column: Column) -> Hashable:
            if column.generated or column.identity:
                return None
            return "serial" if column.is_serial else canonical_default(column.default, column.type)

        old, new = sides.found, sides.wanted
        is_with_identity = (new.identity and not old.identity) or (old.identity and new.is_serial)
        if key(old) == key(new) or is_with_identity:
            return
        texts = (own_default(old), own_default(new))
        left = "; the sequence is left in place" if old.is_serial and not new.is_serial else ""
        yield self._difference("alter_column_default", old, new, texts, safe(_LATER_ROWS + left))

    def _not_null(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found, sides.wanted
        if old.not_null == new.not_null:
            return
        if new.not_null_unvalidated:
            verdict = safe("existing rows are not checked")
            yield self._difference("set_not_null", old, new, ("NULL", "NOT NULL NOT VALID"), verdict)
        elif new.not_null:
            verdict = dataloss("rows without a value would be refused")
            yield self._difference("set_not_null", old, new, ("NULL", "NOT NULL"), verdict)
        elif not self._is_in_primary_key(old):
            verdict = safe("the column allows more values")
            yield self._difference("drop_not_null", old, new, ("NOT NULL", "NULL"), verdict)

    def _is_in_primary_key(self, column: Column) -> bool:
        """Return whether the primary key of the table, or of the one of which it is a partition, has *column*."""
        relation: Relation | None = self.sides.found
        while relation is not None:
            if any(key.kind == "p" and column.name in key.columns for key in relation.constraints):
                return True
            parents = relation.parents if relation.partition_bound else ()
            relation = next((other for other in self.relations if other.label in parents), None)
        return False

    def _not_null_constraint(self, sides: ColumnSides) -> Iterator[Difference]:
        """Compare name and scope of the NOT NULL constraints, if both sides have one."""
        old, new = sides.found, sides.wanted
        if old.not_null_name is None or new.not_null_name is None:
            return
        if old.not_null_unvalidated and not new.not_null_unvalidated:
            verdict = unless_refused("existing rows were never checked")
            yield self._difference("validate_not_null", old, new, ("NOT NULL NOT VALID", "NOT NULL"), verdict)
        if old.not_null_no_inherit != new.not_null_no_inherit:
            texts = tuple("NO INHERIT" if side.not_null_no_inherit else None for side in (old, new))
            verdict = safe("only what child tables inherit changes")
            if old.not_null_no_inherit:
                verdict = unless_refused("rows of child tables must have a value, too")
            yield self._difference("alter_not_null", old, new, (texts[0], texts[1]), verdict)
        if old.not_null_name != new.not_null_name:
            texts = (old.not_null_name, new.not_null_name)
            verdict = safe("only the constraint's name changes")
            yield self._difference("rename_not_null", old, new, texts, verdict)

    def _sequence(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found, sides.wanted
        if old.sequence is None or new.sequence is None or (old.identity is None) != (new.identity is None):
            return
        if old.sequence.label != new.sequence.label:
            texts = (old.sequence.label, new.sequence.label)
            yield self._difference("rename_sequence", old, new, texts, safe("only the sequence's name changes"))
        if old.sequence.options != new.sequence.options:
            verdict = sequence_verdict(old.sequence, new.sequence)
            texts = sequence_texts(old.sequence, new.sequence)
            yield self._difference("alter_sequence", old, new, texts, verdict)

    def _properties(self, sides: ColumnSides) -> Iterator[Difference]:
        """Compare storage properties. An undeclared property was set by hand and stays."""
        found, wanted = _properties(sides.found), _properties(sides.wanted)
        former = _properties(sides.former) if sides.former else {}
        for name in {**found, **wanted}:
            old, new = found.get(name), wanted.get(name)
            if old == new or (new is None and name not in former):
                continue
            change_type = f"alter_column_{name}" if name in _PROPERTIES else "alter_column_option"
            verdict = safe(f"{name} changes how values are stored, not the values")
            yield self._difference(change_type, sides.found, sides.wanted, (old, new), verdict)


def _is_in_partition_key(column: Column, relation: Relation) -> bool:
    return naming([column.name])(relation.partition_key or "")


def _identity(column: Column) -> str | None:
    return f"GENERATED {column.identity} AS IDENTITY" if column.identity else None


def _properties(column: Column) -> dict[str, str]:
    values = {name: getattr(column, name) for name in _PROPERTIES}
    options = dict(option.partition("=")[::2] for option in column.options)
    return {**{name: str(value) for name, value in values.items() if value is not None}, **options}

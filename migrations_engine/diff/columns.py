"""Comparing the columns of a table."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from migrations_engine.diff.difference import Difference
from migrations_engine.diff.expression import canonical, canonical_default
from migrations_engine.diff.sides import RelationSides, is_settled
from migrations_engine.diff.type_change import TypeName, classify_type_change
from migrations_engine.model import Catalog, Column, ColumnUser, Relation, Type

_SET_EXPRESSION_SINCE: Final = 170000  #: ``ALTER COLUMN … SET EXPRESSION`` came with PostgreSQL 17
#: What PostgreSQL will not change a column's type under, and what cannot be taken away and put back around the change.
_IMMOVABLE_USERS: Final = frozenset({"generated column", "function"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSides:
    """One column that is there and declared, on all sides."""

    found: Column
    declared: Column
    complete: Column
    former: Column | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnComparison:
    """The comparison of one table's columns."""

    sides: RelationSides
    types: Mapping[str, Type]  #: the application's types by label
    users: tuple[ColumnUser, ...]  #: of any column of the database
    server_version: int

    @classmethod
    def of(cls, sides: RelationSides, actual: Catalog, complete: Catalog) -> ColumnComparison:
        types = {**actual.type_by_label, **complete.type_by_label}
        return cls(sides=sides, types=types, users=actual.column_users, server_version=actual.server_version)

    def differences(self) -> Iterator[Difference]:
        """Every difference of a column, in the declared order; then the columns that are there but not wanted."""
        sides = self.sides
        for declared in sides.declared.columns:
            found, complete = sides.found.column(declared.name), sides.complete.column(declared.name)
            if complete is None:  # a migration drops or renames it
                continue
            if found is not None:
                former = sides.former.column(declared.name) if sides.former else None
                yield from self._altered(ColumnSides(found=found, declared=declared, complete=complete, former=former))
            elif not complete.inherited:
                yield self._added(complete)
        for column in sides.found.columns:
            if not column.inherited and self._is_unwanted(column):
                yield self._difference(
                    "drop_column", column.name, found=column, from_text=column.type, compatibility="dataloss",
                    reason="the column is declared no more; its values would be lost",
                )  # fmt: skip

    @property
    def holds_back_a_type(self) -> bool:
        """Whether a column keeps a type that is not the wanted one, so that what uses it cannot look as declared."""
        for found in self.sides.found.columns:
            declared, complete = (side.column(found.name) for side in (self.sides.declared, self.sides.complete))
            if declared is not None and complete is not None and found.type not in (declared.type, complete.type):
                judged = classify_type_change(found.type, complete.type, self.types)
                if judged.compatibility != "safe" or self._obstacle(found):
                    return True
        return False

    def _is_unwanted(self, column: Column) -> bool:
        sides = self.sides
        if sides.declared.column(column.name) or sides.complete.column(column.name):
            return False
        return sides.former is None or sides.former.column(column.name) is not None

    def _difference(self, change_type: str, name: str, **facts: object) -> Difference:
        relation = self.sides.found
        return Difference(change_type=change_type, table=relation.label, name=name, relation=relation, **facts)  # type: ignore[arg-type]

    def _added(self, column: Column) -> Difference:
        domain = self.types.get(TypeName.parse(column.type).base.removeprefix("public."))
        filled = column.default is not None or column.sequence is not None or column.generated is not None
        if domain is not None and domain.kind == "domain":
            filled = filled or domain.default is not None
            required = column.not_null or domain.not_null
        else:
            required = column.not_null
        if required and not filled:
            return self._difference(
                "add_column", column.name, wanted=column, to_text=column.type, compatibility="dataloss",
                reason="NOT NULL without a default: rows that are there would have no value",
            )  # fmt: skip
        reason = "rows that are there get its default" if filled else "rows that are there get NULL"
        return self._difference(
            "add_column", column.name, wanted=column, to_text=column.type, compatibility="safe", reason=reason,
            rewrites=column.sequence is not None or column.generated == "STORED",
        )  # fmt: skip

    def _altered(self, sides: ColumnSides) -> Iterator[Difference]:
        if not sides.complete.inherited:
            yield from self._type(sides)
            yield from self._collation(sides)
        yield from self._generated(sides)
        yield from self._identity(sides)
        yield from self._default(sides)
        yield from self._not_null(sides)
        yield from self._sequence(sides)
        yield from self._settings(sides)

    def _type(self, sides: ColumnSides) -> Iterator[Difference]:
        if is_settled(sides.found, sides.declared, sides.complete, lambda column: column.type):
            return
        old, new = sides.found.type, sides.complete.type
        judged = classify_type_change(old, new, self.types)
        if judged.compatibility == "safe" and (obstacle := self._obstacle(sides.found)):
            judged = judged._replace(compatibility="incompatible", reason=f"{judged.reason}, but {obstacle}")
        yield self._difference(
            "alter_column_type", sides.found.name, found=sides.found, wanted=sides.complete,
            from_text=old, to_text=new, compatibility=judged.compatibility, reason=judged.reason, rewrites=judged.rewrites,
        )  # fmt: skip

    def _obstacle(self, column: Column) -> str | None:
        """Say what PostgreSQL would refuse to change *column*'s type under, in words."""
        relation = self.sides.found
        for user in self.users:
            if (user.relation, user.column) == (relation.label, column.name) and user.kind in _IMMOVABLE_USERS:
                return f"the {user.kind} {user.name} uses the column; use a migration"
        key = relation.partition_key or ""
        if re.search(rf'(?<![\w"]){re.escape(column.name)}(?![\w"])|"{re.escape(column.name)}"', key):
            return "the column is in the partition key; use a migration"
        return None

    def _collation(self, sides: ColumnSides) -> Iterator[Difference]:
        if not is_settled(sides.found, sides.declared, sides.complete, lambda column: column.collation):
            yield self._difference(
                "alter_column_collation", sides.found.name, found=sides.found, wanted=sides.complete,
                from_text=sides.found.collation or "the type's own", to_text=sides.complete.collation or "the type's own",
                compatibility="incompatible", reason="values would sort and compare differently; use a migration",
            )  # fmt: skip

    def _generated(self, sides: ColumnSides) -> Iterator[Difference]:
        def key(column: Column) -> Hashable:
            return column.generated, canonical(column.default) if column.generated else None

        if is_settled(sides.found, sides.declared, sides.complete, key):
            return
        old, new = sides.found, sides.complete
        facts = {"found": old, "wanted": new, "from_text": _generation(old), "to_text": _generation(new)}
        if new.generated is None and old.generated == "STORED":
            safe, reason = True, "the computed values stay, and are computed no more"
        elif old.generated and old.generated == new.generated and self.server_version >= _SET_EXPRESSION_SINCE:
            safe, reason = True, "the values are computed anew"
        elif old.generated:
            safe, reason = False, "this server cannot change how a generated column is computed; use a migration"
        else:
            safe, reason = False, "computed values would replace those that are there; use a migration"
        yield self._difference(
            "alter_column_generated", old.name, compatibility="safe" if safe else "incompatible", reason=reason,
            rewrites=safe and new.generated == "STORED", **facts,
        )  # fmt: skip

    def _identity(self, sides: ColumnSides) -> Iterator[Difference]:
        if is_settled(sides.found, sides.declared, sides.complete, lambda column: column.identity):
            return
        old, new = sides.found, sides.complete
        replaced = old.is_serial and new.identity is not None
        yield self._difference(
            "alter_column_identity", old.name, found=old, wanted=new, from_text=_identity(old), to_text=_identity(new),
            compatibility="incompatible" if replaced else "safe",
            reason="the serial column's sequence would be replaced; use a migration"
            if replaced else "only rows that are added later are concerned",
        )  # fmt: skip

    def _default(self, sides: ColumnSides) -> Iterator[Difference]:
        def key(column: Column) -> Hashable:
            if column.generated or column.identity:
                return None
            return "serial" if column.is_serial else canonical_default(column.default, column.type)

        old, new = sides.found, sides.complete
        if is_settled(old, sides.declared, new, key) or (new.identity and old.identity is None and old.is_serial):
            return
        yield self._difference(
            "alter_column_default", old.name, found=old, wanted=new, from_text=_default_text(old),
            to_text=_default_text(new), compatibility="safe", reason="only rows that are added later are concerned",
        )  # fmt: skip

    def _not_null(self, sides: ColumnSides) -> Iterator[Difference]:
        if is_settled(sides.found, sides.declared, sides.complete, lambda column: column.not_null):
            return
        if sides.complete.not_null:
            yield self._difference(
                "set_not_null", sides.found.name, found=sides.found, wanted=sides.complete, from_text="NULL",
                to_text="NOT NULL", compatibility="dataloss", reason="rows without a value would be refused",
            )  # fmt: skip
        elif not any(key.kind == "p" and sides.found.name in key.columns for key in self.sides.found.constraints):
            yield self._difference(
                "drop_not_null", sides.found.name, found=sides.found, wanted=sides.complete, from_text="NOT NULL",
                to_text="NULL", compatibility="safe", reason="the column only allows more",
            )  # fmt: skip

    def _sequence(self, sides: ColumnSides) -> Iterator[Difference]:
        old, new = sides.found.sequence, sides.complete.sequence
        if old is None or new is None or sides.found.identity != sides.complete.identity:
            return
        if is_settled(
            sides.found, sides.declared, sides.complete, lambda column: column.sequence and column.sequence.options
        ):
            return
        wider = new.minimum <= old.minimum and new.maximum >= old.maximum
        yield self._difference(
            "alter_sequence", sides.found.name, found=old, wanted=new, from_text=old.type, to_text=new.type,
            compatibility="safe" if wider else "incompatible",
            reason="only numbers that are drawn later are concerned" if wider
            else "numbers that were drawn may lie outside; use a migration",
        )  # fmt: skip

    def _settings(self, sides: ColumnSides) -> Iterator[Difference]:
        def settings(column: Column) -> dict[str, object]:
            values = {"storage": column.storage, "compression": column.compression, "statistics": column.statistics}
            return {**values, **dict(option.partition("=")[::2] for option in column.options)}

        found, declared, complete = settings(sides.found), settings(sides.declared), settings(sides.complete)
        former = settings(sides.former) if sides.former else {}
        for name in {**found, **complete}:
            have, wish = found.get(name), complete.get(name)
            if have in (wish, declared.get(name)) or (wish is None and former.get(name) is None):
                continue
            yield self._difference(
                f"alter_column_{name}" if name in ("storage", "compression", "statistics") else "alter_column_option",
                sides.found.name, found=sides.found, wanted=sides.complete, from_text=_text(have), to_text=_text(wish),
                compatibility="safe", reason=f"{name} concerns how values are kept, not what they are",
            )  # fmt: skip


def without_followers(differences: list[Difference], relations: Mapping[str, Relation]) -> list[Difference]:
    """Leave out a column's difference in a child table where the same change to its parent brings it along."""
    told = {(item.table, item.name, item.change_type, item.to_text) for item in differences}

    def follows(item: Difference) -> bool:
        column = item.relation.column(item.name) if item.relation and item.name else None
        if column is None or not column.inherited or item.relation is None:
            return False
        parents = item.relation.parents
        return any(
            (parent, item.name, item.change_type, item.to_text) in told for parent in parents if parent in relations
        )

    return [item for item in differences if not follows(item)]


def with_parents_defaults(catalog: Catalog) -> dict[str, Relation]:
    """The relations of a catalog, where an inherited column has a default only if it is not simply its parent's."""
    relations = catalog.relation_by_label

    def own(relation: Relation, column: Column) -> Column:
        for parent in relation.parents:
            above = relations[parent].column(column.name) if parent in relations else None
            if column.inherited and above and canonical(column.default) == canonical(_default_text(above)):
                return replace(column, default=None)
        return column

    return {
        label: replace(relation, columns=tuple(own(relation, column) for column in relation.columns))
        if relation.parents
        else relation
        for label, relation in relations.items()
    }


def _default_text(column: Column) -> str | None:
    if column.sequence is not None and column.is_serial:
        qualified = column.sequence.label if "." in column.sequence.label else f"public.{column.sequence.label}"
        return f"nextval('{qualified}'::regclass)"
    return None if column.generated or column.identity else column.default


def _identity(column: Column) -> str | None:
    return f"GENERATED {column.identity} AS IDENTITY" if column.identity else None


def _generation(column: Column) -> str | None:
    return f"GENERATED ALWAYS AS ({column.default}) {column.generated}" if column.generated else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)

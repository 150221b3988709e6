"""Compares generated columns, and finds those that have to be dropped and added again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

from migrations_engine.diff.expression import canonical
from migrations_engine.diff.sides import RelationSides
from migrations_engine.diff.type_change import classify_type_change
from migrations_engine.model import Catalog, Column, ColumnUser, Relation, Type

_SET_EXPRESSION_SINCE: Final = 170000  #: ``ALTER COLUMN … SET EXPRESSION`` came with PostgreSQL 17


def columns_made_again(sides: RelationSides, actual: Catalog, types: Mapping[str, Type]) -> Iterator[str]:
    """Yield the names of generated columns that PostgreSQL cannot change, so that they are dropped and added again."""
    users = generated_from(sides.found, actual.column_users)
    for wanted in sides.wanted.columns:
        old = sides.found.column(wanted.name)
        if old is None or not (old.generated and wanted.generated) or wanted.inherited:
            continue
        in_place = old.generated == wanted.generated and actual.server_version >= _SET_EXPRESSION_SINCE
        is_other = expression(old) != expression(wanted) and not in_place
        used = [user.column for user in users if user.name == wanted.name]
        if is_other or any(_becomes_wider(name, sides, types) for name in used):
            yield wanted.name


def _becomes_wider(name: str, sides: RelationSides, types: Mapping[str, Type]) -> bool:
    """Return whether the type of a column changes to one that holds all its values."""
    old, new = sides.found.column(name), sides.wanted.column(name)
    if old is None or new is None or new.inherited or old.type == new.type:
        return False
    return classify_type_change(old.type, new.type, types).compatibility == "safe"


def generated_from(relation: Relation, users: Iterable[ColumnUser]) -> list[ColumnUser]:
    """Return the uses of *relation*'s columns by its own generated columns."""
    label = relation.label
    return [user for user in users if (user.relation, user.holder, user.kind) == (label, label, "generated column")]


def expression(column: Column) -> Hashable:
    """Return the comparable parts of the clause of a generated column."""
    return column.generated, canonical(column.default) if column.generated else None


def generation(column: Column) -> str | None:
    """Return the clause of a generated column, for people."""
    return f"GENERATED ALWAYS AS ({column.default}) {column.generated}" if column.generated else None

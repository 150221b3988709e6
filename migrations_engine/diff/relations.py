"""Comparing tables and views as wholes: whether they are there, and what they are."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from migrations_engine.diff.difference import Difference
from migrations_engine.diff.expression import canonical, without_casts
from migrations_engine.diff.sides import RelationSides
from migrations_engine.model import Relation

#: What a table is made with and keeps: attribute → (change type, what would be different).
_LASTING: Final = {
    "partition_key": ("alter_partitioning", "the partition key"),
    "partition_bound": ("alter_partitioning", "the partition's bounds"),
    "parents": ("alter_inheritance", "the tables it inherits from or is a partition of"),
    "of_type": ("alter_inheritance", "the composite type it is made of"),
    "server": ("alter_foreign_table", "the foreign server or its options"),
    "access_method": ("alter_access_method", "the access method"),
}


def added(relation: Relation) -> Difference:
    """A relation that is declared and not there."""
    word = "table" if relation.is_table else "view"
    return Difference(
        change_type=f"add_{word}", table=relation.label, wanted=relation, to_text=relation.kind, compatibility="safe",
        reason=f"the {relation.kind} is new",
    )  # fmt: skip


def dropped(relation: Relation) -> Difference:
    """A relation that the last deploy declared, and that is declared no more."""
    if relation.is_table:
        return Difference(
            change_type="drop_table", table=relation.label, found=relation, relation=relation, from_text=relation.kind,
            compatibility="dataloss", reason="the table is declared no more; its rows would be lost",
        )  # fmt: skip
    return Difference(
        change_type="drop_view", table=relation.label, found=relation, relation=relation, from_text=relation.kind,
        compatibility="safe", reason=f"the {relation.kind} is declared no more; it holds no rows of its own",
    )  # fmt: skip


def diff_kind(sides: RelationSides) -> Difference | None:
    """The difference when a relation is of another kind altogether; there is no comparing further then."""
    if sides.found.kind in (sides.declared.kind, sides.complete.kind):
        return None
    return _lasting(
        sides, "alter_kind", sides.found.kind, sides.complete.kind, f"the {sides.found.kind} would become another kind"
    )


def diff_table(sides: RelationSides) -> Iterator[Difference]:
    """Differences of a table's own properties."""
    for attribute, (change_type, what) in _LASTING.items():
        values = [getattr(side, attribute) for side in (sides.found, sides.declared, sides.complete)]
        if values[0] not in values[1:]:
            old, new = (", ".join(value) if isinstance(value, tuple) else value for value in (values[0], values[2]))
            yield _lasting(sides, change_type, old, new, f"{what} would change")
    yield from _persistence(sides)
    yield from _switches(sides)
    yield from diff_options(sides)


def diff_options(sides: RelationSides) -> Iterator[Difference]:
    """Differences of storage parameters. One that nobody declared was set by hand and stays."""
    found, declared, complete = (_options(side) for side in (sides.found, sides.declared, sides.complete))
    former = _options(sides.former) if sides.former else {}
    for name in {**found, **complete}:
        have, wish = found.get(name), complete.get(name)
        if have in (wish, declared.get(name)) or (wish is None and name not in former):
            continue
        yield Difference(
            change_type="alter_option", table=sides.found.label, name=name, relation=sides.found, found=sides.found,
            wanted=sides.complete, from_text=have, to_text=wish, compatibility="safe",
            reason="a storage parameter concerns how rows are kept, not what they are",
        )  # fmt: skip


def diff_view(sides: RelationSides, *, loose: bool) -> Iterator[Difference]:
    """Differences of a view's query. What its columns are follows from the query and the tables.

    :param loose: leave casts out of the comparison, because a table keeps a type that is not the wanted one
    """

    def shape(view: Relation) -> Hashable:
        spelled = without_casts(view.definition) if loose else canonical(view.definition)
        return spelled, tuple(column.name for column in view.columns)

    if shape(sides.found) in (shape(sides.declared), shape(sides.complete)):
        yield from diff_options(sides)
        return
    yield Difference(
        change_type="alter_view", table=sides.found.label, relation=sides.found, found=sides.found, wanted=sides.complete,
        from_text=sides.found.definition, to_text=sides.complete.definition, compatibility="safe",
        reason=f"the {sides.found.kind} differs; it holds no rows of its own",
    )  # fmt: skip


def _persistence(sides: RelationSides) -> Iterator[Difference]:
    if sides.found.unlogged in (sides.declared.unlogged, sides.complete.unlogged):
        return
    names = {True: "unlogged", False: "logged"}
    yield Difference(
        change_type="alter_persistence", table=sides.found.label, relation=sides.found, found=sides.found,
        wanted=sides.complete, from_text=names[sides.found.unlogged], to_text=names[sides.complete.unlogged],
        compatibility="dataloss" if sides.complete.unlogged else "safe", rewrites=True,
        reason="an unlogged table is emptied by a crash" if sides.complete.unlogged else "the rows survive a crash from now on",
    )  # fmt: skip


def _switches(sides: RelationSides) -> Iterator[Difference]:
    for attribute in ("row_security", "force_row_security", "replica_identity"):
        have, asked, wish = (getattr(side, attribute) for side in (sides.found, sides.declared, sides.complete))
        by_hand = not wish and not (sides.former and getattr(sides.former, attribute))
        if have in (asked, wish) or by_hand:
            continue
        yield Difference(
            change_type=f"alter_{attribute}", table=sides.found.label, relation=sides.found, found=sides.found,
            wanted=sides.complete, from_text=str(have), to_text=str(wish), compatibility="safe",
            reason="no row changes; who sees or replicates it does",
        )  # fmt: skip


def _lasting(sides: RelationSides, change_type: str, old: str | None, new: str | None, what: str) -> Difference:
    return Difference(
        change_type=change_type, table=sides.found.label, relation=sides.found, found=sides.found, wanted=sides.complete,
        from_text=old, to_text=new, compatibility="incompatible", reason=f"{what}; use a migration",
    )  # fmt: skip


def _options(relation: Relation) -> dict[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in relation.options)}

"""Compares tables and views as wholes: their existence, kind and properties."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from migrations_engine.diff.difference import Difference, Verdict, dataloss, incompatible, safe
from migrations_engine.diff.expression import canonical
from migrations_engine.diff.sides import RelationSides
from migrations_engine.model import Relation

#: Attributes that a table keeps from its creation: attribute → (change type, its name for people).
_LASTING: Final = {
    "partition_key": ("alter_partitioning", "the partition key"),
    "partition_bound": ("alter_partitioning", "the partition's bounds"),
    "parents": ("alter_inheritance", "the tables it inherits from or is a partition of"),
    "of_type": ("alter_inheritance", "the composite type it is made of"),
    "server": ("alter_foreign_table", "the foreign server"),
    "access_method": ("alter_access_method", "the access method"),
}
_PERSISTENCE: Final = {True: "unlogged", False: "logged"}


def added(relation: Relation) -> Difference:
    """Return the difference for a missing relation."""
    return Difference(
        change_type="add_table" if relation.is_table else "add_view",
        table=relation.label,
        wanted=relation,
        to_text=relation.kind,
        verdict=safe(f"the {relation.kind} is new"),
    )


def dropped(relation: Relation) -> Difference:
    """Return the difference for a relation that is no longer declared."""
    rows = dataloss("the table is no longer declared; its rows would be lost")
    none = safe(f"the {relation.kind} is no longer declared; it holds no rows of its own")
    return Difference(
        change_type="drop_table" if relation.is_table else "drop_view",
        table=relation.label,
        found=relation,
        relation=relation,
        from_text=relation.kind,
        verdict=rows if relation.is_table else none,
    )


def diff_kind(sides: RelationSides) -> Difference | None:
    """Return the difference of kinds, if any; then nothing else is compared."""
    old, new = sides.found.kind, sides.wanted.kind
    if old == new:
        return None
    if not sides.found.is_table and not sides.wanted.is_table:
        verdict = safe(f"the {old} becomes a {new}; neither holds rows of its own")
        return _altered(sides, "alter_view", (old, new), verdict)
    return _altered(sides, "alter_kind", (old, new), incompatible(f"the {old} would become a {new}"))


def diff_table(sides: RelationSides) -> Iterator[Difference]:
    """Yield the differences of the properties of a table itself."""
    for attribute, (change_type, what) in _LASTING.items():
        old, new = (getattr(side, attribute) for side in (sides.found, sides.wanted))
        if old != new:
            texts = tuple(", ".join(value) if isinstance(value, tuple) else value for value in (old, new))
            verdict = incompatible(f"{what} would change", _instructions(attribute, sides))
            yield _altered(sides, change_type, (texts[0], texts[1]), verdict)
    yield from _persistence(sides)
    yield from _switches(sides)
    yield from _clustering(sides)
    yield from diff_options(sides)


def _instructions(attribute: str, sides: RelationSides) -> str | None:
    """Return the statements with which a migration attaches a partition or child table, or detaches it."""
    found, wanted = sides.found, sides.wanted
    old, new = found.partition_bound, wanted.partition_bound
    if attribute == "partition_bound" or (attribute == "parents" and old is not None and old == new):
        lines = [f"ALTER TABLE {parent} DETACH PARTITION {found.label}" for parent in found.parents if old]
        lines += [f"ALTER TABLE {parent} ATTACH PARTITION {found.label} {new}" for parent in wanted.parents if new]
    elif attribute == "parents" and old == new:
        former, later = found.parents, wanted.parents
        lines = [f"ALTER TABLE {found.label} NO INHERIT {parent}" for parent in former if parent not in later]
        lines += [f"ALTER TABLE {found.label} INHERIT {parent}" for parent in later if parent not in former]
    else:
        return None
    return "; ".join(lines)


def diff_options(sides: RelationSides) -> Iterator[Difference]:
    """Yield the differences of storage parameters. An undeclared one was set by hand and stays."""
    found, wanted = _options(sides.found), _options(sides.wanted)
    former = _options(sides.former) if sides.former else {}
    verdict = safe("an option changes how rows are stored or found, not the rows")
    for name in {**found, **wanted}:
        old, new = found.get(name), wanted.get(name)
        if old != new and (new is not None or name in former):
            yield _altered(sides, "alter_option", (old, new), verdict, name=name)


def diff_view(sides: RelationSides) -> Iterator[Difference]:
    """Yield the differences of the query of a view. Its columns follow from the query and the tables."""

    def shape(view: Relation) -> Hashable:
        return canonical(view.definition), tuple(column.name for column in view.columns)

    if shape(sides.found) == shape(sides.wanted):
        yield from _clustering(sides)
        yield from diff_options(sides)
        return
    verdict = safe(f"the {sides.found.kind} differs; it holds no rows of its own")
    yield _altered(sides, "alter_view", (sides.found.definition, sides.wanted.definition), verdict)


def _persistence(sides: RelationSides) -> Iterator[Difference]:
    old, new = sides.found.unlogged, sides.wanted.unlogged
    if old != new:
        verdict = safe("the rows survive a crash from now on", rewrites=True)
        if new:
            verdict = dataloss("an unlogged table is emptied by a crash")
        yield _altered(sides, "alter_persistence", (_PERSISTENCE[old], _PERSISTENCE[new]), verdict)


def _switches(sides: RelationSides) -> Iterator[Difference]:
    """Compare row security and replication. An undeclared setting was switched on by hand and stays."""
    for attribute in ("row_security", "force_row_security", "replica_identity"):
        verdict = safe("no row changes; its visibility or replication does")
        yield from _switch(sides, attribute, f"alter_{attribute}", verdict)


def _clustering(sides: RelationSides) -> Iterator[Difference]:
    verdict = safe("only CLUSTER uses it")
    yield from _switch(sides, "clustered_on", "alter_clustering", verdict)


def _switch(sides: RelationSides, attribute: str, change_type: str, verdict: Verdict) -> Iterator[Difference]:
    old, new = (getattr(side, attribute) for side in (sides.found, sides.wanted))
    by_hand = not new and not (sides.former and getattr(sides.former, attribute))
    if old != new and not by_hand:
        yield _altered(sides, change_type, (str(old), str(new)), verdict)


def _altered(
    sides: RelationSides,
    change_type: str,
    texts: tuple[str | None, str | None],
    verdict: Verdict,
    *,
    name: str | None = None,
) -> Difference:
    return Difference(
        change_type=change_type,
        table=sides.found.label,
        name=name,
        relation=sides.found,
        found=sides.found,
        wanted=sides.wanted,
        from_text=texts[0],
        to_text=texts[1],
        verdict=verdict,
    )


def _options(relation: Relation) -> dict[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in relation.options)}

"""The target catalog of a database, computed from its schema, its migrations and its present state.

A table, column, type, default or constraint follows the latest change. Where a migration and the declaration differ:

1. a change by a migration of this deploy stays;
2. a declaration that has changed since the last deploy is the target;
3. the present state stays if it is as declared; else the target is the result of the migrations.

Objects without rows (views, indexes, triggers, rules, policies, rights, comments) are wanted as declared, also if a
migration changed them, if their dependencies exist. Objects made only by a migration, or by hand, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

from migrations_engine.diff.expression import canonical, canonical_default, without_casts
from migrations_engine.diff.type_alterations import type_shape
from migrations_engine.model import Attachment, Catalog, Column, Constraint, DatabaseObject, Relation, Type

#: Attributes with which a table is created; the others concern the visibility and storage of rows.
_LASTING: Final = ("unlogged", "partition_key", "partition_bound", "parents", "of_type", "server", "access_method")
_SWITCHES: Final = ("row_security", "force_row_security", "replica_identity", "clustered_on")
#: Attributes of a column that only make sense together.
_TYPE: Final = ("type", "collation")
_VALUE: Final = ("default", "identity", "generated", "sequence")
_NOT_NULL: Final = ("not_null", "not_null_name", "not_null_no_inherit", "not_null_unvalidated")
_OTHERS: Final = tuple(
    field.name for field in fields(Column) if field.name not in ("name", *_TYPE, *_VALUE, *_NOT_NULL)
)


class _Named(Protocol):
    @property
    def name(self) -> str:
        """As PostgreSQL stores it."""


class _Labelled(Protocol):
    @property
    def label(self) -> str:
        """Its name as people read it, which is unique within its kind."""


T = TypeVar("T")
U = TypeVar("U")
N = TypeVar("N", bound=_Named)
L = TypeVar("L", bound=_Labelled)
D = TypeVar("D", Constraint, Attachment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The declarations about a database, and its present state."""

    declared: Catalog  #: what ``types/`` and ``tables/`` make in an empty database
    complete: Catalog  #: what they make there together with every migration
    actual: Catalog  #: the database, after the migrations of this deploy
    before: Catalog | None = None  #: the database before them; None for a new database
    former: Catalog | None = None  #: what the last deploy declared; None when that is unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides(Generic[T]):
    """One thing as each source has it, None where it is absent."""

    declared: T | None
    complete: T | None
    actual: T | None
    before: T | None
    former: T | None
    knows_before: bool  #: *before* says something; else the thing it belongs to was not there before this deploy
    knows_former: bool  #: *former* says something; else the last deploy did not declare what it belongs to

    def within(self, part: Callable[[T], U | None]) -> _Sides[U]:
        """Return the sides of a part of this thing."""
        declared, complete, actual, before, former = (
            None if side is None else part(side)
            for side in (self.declared, self.complete, self.actual, self.before, self.former)
        )
        return _Sides(
            declared=declared,
            complete=complete,
            actual=actual,
            before=before,
            former=former,
            knows_before=self.knows_before and self.before is not None and self.actual is not None,
            knows_former=self.knows_former and self.former is not None,
        )

    def decide(self, key: Callable[[T], Hashable]) -> T | None:
        """Return what is wanted by the three rules, as one of the sides."""

        def spelled(side: T | None) -> Hashable:
            return None if side is None else (key(side),)

        if spelled(self.declared) == spelled(self.complete):
            return self.declared
        if self.knows_before and spelled(self.before) != spelled(self.actual):
            return self.actual
        if self.knows_former and spelled(self.former) != spelled(self.declared):
            return self.declared
        return self.declared if spelled(self.actual) == spelled(self.declared) else self.complete


def target_catalog(sources: Sources) -> Catalog:
    """Return what the database should be once the deploy has ended, all that it has besides included."""
    merged: dict[str, Any] = {
        "relations": tuple(_relations(sources)),
        "types": tuple(_labelled(sources, lambda side: side.types, type_shape)),
        "sequences": tuple(
            _labelled(sources, lambda side: side.sequences, lambda item: (item.options, item.owned_by, item.unlogged))
        ),
        "comments": _comments(sources),
        "objects": tuple(_objects(sources)),
    }
    for field in fields(Catalog):
        if field.name not in (*merged, "server_version", "column_users", "text"):
            sides = (sources.declared, sources.complete, sources.actual, sources.former or Catalog())
            merged[field.name] = _with_extras(*(getattr(side, field.name) for side in sides))
    return replace(sources.actual, **merged, text=None)


def column_value(column: Column) -> Hashable:
    """Return the comparable parts of a column's default, identity or expression."""
    options = column.sequence.options if column.sequence else None
    if column.generated:
        return "generated", column.generated, canonical(column.default)
    if column.identity:
        return "identity", column.identity, options
    return ("serial", options) if column.is_serial else ("default", canonical_default(column.default, column.type))


def _all_sides(sources: Sources, items: Callable[[Catalog], dict[str, U]]) -> dict[str, _Sides[U]]:
    """Return the objects of each source, by label."""
    declared, complete, actual, before, former = (
        items(side) if side is not None else {}
        for side in (sources.declared, sources.complete, sources.actual, sources.before, sources.former)
    )
    return {
        label: _Sides(
            declared=declared.get(label),
            complete=complete.get(label),
            actual=actual.get(label),
            before=before.get(label),
            former=former.get(label),
            knows_before=sources.before is not None,
            knows_former=sources.former is not None,
        )
        for label in {**declared, **complete, **actual}
    }


def _relations(sources: Sources) -> Iterator[Relation]:
    sides = _all_sides(sources, attrgetter("relation_by_label"))
    present = {label: table for label, side in sides.items() if _is_table(side) and (table := _table(side)) is not None}
    for label in [label for label, table in present.items() if table.partition_bound]:
        if not present.keys() >= {*present[label].parents}:
            del present[label]
    gone = {
        (label, column.name)
        for label, table in sources.declared.relation_by_label.items()
        for column in table.columns
        if table.is_table and (label not in present or present[label].column(column.name) is None)
    }
    readers = [user for user in sources.declared.column_users if user.kind == "view"]
    unusable = {user.name for user in readers if (user.relation, user.column) in gone}
    views = {label: view for label, side in sides.items() if not _is_table(side) and (view := _view(side)) is not None}
    for label in _by_use(views):
        uses = [used for used in views[label].uses if used in sides]
        if sides[label].complete is not None or not (label in unusable or {*uses} - present.keys()):
            present[label] = views[label]
    for label, relation in present.items():
        dropped = {column for table, column in gone if table == label}
        yield _without_users_of(relation, sides[label].complete, dropped) if dropped else relation


def _is_table(sides: _Sides[Relation]) -> bool:
    relation = sides.declared or sides.complete or sides.actual
    return relation is not None and relation.is_table


def _by_use(views: dict[str, Relation]) -> list[str]:
    """Return the labels of *views*, each after those it reads."""
    ordered: list[str] = []
    pending = sorted(views)
    while pending:
        ready = [label for label in pending if not {*views[label].uses} & {*pending} - {label}] or pending
        ordered += ready
        pending = [label for label in pending if label not in ready]
    return ordered


def _without_users_of(relation: Relation, complete: Relation | None, columns: Iterable[str]) -> Relation:
    """*relation* without the attachments that use one of *columns*, which is gone, unless migrations leave them."""
    names = "|".join(re.escape(name) for name in columns)
    used = re.compile(rf'(?<![\w"])(?:{names})(?![\w"])|"(?:{names})"')
    left = complete.attachments if complete else ()
    kept = [item for item in relation.attachments if not used.search(item.definition) or _like(item, left) is not None]
    return replace(relation, attachments=tuple(kept))


def _table(sides: _Sides[Relation]) -> Relation | None:
    """Return the target of the table; None if it should not exist."""
    if sides.declared is None:
        was_declared = sides.former is not None
        return sides.actual if sides.complete is not None or not was_declared else None
    if sides.complete is None:
        if not sides.declared.partition_bound and sides.decide(lambda _: True) is None:
            return None
        sides = replace(sides, complete=sides.declared)
    table = sides.within(lambda side: side)
    attributes = {name: getattr(table.decide(attrgetter(name)), name) for name in _LASTING}
    target = replace(
        _with_attachments(sides),
        **attributes,
        columns=tuple(_columns(sides)),
        constraints=tuple(_constraints(sides)),
    )
    return _over_migrated_types(target, sides.complete) if sides.complete is not None else target


def _over_migrated_types(target: Relation, complete: Relation) -> Relation:
    """Return the table with definitions as PostgreSQL prints them over types that migrations have changed."""
    types = {column.name: column.type for column in complete.columns}
    if any(types.get(column.name, column.type) != column.type for column in target.columns):
        return target
    return replace(
        target,
        constraints=tuple(_as_printed(item, complete.constraints) for item in target.constraints),
        attachments=tuple(_as_printed(item, complete.attachments) for item in target.attachments),
    )


def _as_printed(item: D, migrated: Sequence[D]) -> D:
    """Return *item* with the definition of that one of *migrated* from which it differs in casts alone."""
    for other in migrated:
        same = (other.kind, other.name) == (item.kind, item.name)
        if same and without_casts(other.definition) == without_casts(item.definition):
            return replace(item, definition=other.definition)
    return item


def _view(sides: _Sides[Relation]) -> Relation | None:
    if sides.declared is None:
        was_declared = sides.former is not None
        return sides.actual if sides.complete is not None or not was_declared else None
    view = _with_attachments(sides)
    for migrated in (sides.actual, sides.complete):  # the same query over a column whose type a migration has changed
        if migrated is not None and without_casts(migrated.definition) == without_casts(view.definition):
            columns = tuple(_of_type(view.column(column.name), column) for column in migrated.columns)
            return replace(view, definition=migrated.definition, columns=columns)
    return view


def _of_type(declared: Column | None, migrated: Column) -> Column:
    """Return the declared column of a view, with the type that migrations have given to its source."""
    return replace(declared, type=migrated.type, collation=migrated.collation) if declared else migrated


def _columns(sides: _Sides[Relation]) -> Iterator[Column]:
    assert sides.declared is not None
    for name in [column.name for column in sides.declared.columns]:
        column = sides.within(lambda relation, name=name: relation.column(name))  # type: ignore[misc]
        if column.complete is not None:
            yield _column(column)
        elif column.decide(lambda _: True) is not None:
            yield _column(replace(column, complete=column.declared))
    for found in sides.actual.columns if sides.actual else ():
        if sides.declared.column(found.name) is None:
            by_migration = sides.complete is not None and sides.complete.column(found.name) is not None
            if by_migration or (sides.former is not None and sides.former.column(found.name) is None):
                yield found


def _column(sides: _Sides[Column]) -> Column:
    """Return the column with the target of each of its attributes."""
    parts: list[tuple[tuple[str, ...], Callable[[Column], Hashable]]] = [
        (_TYPE, attrgetter(*_TYPE)),
        (_VALUE, column_value),
        (_NOT_NULL, attrgetter(*_NOT_NULL)),
        *(((name,), attrgetter(name)) for name in _OTHERS),
    ]
    column = sides.declared
    assert column is not None
    sides = sides.within(lambda side: side)
    for names, key in parts:
        chosen = sides.decide(key)
        column = replace(column, **{name: getattr(chosen, name) for name in names})
    return column


def _constraints(sides: _Sides[Relation]) -> Iterator[Constraint]:
    assert sides.declared is not None
    taken: list[Constraint] = []
    for asked in sides.declared.constraints:
        constraint = sides.within(lambda relation, asked=asked: _like(asked, relation.constraints))  # type: ignore[misc]
        chosen = replace(constraint, declared=asked).decide(_shape)
        taken += [item for item in (constraint.complete, constraint.actual) if item is not None]
        if chosen is not None:
            yield chosen
    for found in sides.actual.constraints if sides.actual else ():
        if found not in taken:
            by_migration = sides.complete is not None and _like(found, sides.complete.constraints) is not None
            if by_migration or sides.former is None or _like(found, sides.former.constraints) is None:
                yield found


def _with_attachments(sides: _Sides[Relation]) -> Relation:
    """Return the declared relation with the additions that migrations or people have made to it."""
    declared, actual = sides.declared, sides.actual
    assert declared is not None
    if actual is None:
        return declared
    complete, former = (side.attachments if side is not None else () for side in (sides.complete, sides.former))
    kept = [
        found
        for found in actual.attachments
        if _like(found, [item for item in declared.attachments if item.kind == found.kind]) is None
        and (_like(found, complete) is not None or _like(found, former) is None)
    ]
    switches = {
        name: getattr(declared, name) or getattr(actual, name)
        for name in _SWITCHES
        if not (sides.former is not None and getattr(sides.former, name))
    }
    return replace(declared, attachments=(*declared.attachments, *kept), options=_options(sides), **switches)


def _options(sides: _Sides[Relation]) -> tuple[str, ...]:
    declared, complete, actual, former = (
        dict(option.partition("=")[::2] for option in side.options) if side is not None else {}
        for side in (sides.declared, sides.complete, sides.actual, sides.former)
    )
    kept = {n: v for n, v in actual.items() if n not in declared and (n in complete or n not in former)}
    return tuple(f"{name}={value}" for name, value in {**declared, **kept}.items())


def _labelled(sources: Sources, items: Callable[[Catalog], Sequence[L]], key: Callable[[L], Hashable]) -> Iterator[L]:
    """Types or sequences, each as a whole; an enum that migrations only extend is wanted with their values."""
    for side in _all_sides(sources, lambda catalog: {item.label: item for item in items(catalog)}).values():
        if side.declared is None:
            if side.actual is not None and (side.complete is not None or side.former is None):
                yield side.actual
        elif isinstance(side.declared, Type) and isinstance(side.complete, Type) and side.declared.kind == "enum":
            extended = {*side.declared.values} <= {*side.complete.values}
            chosen = side.complete if extended else side.decide(key)
            if chosen is not None:
                yield chosen
        elif (chosen := side.decide(key)) is not None:
            yield chosen


def _objects(sources: Sources) -> Iterator[DatabaseObject]:
    for side in _all_sides(
        sources, lambda catalog: {f"{item.kind} {item.identity}": item for item in catalog.objects}
    ).values():
        if side.declared is not None:
            yield side.declared
        elif side.actual is not None and (side.complete is not None or side.former is None):
            yield side.actual


def _comments(sources: Sources) -> tuple[tuple[str, str, str], ...]:
    declared, complete, actual, former = (
        {(kind, identity): text for kind, identity, text in side.comments} if side is not None else {}
        for side in (sources.declared, sources.complete, sources.actual, sources.former)
    )
    kept = {
        key: text
        for key, text in actual.items()
        if key not in declared and (key in complete or former.get(key) != text)
    }
    return tuple((*key, text) for key, text in sorted({**declared, **kept}.items()))


def _with_extras(
    declared: Sequence[T], complete: Sequence[T], actual: Sequence[T], former: Sequence[T]
) -> tuple[T, ...]:
    """Return declared and additional objects, without those that are no longer declared."""
    return (*declared, *(item for item in actual if item not in declared and (item in complete or item not in former)))


def _shape(item: object) -> Hashable:
    assert isinstance(item, Constraint | Attachment)
    return item.kind, canonical(item.definition)


def _like(item: N, pool: Iterable[N]) -> N | None:
    """Return the matching object of *pool*: by name and definition if possible, else by definition, else by name."""
    pool = [*pool]
    alike = [other for other in pool if _shape(other) == _shape(item)]
    named = [other for other in pool if other.name == item.name]
    return next(iter([*(other for other in alike if other.name == item.name), *alike, *named]), None)

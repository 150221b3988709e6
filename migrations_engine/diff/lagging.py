"""Declarations that lag behind migrations of which a new database shows nothing.

Migrations may give the name of a declared object to another one: they swap columns or tables, or replace a column, type
or collation. In a new database the declared object may be the later one already, so they leave it as it is declared. In
an existing one, a declaration that has not changed since the last deploy is the earlier one, and lags.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from operator import attrgetter, methodcaller
from typing import Any, Final, TypeVar

from migrations_engine.diff.sources import Part, Sources, Versions, versions_by_label
from migrations_engine.diff.target_relations import NOT_NULL, TYPE, VALUE, column_value
from migrations_engine.diff.type_alterations import type_shape
from migrations_engine.model import Attachment, Catalog, Column, Constraint, DatabaseObject, Relation, Type

T = TypeVar("T")
M = TypeVar("M", Constraint, Attachment)


def with_lagging(sources: Sources) -> Sources:
    """Return *sources* with lagging declarations as the migrations of this deploy, or of an earlier one, leave them."""
    has_followed = sources.former is not sources.stated or sources.before not in (None, sources.actual)
    if sources.former is None or sources.stated is None or not has_followed:
        return sources
    tables = dict(_lagging(sources, attrgetter("relation_by_label"), _followed_table))
    types = dict(_lagging(sources, attrgetter("type_by_label"), _followed(_lasting)))
    objects = dict(_lagging(sources, _collations, _followed(_itself)))
    if not (tables or types or objects):
        return sources

    def read(catalog: Catalog) -> Catalog:
        declared = sources.declared.relation_by_label
        return replace(
            catalog,
            relations=tuple(
                _with_followed(item, declared[item.label], tables[item.label]) if item.label in tables else item
                for item in catalog.relations
            ),
            types=tuple(types.get(item.label, item) for item in catalog.types),
            objects=tuple(objects.get(_key(item), item) for item in catalog.objects),
            text=None,
        )

    return replace(sources, declared=read(sources.declared), complete=read(sources.complete))


def _lagging(
    sources: Sources, items: Callable[[Catalog], dict[Any, T]], followed: Callable[[Versions[T]], T | None]
) -> Iterator[tuple[Any, T]]:
    for label, versions in versions_by_label(sources, items).items():
        found = followed(versions)
        if found is not None and found != versions.declared:
            yield label, found


def _with_followed(table: Relation, declared: Relation, followed: Relation) -> Relation:
    """Return *table* with what is as *declared* in it as it has *followed* the migrations."""
    if table == declared or _names(followed) != _names(declared):
        return followed
    members: dict[str, Any] = {}
    for name in ("columns", "constraints", "attachments"):
        pairs = dict(zip(getattr(declared, name), getattr(followed, name), strict=True))
        members[name] = tuple(pairs.get(item, item) for item in getattr(table, name))
    return replace(table, **members)


def _followed(key: Callable[[T], Hashable]) -> Callable[[Versions[T]], T | None]:
    """Return a function that returns an object as migrations leave it; None if its declaration does not lag."""

    def followed(versions: Versions[T]) -> T | None:
        declared, complete, stated = versions.declared, versions.complete, versions.stated
        if declared is None or complete is None or stated is None or not key(declared) == key(complete) == key(stated):
            return None
        before, actual = versions.before, versions.actual
        is_changed = before is not None and actual is not None and key(before) != key(actual)
        left = actual if is_changed else versions.former
        return None if left is None or key(left) == key(declared) else left

    return followed


def _followed_table(versions: Versions[Relation]) -> Relation | None:
    declared, complete, actual = versions.declared, versions.complete, versions.actual
    stated, former = versions.stated, versions.former
    if not (declared and complete and actual and stated and former and declared.is_table):
        return None
    if _names(former) != _names(stated):  # it is another table
        is_lagging = declared.columns == stated.columns == complete.columns and _names(former) == _names(actual)
        return former if is_lagging else None
    columns = (versions.within(methodcaller("column", column.name)) for column in declared.columns)
    return replace(
        declared,
        columns=tuple(_followed_column(column) for column in columns),
        constraints=_followed_members(*map(attrgetter("constraints"), (declared, complete, stated, former))),
        attachments=_followed_members(*map(attrgetter("attachments"), (declared, complete, stated, former))),
    )


def _names(table: Relation) -> list[str]:
    return sorted(column.name for column in table.columns)


def _followed_column(versions: Versions[Column]) -> Column:
    declared, complete, actual, before = versions.declared, versions.complete, versions.actual, versions.before
    assert declared is not None
    if declared != versions.stated or complete is None:
        return declared
    column = versions.former if versions.former is not None and complete == declared else declared
    if before is None or actual is None:
        return column
    is_other_type = _type(before) != _type(actual) and _type(complete) == _type(declared)
    for names, key in _PARTS:
        is_made = key(actual) not in (key(before), _NO_VALUE) or (is_other_type and key is column_value)
        if is_made and key(complete) == key(declared):
            column = replace(column, **{name: getattr(actual, name) for name in names})
    return column


_type: Final[Callable[[Column], Hashable]] = attrgetter(*TYPE)
_NO_VALUE: Final = ("default", None)  #: it may be dropped as something that uses a function, to be made again
_PARTS: Final[tuple[Part, ...]] = ((TYPE, _type), (VALUE, column_value), (NOT_NULL, attrgetter("not_null")))


def _followed_members(
    declared: tuple[M, ...], complete: tuple[M, ...], stated: tuple[M, ...], former: tuple[M, ...]
) -> tuple[M, ...]:
    """Return the declared constraints or attachments as they have followed tables and columns to other names.

    Those that have other names themselves are as declared: they hold no rows.
    """
    if len(stated) != len(former):
        return declared
    pairs = {then: now for then, now in zip(stated, former, strict=True) if then.name == now.name}
    return tuple(pairs.get(item, item) if item in complete else item for item in declared)


def _lasting(type_: Type) -> Hashable:
    """Return what only another type can change. The checks, default and NOT NULL of a domain hold no values."""
    if type_.kind == "domain":
        return type_.kind, type_.base, type_.collation
    return type_shape(type_)


def _collations(catalog: Catalog) -> dict[Any, DatabaseObject]:
    return {_key(item): item for item in catalog.objects if item.kind == "collation"}


def _itself(item: DatabaseObject) -> Hashable:
    return item


def _key(item: DatabaseObject) -> tuple[str, str]:
    return item.kind, item.identity

"""What was added to a database for its migrations, and what these have dropped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from migrations_engine.diff.difference import Difference
from migrations_engine.model import Attachment, Catalog, Column, Constraint, Relation, Type

M = TypeVar("M", Column, Constraint, Attachment)


def with_additions(before: Catalog, actual: Catalog, added: Collection[Difference]) -> Catalog:
    """Return *before* with the tables, columns, constraints and attachments of *actual* that *added* names."""
    names = {(item.table, item.name) for item in added}

    def merged(relation: Relation) -> Relation:
        found = actual.relation_by_label.get(relation.label)
        if found is None:
            return relation

        asked = {name for label, name in names if label == relation.label}
        return replace(
            relation,
            columns=_both(relation.columns, found.columns, asked),
            constraints=_both(relation.constraints, found.constraints, asked),
            attachments=_both(relation.attachments, found.attachments, asked),
        )

    new = (
        relation
        for label, relation in actual.relation_by_label.items()
        if (label, None) in names and label not in before.relation_by_label
    )
    return replace(before, relations=(*map(merged, before.relations), *new), text=None)


def with_new_tables(former: Catalog, before: Catalog, actual: Catalog, declared: Catalog) -> Catalog:
    """Return *former* with the declared tables of *actual* that are not in *before*: in them, nothing is by hand."""
    known = before.relation_by_label.keys() | former.relation_by_label.keys()
    labels = declared.relation_by_label.keys() - known
    new = tuple(table for table in actual.relations if table.is_table and table.label in labels)
    return replace(former, relations=(*former.relations, *new), text=None) if new else former


def with_changes(before: Catalog, actual: Catalog, changed: Collection[Difference]) -> Catalog:
    """Return *before* with the columns, constraints and attachments that *changed* names as they are in *actual*."""

    def changed_in(relation: Relation) -> Relation:
        names = {item.name for item in changed if item.table == relation.label}
        found = actual.relation_by_label.get(relation.label)
        if not names or found is None:
            return relation
        return replace(
            relation,
            columns=_replaced(relation.columns, found.columns, names),
            constraints=_replaced(relation.constraints, found.constraints, names),
            attachments=_replaced(relation.attachments, found.attachments, names),
        )

    types = (actual.type_by_label.get(one.label, one) if _names(changed, one) else one for one in before.types)
    return replace(before, relations=tuple(map(changed_in, before.relations)), types=tuple(types), text=None)


def was_dropped(item: Difference, before: Catalog, complete: Catalog, former: Catalog | None) -> bool:
    """Return whether migrations have dropped what *item* would add, and do not need it any more.

    A table or column that new databases have may be replaced by a declared one, which later migrations fill.

    :param before: the database before the migrations
    :param complete: the catalog that the schema makes in an empty database together with every migration
    :param former: what the last deploy declared; what *before* lacks of it, earlier migrations have dropped
    """
    if not _is_in(before, item):
        return former is not None and _is_in(former, item) and not _is_in(complete, item)
    is_member = item.name is not None and item.change_type != "add_column"
    return is_member or not _is_in(complete, item)


def _is_in(catalog: Catalog, item: Difference) -> bool:
    """Return whether *catalog* has the table, column, default, constraint or attachment that *item* adds."""
    relation = catalog.relation_by_label.get(item.table)
    if relation is None or item.name is None:
        return relation is not None and relation.is_table
    column = relation.column(item.name)
    if item.gives_value:
        return column is not None and column.default is not None
    if item.change_type == "add_column":
        return column is not None
    members: tuple[Constraint | Attachment, ...] = (*relation.constraints, *relation.attachments)
    return any(member.name == item.name for member in members)


def before_new_tables(changes: Collection[Difference]) -> tuple[Difference, ...]:
    """Return the changes of types of columns that PostgreSQL refuses once a new table has columns of the row type."""
    new = (item.wanted for item in changes if item.change_type == "add_table")
    used = {column.type.removesuffix("[]") for table in new if isinstance(table, Relation) for column in table.columns}
    changed = (item for item in changes if item.change_type == "alter_column_type")
    return tuple(item for item in changed if item.relation is not None and item.relation.qualified in used)


def _names(changed: Collection[Difference], one: Type) -> bool:
    return any(item.table == one.label for item in changed)


def _replaced(old: Sequence[M], new: Sequence[M], names: Collection[str | None]) -> tuple[M, ...]:
    """Return *old*, with the members of *names* as they are in *new*, where they may be missing."""
    others = [item for item in old if item.name not in names]
    return tuple(others) + tuple(item for item in new if item.name in names)


def _both(old: Sequence[M], new: Sequence[M], asked: Collection[str | None]) -> tuple[M, ...]:
    """Return *old* and what else of *new* is *asked* for."""
    known: set[str] = {item.name for item in old}
    added: list[M] = [item for item in new if item.name in asked and item.name not in known]
    return tuple(old) + tuple(added)

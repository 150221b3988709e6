"""DDL for safe differences, in a working order. Objects with rows are never dropped.

Views, triggers, rules and policies that use a column are dropped before its type changes and created again, because
PostgreSQL refuses the change otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from psycopg import sql

from migrations_engine.deploy.ddl import columns, comments, members, numbering, objects, relations, types
from migrations_engine.deploy.ddl.comments import comment, restore_privilege
from migrations_engine.deploy.ddl.members import create_attachment, remove_attachment
from migrations_engine.deploy.ddl.relations import create_view, remove_view
from migrations_engine.deploy.ddl.steps import Phase, Step, join, named, word
from migrations_engine.diff import CatalogDiff, Difference, Subject, change_type, is_on, parts_without, without_casts
from migrations_engine.model import Attachment, Column, Constraint, Relation
from migrations_engine.report import Change

#: By change type; objects of other changes are left in place.
_MAKERS: Final[Mapping[str, Callable[[Difference], Iterator[Step]]]] = {
    "add_schema": types.add_schema,
    "add_type": types.add_type,
    "add_enum_value": types.add_enum_value,
    "add_sequence": types.add_sequence,
    "alter_sequence": types.alter_sequence,
    "add_view": relations.add_view,
    "drop_view": relations.drop_view,
    "alter_view": relations.replace_view,
    "add_column": columns.add_column,
    "alter_column_type": columns.alter_type,
    "alter_column_default": numbering.alter_default,
    "alter_column_identity": numbering.alter_identity,
    "alter_column_generated": columns.alter_generated,
    "remake_generated_column": columns.remake_generated,
    "set_not_null": columns.set_not_null,
    "drop_not_null": columns.drop_not_null,
    "validate_not_null": columns.validate_not_null,
    "alter_not_null": columns.alter_not_null,
    "alter_column_storage": columns.alter_storage,
    "alter_column_compression": columns.alter_compression,
    "alter_column_statistics": columns.alter_statistics,
    "alter_column_option": columns.alter_options,
    "add_constraint": members.add_constraint,
    "drop_constraint": members.drop_constraint,
    "alter_constraint": members.alter_constraint,
    "validate_constraint": members.validate_constraint,
    "alter_index_targets": members.alter_targets,
    "alter_statistics_targets": members.alter_targets,
    "rename_domain_constraint": types.rename_constraint,
    "add_domain_constraint": types.add_domain_constraint,
    "drop_domain_constraint": types.drop_domain_constraint,
    "alter_domain_constraint": types.alter_domain_constraint,
    "alter_domain_default": types.alter_domain_default,
    "set_domain_not_null": types.set_domain_not_null,
    "drop_domain_not_null": types.drop_domain_not_null,
    "add_attribute": types.add_attribute,
    "drop_attribute": types.drop_attribute,
    "alter_attribute_type": types.alter_attribute_type,
    **{f"add_{kind}": members.add_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{f"drop_{kind}": members.drop_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{f"alter_{kind}": members.alter_attachment for kind in ("index", "statistics", "rule", "trigger", "policy")},
    **{change_type("add", kind): objects.add_object for kind in objects.KINDS},
    **{change_type("drop", kind): objects.drop_object for kind in objects.KINDS},
    **{change_type("alter", kind): objects.alter_object for kind in objects.KINDS},
    "alter_row_security": relations.alter_row_security,
    "alter_force_row_security": relations.alter_force_row_security,
    "alter_replica_identity": relations.alter_replica_identity,
    "alter_clustering": relations.alter_clustering,
    "alter_persistence": relations.set_logged,
    "alter_option": relations.alter_option,
    "alter_comment": comments.alter_comment,
    "grant_privilege": comments.grant_privilege,
    "revoke_privilege": comments.revoke_privilege,
}
#: Renames in the namespace of a schema, which need the names that others of the same deploy give up.
_RENAMERS: Final[Mapping[str, Callable[[Difference, Collection[str]], Iterator[Step]]]] = {
    "rename_not_null": columns.rename_not_null,
    "rename_sequence": columns.rename_sequence,
    "rename_constraint": members.rename_constraint,
    "rename_index": members.rename_index,
}
#: Objects that lose their comments because they are dropped and created again.
_MADE_AGAIN: Final = frozenset(
    change_type("alter", kind)
    for kind in ("constraint", "index", "statistics", "rule", "trigger", "policy", *objects.KINDS)
)
#: Changes of a column that PostgreSQL refuses if other objects use it.
_OF_COLUMNS_IN_USE: Final = frozenset({"alter_column_type", "remake_generated_column"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """A statement for one or more safe differences."""

    sql: bytes
    effect: str  #: locks and rewrites, in words
    table: str  #: label of its relation, type or sequence
    changes: tuple[Change, ...]  #: several for a table that is rewritten once

    @property
    def change(self) -> Change:
        """The first of its changes."""
        return self.changes[0]


class _Task(NamedTuple):
    step: Step
    cause: Difference


def alterations(diff: CatalogDiff) -> tuple[Alteration, ...]:
    """Return the statements for the safe differences of *diff*, in a valid order.

    After all have run, another comparison finds none of these differences.
    """
    tasks = sorted(_Work(diff).tasks(), key=lambda task: task.step.phase)
    return tuple(_together(tasks))


def _together(tasks: list[_Task]) -> Iterator[Alteration]:
    """Return the statements of tasks, with one for all actions on one table that can be combined."""
    begun: set[str] = set()
    for step, cause in tasks:
        if step.action is None or cause.relation is None:
            change = cause.as_change()
            yield Alteration(sql=step.sql.as_bytes(None), effect=step.effect, table=cause.table, changes=(change,))
        elif cause.table not in begun:
            begun.add(cause.table)
            same = [task for task in tasks if task.step.action is not None and task.cause.table == cause.table]
            relation = cause.relation
            actions = sql.SQL(", ").join(task.step.action for task in same if task.step.action is not None)
            yield Alteration(
                sql=join("ALTER", word(relation), named(relation), actions).as_bytes(None),
                effect="; ".join(dict.fromkeys(task.step.effect for task in same)),
                table=cause.table,
                changes=tuple(task.cause.as_change() for task in same),
            )


class _Work:
    """The safe differences of one comparison, and the objects that are dropped and created again for them."""

    def __init__(self, diff: CatalogDiff) -> None:
        self._diff = diff
        self._safe = [difference for difference in diff.changes if difference.compatibility == "safe"]
        self._there = diff.actual.relation_by_label
        self._wanted = diff.wanted.relation_by_label
        self._made_again: dict[str, Difference] = {}  #: view → the difference for which it is created again

    def tasks(self) -> Iterator[_Task]:
        """Return all statements, each with its difference; those of one phase in a working order."""
        self._find_views()
        yield from self._views()
        for difference in self._safe:
            of_view_made_again = difference.table in self._made_again and difference.relation is not None
            if difference.change_type == "add_table" and isinstance(difference.wanted, Relation):
                parents = [self._wanted[label] for label in difference.wanted.parents if label in self._wanted]
                yield from (_Task(step, difference) for step in relations.create_table(difference.wanted, parents))
            elif difference.change_type != "add_view" and not of_view_made_again:
                yield from (_Task(step, difference) for step in self._steps(difference))
                if difference.change_type in _MADE_AGAIN:
                    comments = self._comments_on(difference.found, difference.relation)
                    yield from (_Task(step, difference) for step in comments)
        yield from self._attachments_around_type_changes()

    def _steps(self, difference: Difference) -> Iterable[Step]:
        rename = _RENAMERS.get(difference.change_type)
        return rename(difference, self._leaving) if rename is not None else _statements(difference)

    @cached_property
    def _leaving(self) -> frozenset[str]:
        """The names that the differences take from members of tables and sequences."""
        found = [one.found for one in self._safe if one.change_type.startswith(("drop_", "rename_"))]
        sequences = [item.sequence.name for item in found if isinstance(item, Column) and item.sequence is not None]
        return frozenset([*sequences, *(item.name for item in found if isinstance(item, Constraint | Attachment))])

    def _views(self) -> Iterator[_Task]:
        added = {difference.table: difference for difference in self._safe if difference.change_type == "add_view"}
        gone = {difference.table for difference in self._safe if difference.change_type == "drop_view"}
        for label in reversed(self._by_use(self._made_again)):
            yield _Task(remove_view(self._there[label]), self._made_again[label])
        for label in self._by_use({*self._made_again, *added} - gone):
            if label in added:
                yield from (_Task(step, added[label]) for step in _statements(added[label]))
            else:
                yield from (_Task(step, self._made_again[label]) for step in self._restored(label))

    def _find_views(self) -> None:
        """Collect the views to be dropped: their columns change, they are removed, or they use changed objects."""
        views = self._made_again
        for difference in self._safe:
            cannot_stay = difference.change_type == "alter_view" and not _is_replaceable(difference)
            if difference.change_type == "drop_view" or cannot_stay:
                views.setdefault(difference.table, difference)
            if difference.change_type in _OF_COLUMNS_IN_USE:
                for user in self._diff.actual.column_users:
                    if user.kind == "view" and (user.relation, user.column) == (difference.table, difference.name):
                        views.setdefault(user.name, difference)
        waiting = list(views)
        while waiting:
            below = waiting.pop()
            for relation in self._diff.actual.relations:
                if below in relation.uses and relation.label not in views:
                    views[relation.label] = views[below]
                    waiting.append(relation.label)

    def _by_use(self, labels: Collection[str]) -> list[str]:
        """Return views, each after those that it uses, before or after the change."""
        ordered: list[str] = []
        pending = sorted(labels)

        def uses(label: str) -> set[str]:
            return {used for side in (self._there, self._wanted) if label in side for used in side[label].uses}

        while pending:
            ready = [label for label in pending if not uses(label) & (set(pending) - {label})] or pending
            ordered += ready
            pending = [label for label in pending if label not in ready]
        return ordered

    def _restored(self, label: str) -> Iterator[Step]:
        """Create a view again, with all that was dropped with it."""
        found = self._there[label]
        wanted = self._wanted.get(label, found)
        asked_for = any(item.change_type == "alter_view" and item.table == label for item in self._safe)
        if not asked_for and not _say_the_same(found.definition, wanted.definition):
            # a migration that refines it has yet to run
            wanted = replace(wanted, definition=found.definition, columns=found.columns)
        yield from create_view(wanted)
        yield from self._comments_on(found, found, without=tuple(parts_without(found, wanted)))
        for privilege in self._diff.actual.privileges:
            column_stays = privilege.column is None or wanted.column(privilege.column) is not None
            if (privilege.kind, privilege.label) == ("TABLE", label) and column_stays:
                yield restore_privilege(privilege)

    def _comments_on(
        self, found: Subject | None, relation: Relation | None, *, without: Sequence[Subject] = ()
    ) -> Iterator[Step]:
        """Restore the comments of objects that were created again, but for their parts that were not."""
        for kind, identity, text in self._diff.actual.comments:
            if is_on(identity, found, relation) and not any(is_on(identity, part, relation) for part in without):
                yield comment(kind, identity, text)

    def _attachments_around_type_changes(self) -> Iterator[_Task]:
        """Drop the triggers, rules and policies that use a column whose type changes, and create them again."""
        done = {(item.table, item.change_type.partition("_")[2], item.name) for item in self._safe}
        for difference in self._safe:
            if difference.change_type not in _OF_COLUMNS_IN_USE:
                continue
            for user in self._diff.actual.column_users:
                key = (user.holder or "", user.kind, user.name)
                uses = (user.relation, user.column) == (difference.table, difference.name)
                movable = user.kind in ("trigger", "rule", "policy") and user.holder not in (None, *self._made_again)
                if uses and movable and key not in done:
                    done.add(key)
                    yield from (_Task(step, difference) for step in self._put_back(*key))

    def _put_back(self, holder: str, kind: str, name: str) -> Iterator[Step]:
        found = self._there[holder]
        old = next(item for item in found.attachments if (item.kind, item.name) == (kind, name))
        declared = self._wanted[holder].attachments if holder in self._wanted else ()
        new = next((item for item in declared if (item.kind, item.name) == (kind, name)), old)
        yield remove_attachment(found, old)
        same = _say_the_same(old.definition, new.definition)
        yield from create_attachment(found, new if same else old, phase=Phase.BEHAVIOUR)
        yield from self._comments_on(old, found)


def _say_the_same(found: str | None, wanted: str | None) -> bool:
    """Return whether two definitions differ at most in casts."""
    return without_casts(found) == without_casts(wanted)


def _is_replaceable(difference: Difference) -> bool:
    """Return whether ``CREATE OR REPLACE VIEW`` is possible, which can only append columns."""
    found, wanted = difference.found, difference.wanted
    if not isinstance(found, Relation) or not isinstance(wanted, Relation) or {found.kind, wanted.kind} != {"view"}:
        return False
    before, after = ([(c.name, c.type, c.collation) for c in view.columns] for view in (found, wanted))
    return after[: len(before)] == before


def _statements(difference: Difference) -> tuple[Step, ...]:
    """Return the statements for *difference*, in order; none if another step applies it or it is left."""
    make = _MAKERS.get(difference.change_type)
    return tuple(make(difference)) if make is not None else ()

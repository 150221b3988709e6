"""Safe differences → DDL, in an order that works. Nothing that holds rows is ever dropped.

Views, triggers, rules and policies hold none. Those that use a column whose type changes are taken away and put back
around the change, because PostgreSQL refuses it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrations_engine.deploy.ddl import (
    Phase,
    Step,
    comment,
    create_attachment,
    create_view,
    drop_attachment,
    drop_view,
    grant,
    statements,
)
from migrations_engine.diff import CatalogDiff, Difference
from migrations_engine.model import Relation
from migrations_engine.report import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One statement that brings the database nearer to what is declared."""

    sql: bytes
    effect: str  #: what it locks or rewrites, in words
    table: str  #: label of the relation, type or sequence it is about
    change: Change  #: what it is done for


def alterations(diff: CatalogDiff) -> tuple[Alteration, ...]:
    """The statements for the safe differences of *diff*, in the order in which they work.

    New tables have none: their files are run. Once all ran, comparing again finds none of these differences.
    """
    work = _Work(diff)
    ordered = sorted(work.steps(), key=lambda item: item[0].phase)
    return tuple(
        Alteration(
            sql=step.sql.as_bytes(None), effect=step.effect, table=difference.table, change=difference.as_change()
        )
        for step, difference in ordered
    )


class _Work:
    """The safe differences of one comparison, and what has to step aside for them."""

    def __init__(self, diff: CatalogDiff) -> None:
        self._diff = diff
        self._safe = [difference for difference in diff.changes if difference.compatibility == "safe"]
        self._there = diff.actual.relation_by_label
        self._wanted = diff.wanted.relation_by_label
        self._cause: dict[str, Difference] = {}  #: view to be made again → the difference that asks for it

    def steps(self) -> Iterator[tuple[Step, Difference]]:
        """All statements with the difference each is for; those of one phase in a workable order."""
        self._find_views()
        order = self._by_use(list(self._cause))
        for label in reversed(order):
            yield drop_view(self._there[label]), self._cause[label]
        made_anew = {difference.table for difference in self._safe if difference.change_type == "add_view"}
        views = {difference.table: difference for difference in self._safe if difference.table in made_anew}
        for label in self._by_use([*order, *made_anew]):
            if label in views:
                yield from ((step, views[label]) for step in statements(views[label]))
            elif self._is_dropped(label):
                continue
            else:
                yield from ((step, self._cause[label]) for step in self._restored(label))
        for difference in self._safe:
            if difference.table in self._cause and difference.change_type in ("alter_view", "drop_view"):
                continue
            if difference.change_type == "add_view" or self._belongs_to_view_made_again(difference):
                continue
            yield from ((step, difference) for step in statements(difference))
        yield from self._attachments_around_type_changes()

    def _find_views(self) -> None:
        """Collect the views that cannot stay: they change their columns, go, or use what changes under them."""
        for difference in self._safe:
            if difference.change_type == "drop_view" or (
                difference.change_type == "alter_view" and not _is_replaceable(difference)
            ):
                self._cause.setdefault(difference.table, difference)
            if difference.change_type == "alter_column_type":
                for user in self._diff.actual.column_users:
                    if user.kind == "view" and (user.relation, user.column) == (difference.table, difference.name):
                        self._cause.setdefault(user.name, difference)
        waiting = list(self._cause)
        while waiting:
            below = waiting.pop()
            for relation in self._diff.actual.relations:
                if below in relation.uses and relation.label not in self._cause:
                    self._cause[relation.label] = self._cause[below]
                    waiting.append(relation.label)

    def _by_use(self, labels: list[str]) -> list[str]:
        """Order views so that each comes after those it uses, on either side."""
        ordered: list[str] = []
        pending = sorted(set(labels))

        def uses(label: str) -> set[str]:
            sides = (side[label].uses for side in (self._there, self._wanted) if label in side)
            return {used for side in sides for used in side}

        while pending:
            ready = [label for label in pending if not uses(label) & (set(pending) - {label})] or pending
            ordered += ready
            pending = [label for label in pending if label not in ready]
        return ordered

    def _is_dropped(self, label: str) -> bool:
        return any(d.change_type == "drop_view" and d.table == label for d in self._safe)

    def _belongs_to_view_made_again(self, difference: Difference) -> bool:
        return difference.table in self._cause and difference.relation is not None

    def _restored(self, label: str) -> Iterator[Step]:
        """Make a view again with all that went with it, as declared if it is, else as it was."""
        found = self._there[label]
        view = self._wanted.get(label, found)
        yield from create_view(view)
        prefix = f"{found.schema}.{found.name}"
        for kind, identity, text in self._diff.actual.comments:
            if "view" in kind and (identity.replace('"', "") + ".").startswith(prefix.replace('"', "") + "."):
                yield comment(kind, identity, text)
        for privilege in self._diff.actual.privileges:
            if (privilege.kind, privilege.label) == ("TABLE", label):
                yield grant(privilege)

    def _attachments_around_type_changes(self) -> Iterator[tuple[Step, Difference]]:
        """Take away and put back the triggers, rules and policies that use a column whose type changes."""
        done = {(d.table, d.change_type.partition("_")[2], d.name) for d in self._safe}
        for difference in self._safe:
            if difference.change_type != "alter_column_type":
                continue
            for user in self._diff.actual.column_users:
                key = (user.holder, user.kind, user.name)
                if (user.relation, user.column) != (difference.table, difference.name) or key in done:
                    continue
                if user.kind in ("trigger", "rule", "policy") and user.holder not in (None, *self._cause):
                    done.add((user.holder or "", user.kind, user.name))
                    yield from ((step, difference) for step in self._put_back(user.holder or "", user.kind, user.name))

    def _put_back(self, holder: str, kind: str, name: str) -> Iterator[Step]:
        found = self._there[holder]
        old = next(item for item in found.attachments if (item.kind, item.name) == (kind, name))
        declared = self._wanted[holder].attachments if holder in self._wanted else ()
        new = next((item for item in declared if (item.kind, item.name) == (kind, name)), old)
        yield drop_attachment(found, old)
        yield from create_attachment(found, new, phase=Phase.BEHAVIOUR)


def _is_replaceable(difference: Difference) -> bool:
    """Whether ``CREATE OR REPLACE VIEW`` can do it: it only lets columns be appended."""
    found, wanted = difference.found, difference.wanted
    if not isinstance(found, Relation) or not isinstance(wanted, Relation) or found.kind != "view":
        return False
    before, after = ([(c.name, c.type, c.collation) for c in view.columns] for view in (found, wanted))
    return after[: len(before)] == before

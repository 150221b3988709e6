"""Compares the catalog of a database with the wanted one. The result has a fixed order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Self

from migrations_engine.diff.columns import ColumnComparison
from migrations_engine.diff.comments import diff_comments
from migrations_engine.diff.difference import Difference, incompatible, safe
from migrations_engine.diff.expression import canonical
from migrations_engine.diff.inheritance import with_own_defaults, without_followers
from migrations_engine.diff.members import diff_attachments, diff_constraints
from migrations_engine.diff.objects import diff_objects
from migrations_engine.diff.printed import printed_by, with_views
from migrations_engine.diff.privileges import diff_privileges
from migrations_engine.diff.relations import added, diff_kind, diff_table, diff_view, dropped
from migrations_engine.diff.row_queries import RowQuery, row_queries
from migrations_engine.diff.sequences import sometimes_free, with_free_sequences
from migrations_engine.diff.sides import RelationSides
from migrations_engine.diff.types import diff_sequences, diff_types
from migrations_engine.diff.use_order import labels_by_use
from migrations_engine.model import Catalog, Relation
from migrations_engine.report import SchemaValidation


@dataclass(frozen=True, kw_only=True)
class CatalogDiff:
    """All differences between a database and the wanted catalog, in a fixed order."""

    changes: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()  #: about objects that are not compared, a sentence each
    actual: Catalog = field(default_factory=Catalog, repr=False)
    wanted: Catalog = field(default_factory=Catalog, repr=False)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def validation(self) -> SchemaValidation:
        """Return the changes by danger, as a deploy reports them."""
        return SchemaValidation.of(difference.as_change() for difference in self.changes)

    def row_queries(self) -> tuple[tuple[int, RowQuery | None], ...]:
        """Return the query that counts rows for each of ``changes``: a SELECT of one number, or None."""
        return row_queries(self.changes, self.actual, self.wanted)

    def with_answers(self, answers: Mapping[int, int | str]) -> Self:
        """Return the same differences with the rows at risk of each, or the reason why they could not be counted."""
        changes = list(self.changes)
        for place, answer in answers.items():
            changes[place] = changes[place].counted(answer)
        return replace(self, changes=tuple(changes))


def diff_catalogs(*, actual: Catalog, wanted: Catalog, former: Catalog | None = None) -> CatalogDiff:
    """Return the differences between a database and what it should be.

    :param actual: the database
    :param wanted: what it should be; where declarations and migrations differ, see ``target_catalog``
    :param former: what the last deploy declared; None if that is unknown. Objects that are in neither *former* nor
        *wanted* were made by hand, by an extension or by a deleted migration, and are no differences
    """
    wanted = printed_by(actual, wanted, [(wanted, _with_types_that_stay(actual, wanted))])
    free = sometimes_free((actual, wanted))
    actual, wanted = with_free_sequences(actual, free), with_free_sequences(wanted, free)
    former = former and with_free_sequences(former, free)
    changes = [
        *_schemas(actual, wanted, former),
        *diff_types(actual, wanted, former),
        *diff_sequences(actual, wanted, former),
        *_relations(actual, wanted, former),
        *diff_objects(actual, wanted, former),
    ]
    changes += diff_comments(actual, wanted, former, changes)
    changes += diff_privileges(actual, wanted, former, changes)
    return CatalogDiff(
        changes=tuple(changes), warnings=tuple(_warnings(actual, wanted, former)), actual=actual, wanted=wanted
    )


def _with_types_that_stay(actual: Catalog, wanted: Catalog) -> frozenset[str]:
    """Return the labels of tables of which a column keeps an unwanted type, and of their views."""
    found = {
        label: RelationSides(found=actual.relation_by_label[label], wanted=relation, former=None)
        for label, relation in wanted.relation_by_label.items()
        if label in actual.relation_by_label and relation.is_table
    }
    return with_views(
        wanted,
        {
            label
            for label, sides in found.items()
            if sides.found.columns != sides.wanted.columns
            and ColumnComparison.of(sides, actual, wanted).holds_back_a_type
        },
    )


def _schemas(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[Difference]:
    for name in wanted.schemas:
        if name not in actual.schemas:
            verdict = safe("the schema is new")
            yield Difference(change_type="add_schema", table=name, wanted=name, to_text=name, verdict=verdict)
    for name in former.schemas if former else ():
        if name in actual.schemas and name not in wanted.schemas:
            verdict = safe("the schema is no longer declared; it holds no rows of its own")
            yield Difference(change_type="drop_schema", table=name, found=name, from_text="schema", verdict=verdict)


def _relations(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[Difference]:
    all_found, all_wanted = with_own_defaults(actual, actual), with_own_defaults(wanted, actual)
    all_former = former.relation_by_label if former else {}
    differences: list[Difference] = []
    for label in _tables_first(all_found, all_wanted):
        found = all_found.get(label)
        if found is None:
            differences.append(added(wanted.relation_by_label[label]))
        elif label not in all_wanted:
            if label in all_former:
                differences.append(_unless_used(dropped(found), actual, all_wanted, all_former))
        elif found != all_wanted[label]:
            sides = RelationSides(found=found, wanted=all_wanted[label], former=all_former.get(label))
            of_relation = _relation(sides, ColumnComparison.of(sides, actual, wanted), actual)
            differences += (_unless_used(difference, actual, all_wanted, all_former) for difference in of_relation)
    differences.sort(key=lambda difference: difference.table)
    yield from without_followers(differences, all_found)


def _tables_first(found: Mapping[str, Relation], wanted: Mapping[str, Relation]) -> list[str]:
    """Return all labels, tables before views, and views after those they use."""
    relations = dict(sorted({**wanted, **found}.items()))
    views = {label: relation for label, relation in relations.items() if not relation.is_table}
    return [*(label for label in relations if label not in views), *labels_by_use(views, attrgetter("uses"))]


def _relation(sides: RelationSides, columns: ColumnComparison, actual: Catalog) -> Iterator[Difference]:
    if other_kind := diff_kind(sides):
        yield other_kind
        return
    if sides.found.is_table:
        yield from diff_table(sides)
        yield from columns.differences()
        yield from diff_constraints(sides, actual)
    else:
        yield from diff_view(sides)
        yield from columns.view_differences()
    yield from diff_attachments(sides)


def _unless_used(
    difference: Difference, actual: Catalog, wanted: Mapping[str, Relation], former: Collection[str]
) -> Difference:
    """Return the change of a view, which is incompatible if views that stay as they are use what it takes away."""
    view, later = difference.found, difference.wanted
    if difference.change_type not in ("alter_view", "drop_view") or not isinstance(view, Relation):
        return difference
    lost = {column.name for column in view.columns}
    if isinstance(later, Relation):
        lost -= {column.name for column in later.columns}
    users = {
        user.name
        for user in actual.column_users
        if (user.kind, user.relation) == ("view", view.label) and user.column in lost
    }
    views = [actual.relation_by_label[label] for label in sorted(users)]
    staying = [found for found in views if _stays(found, wanted, former)]
    if not staying:
        return difference
    verdict = incompatible(
        f"{', '.join(user.label for user in staying)} would lack columns of it",
        "; ".join(f"DROP {user.kind.upper()} {user.label}" for user in staying),
    )
    return replace(difference, verdict=verdict)


def _stays(view: Relation, wanted: Mapping[str, Relation], former: Collection[str]) -> bool:
    later = wanted.get(view.label)
    return view.label not in former if later is None else canonical(later.definition) == canonical(view.definition)


def _warnings(actual: Catalog, wanted: Catalog, former: Catalog | None) -> Iterator[str]:
    """Yield warnings about objects that are compared by name only: missing and additional ones."""
    for line in wanted.uncovered:
        if line not in actual.uncovered:
            yield f"declared but not in the database, and of a kind that is not compared: {line}"
    for line in former.uncovered if former else ():
        if line in actual.uncovered and line not in wanted.uncovered:
            yield f"declared no more but still in the database, and of a kind that is not compared: {line}"

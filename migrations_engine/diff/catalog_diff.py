"""Comparing a database's catalog with the declared one: a pure function, total, with a fixed order of its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from migrations_engine.diff.columns import ColumnComparison
from migrations_engine.diff.comments import diff_comments
from migrations_engine.diff.difference import Difference, safe
from migrations_engine.diff.inheritance import with_own_defaults, without_followers
from migrations_engine.diff.members import diff_attachments, diff_constraints
from migrations_engine.diff.objects import diff_objects
from migrations_engine.diff.privileges import diff_privileges
from migrations_engine.diff.relations import added, diff_kind, diff_table, diff_view, dropped
from migrations_engine.diff.row_queries import RowQuery, row_queries
from migrations_engine.diff.sides import RelationSides
from migrations_engine.diff.types import diff_sequences, diff_types
from migrations_engine.model import Catalog, Relation
from migrations_engine.report import SchemaValidation


@dataclass(frozen=True, kw_only=True)
class CatalogDiff:
    """All differences between a database and its declared schema, in a fixed order."""

    changes: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()  #: what differs and is not compared, a sentence each
    actual: Catalog = field(default_factory=Catalog, repr=False)
    wanted: Catalog = field(default_factory=Catalog, repr=False)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def validation(self) -> SchemaValidation:
        """Return the changes by danger, as a deploy reports them."""
        changes = [difference.as_change() for difference in self.changes]
        return SchemaValidation(
            safe_changes=tuple(change for change in changes if change.compatibility == "safe"),
            dataloss_changes=tuple(change for change in changes if change.compatibility == "dataloss"),
            incompatible_changes=tuple(change for change in changes if change.compatibility == "incompatible"),
        )

    def row_queries(self) -> tuple[tuple[int, RowQuery | None], ...]:
        """Return the query that counts rows for each of ``changes``: a SELECT of one number, or None."""
        return row_queries(self.changes, self.actual, self.wanted)

    def with_answers(self, answers: Mapping[int, int | str]) -> Self:
        """Return the same differences with the rows at risk of each, or the reason why they could not be counted."""
        changes = list(self.changes)
        for place, answer in answers.items():
            changes[place] = changes[place].counted(answer)
        return replace(self, changes=tuple(changes))


def diff_catalogs(
    *, actual: Catalog, declared: Catalog, complete: Catalog, formerly: Catalog | None = None
) -> CatalogDiff:
    """Compare what there is with what is wanted.

    :param actual: the database
    :param declared: what ``types/`` and ``tables/`` alone make in an empty database
    :param complete: what they make there together with every migration
    :param formerly: what was declared at the last deploy of this database; None when that is unknown
    """
    changes = [
        *_schemas(actual, declared, complete),
        *diff_types(actual, declared, complete, formerly),
        *diff_sequences(actual, declared, complete, formerly),
        *_relations(actual, declared, complete, formerly),
        *diff_objects(actual, declared, complete, formerly),
    ]
    changes += diff_comments(actual, declared, complete, formerly, changes)
    changes += diff_privileges(actual, declared, complete, formerly)
    return CatalogDiff(
        changes=tuple(changes),
        warnings=tuple(_warnings(actual, declared, complete, formerly)),
        actual=actual,
        wanted=complete,
    )


def _schemas(actual: Catalog, declared: Catalog, complete: Catalog) -> Iterator[Difference]:
    for name in declared.schemas:
        if name in complete.schemas and name not in actual.schemas:
            verdict = safe("the schema is new")
            yield Difference(change_type="add_schema", table=name, wanted=name, to_text=name, verdict=verdict)


def _relations(actual: Catalog, declared: Catalog, complete: Catalog, formerly: Catalog | None) -> Iterator[Difference]:
    there, asked, finished = (with_own_defaults(side) for side in (actual, declared, complete))
    former = formerly.relation_by_label if formerly else {}
    differences: list[Difference] = []
    held_back: set[str] = set()  # tables with a type that stays, and the views on them
    for label in _tables_first(there, asked):
        found, wanted = there.get(label), finished.get(label)
        if label not in asked:
            if found is not None and wanted is None and label in former:
                differences.append(dropped(found))
        elif wanted is not None:  # otherwise a migration drops or renames it
            if found is None:
                differences.append(added(complete.relation_by_label[label]))
                continue
            if found == asked[label] == wanted:
                continue
            sides = RelationSides(found=found, declared=asked[label], complete=wanted, former=former.get(label))
            columns = ColumnComparison.of(sides, actual, complete)
            loose = columns.holds_back_a_type if found.is_table else bool(held_back & set(found.uses))
            held_back |= {label} if loose else set()
            differences += _relation(sides, columns, actual, loose=loose)
    differences.sort(key=lambda difference: difference.table)
    yield from without_followers(differences, there)


def _tables_first(there: Mapping[str, Relation], asked: Mapping[str, Relation]) -> list[str]:
    """All labels, tables before views, and views after those they use."""
    relations = {**asked, **there}
    ordered = sorted(label for label, relation in relations.items() if relation.is_table)
    pending = sorted(label for label, relation in relations.items() if not relation.is_table)
    while pending:
        ready = [label for label in pending if not set(relations[label].uses) & (set(pending) - {label})] or pending
        ordered += ready
        pending = [label for label in pending if label not in ready]
    return ordered


def _relation(sides: RelationSides, columns: ColumnComparison, actual: Catalog, *, loose: bool) -> Iterator[Difference]:
    if other_kind := diff_kind(sides):
        yield other_kind
        return
    if sides.found.is_table:
        yield from diff_table(sides)
        yield from columns.differences()
        yield from diff_constraints(sides, actual, loose=loose)
    else:
        yield from diff_view(sides, loose=loose)
        yield from columns.view_differences()
    yield from diff_attachments(sides, loose=loose)


def _warnings(actual: Catalog, declared: Catalog, complete: Catalog, formerly: Catalog | None) -> Iterator[str]:
    """Return warnings about objects that are compared by name only: missing and additional ones."""
    for line in declared.uncovered:
        if line in complete.uncovered and line not in actual.uncovered:
            yield f"declared but not in the database, and of a kind that is not compared: {line}"
    for line in formerly.uncovered if formerly else ():
        if line in actual.uncovered and line not in (*declared.uncovered, *complete.uncovered):
            yield f"declared no more but still in the database, and of a kind that is not compared: {line}"

"""The result of a comparison: all differences, with the two catalogs that they lie between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from migrations_engine.diff.difference import Difference
from migrations_engine.diff.rows_at_risk import Question, questions
from migrations_engine.model import Catalog
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
        """The changes by danger, as a deploy reports them."""
        changes = [difference.as_change() for difference in self.changes]
        return SchemaValidation(
            safe_changes=tuple(change for change in changes if change.compatibility == "safe"),
            dataloss_changes=tuple(change for change in changes if change.compatibility == "dataloss"),
            incompatible_changes=tuple(change for change in changes if change.compatibility == "incompatible"),
        )

    def questions(self) -> tuple[tuple[int, Question | None], ...]:
        """What to ask of the rows, by place in ``changes``: a SELECT of one number, or None where no query can tell."""
        return questions(self.changes, self.actual, self.wanted)

    def with_answers(self, answers: Mapping[int, int | str]) -> Self:
        """The same differences with the rows that each concerns, or why they could not be counted, by place."""
        changes = list(self.changes)
        for place, answer in answers.items():
            changes[place] = changes[place].counted(answer)
        return replace(self, changes=tuple(changes))

"""A difference as a value, with what is needed to apply it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from migrations_engine.diff.expression import displayed
from migrations_engine.model import Attachment, Column, Constraint, DatabaseObject, Privilege, Relation, Sequence, Type
from migrations_engine.report import Change, Compatibility

Subject = Relation | Column | Constraint | Attachment | Sequence | Type | Privilege | DatabaseObject | str


class Verdict(NamedTuple):
    """How dangerous a difference is, and why."""

    compatibility: Compatibility
    reason: str
    rewrites: bool = False  #: to apply it, PostgreSQL rewrites the table
    decided_by_rows: bool = False  #: safe if no row is at risk


def safe(reason: str, *, rewrites: bool = False) -> Verdict:
    """Return the verdict for a change that loses nothing and is not refused."""
    return Verdict("safe", reason, rewrites)


def dataloss(reason: str) -> Verdict:
    """Return the verdict for a change that may lose values or be refused."""
    return Verdict("dataloss", reason)


def incompatible(reason: str, instructions: str | None = None) -> Verdict:
    """Return the verdict for a change that needs a migration; *instructions* are its statements, if known."""
    return Verdict("incompatible", f"{reason}; use a migration{f': {instructions}' if instructions else ''}")


def unless_refused(reason: str) -> Verdict:
    """Return the verdict for a change that rows may violate: dangerous until they were counted."""
    return Verdict("dataloss", reason, decided_by_rows=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference between the wanted catalog and the database."""

    change_type: str
    table: str  #: label of the relation, type, sequence or schema
    name: str | None = None  #: of the column, constraint, index, trigger … within it
    found: Subject | None = None  #: as it is
    wanted: Subject | None = None  #: as it should be
    relation: Relation | None = None  #: the relation it belongs to, as it is in the database
    from_text: str | None = None
    to_text: str | None = None
    verdict: Verdict
    rows_at_risk: int | None = None

    @property
    def compatibility(self) -> Compatibility:
        """How dangerous it is."""
        return self.verdict.compatibility

    @property
    def gives_value(self) -> bool:
        """Whether a column without default, identity or expression gets one."""
        found = self.found
        return (
            self.change_type in ("alter_column_default", "alter_column_identity")
            and isinstance(found, Column)
            and found.default is None
            and found.sequence is None
        )

    @property
    def is_undecided(self) -> bool:
        """Whether the rows decide about it, and could not be counted."""
        return self.verdict.decided_by_rows and self.rows_at_risk is None

    def as_change(self) -> Change:
        """Return the difference as a deploy reports it."""
        return Change(
            table=self.table,
            change_type=self.change_type,
            column=self.name,
            from_type=displayed(self.from_text),
            to_type=displayed(self.to_text),
            compatibility=self.verdict.compatibility,
            reason=self.verdict.reason,
            rows_at_risk=self.rows_at_risk,
        )

    def counted(self, rows: int | str) -> Self:
        """Return the difference with the number of rows at risk, or the reason why they were not counted."""
        verdict = self.verdict
        if isinstance(rows, str):
            return replace(self, verdict=verdict._replace(reason=f"{verdict.reason}; rows not counted: {rows}"))
        if verdict.decided_by_rows and rows == 0:
            verdict = verdict._replace(compatibility="safe", reason=f"{verdict.reason}; no row violates it")
        elif verdict.decided_by_rows:
            verdict = verdict._replace(reason=f"{verdict.reason}; existing rows violate it")
        return replace(self, rows_at_risk=rows, verdict=verdict)

    def decided_by_rows(self) -> Self:
        """Return the difference with a verdict that is safe if no row is at risk."""
        return replace(self, verdict=self.verdict._replace(decided_by_rows=True))

    def to_be_filled(self) -> Self:
        """Return the addition of a NOT NULL column without the constraint, if rows prevent it; itself otherwise."""
        column = self.wanted
        if self.compatibility == "safe" or self.change_type != "add_column" or not isinstance(column, Column):
            return self
        nullable = replace(
            column, not_null=False, not_null_name=None, not_null_no_inherit=False, not_null_unvalidated=False
        )
        return replace(
            self, wanted=nullable, verdict=safe("existing rows get NULL, until a migration fills the column")
        )

"""One difference as data, with everything that making it away would need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from migrations_engine.diff.expression import displayed
from migrations_engine.model import Attachment, Column, Constraint, Privilege, Relation, Sequence, Type
from migrations_engine.report import Change, Compatibility

Subject = Relation | Column | Constraint | Attachment | Sequence | Type | Privilege | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference between what is wanted and what there is."""

    change_type: str
    table: str  #: label of the relation, type, sequence or schema
    name: str | None = None  #: of the column, constraint, index, trigger … within it
    found: Subject | None = None  #: as it is
    wanted: Subject | None = None  #: as it should be
    relation: Relation | None = None  #: as it is in the database; None when it is not there
    from_text: str | None = None
    to_text: str | None = None
    compatibility: Compatibility
    reason: str
    rewrites: bool = False  #: PostgreSQL writes the whole table anew
    decided_by_rows: bool = False  #: safe once it is known that no row stands against it
    rows_at_risk: int | None = None

    def as_change(self) -> Change:
        return Change(
            table=self.table,
            change_type=self.change_type,
            column=self.name,
            from_type=displayed(self.from_text),
            to_type=displayed(self.to_text),
            compatibility=self.compatibility,
            reason=self.reason,
            rows_at_risk=self.rows_at_risk,
        )

    def counted(self, rows: int | str) -> Self:
        """The difference once the rows that stand against it, or would lose something, are counted, or why not."""
        if isinstance(rows, str):
            return replace(self, reason=f"{self.reason}; rows not counted: {rows}")
        if not self.decided_by_rows:
            return replace(self, rows_at_risk=rows)
        if rows == 0:
            return replace(
                self, rows_at_risk=0, compatibility="safe", reason=f"{self.reason}; no row stands against it"
            )
        return replace(self, rows_at_risk=rows, reason=f"{self.reason}; {rows} rows stand against it")

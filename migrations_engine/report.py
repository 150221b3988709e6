"""The results of a deploy, as values. Their JSON is made by the caller."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

BY_HAND: Final = "by hand, or by a file that is gone"  #: the end of the cause of a difference
Compatibility = Literal["safe", "dataloss", "incompatible"]
RowNumbers: TypeAlias = Mapping[Hashable, int | None]  #: by what was counted; None if it could not be


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between the declared schema and the real database."""

    table: str  #: as PostgreSQL prints it, without ``public.``; of a type or sequence, its own name
    change_type: str  #: ``add_table``, ``drop_column``, ``alter_column_type`` … (the list is in ``diff``)
    column: str | None = None  #: or the name of the changed constraint, index, trigger …
    from_type: str | None = None
    to_type: str | None = None
    compatibility: Compatibility
    reason: str
    rows_at_risk: int | None = None  #: rows that would lose data; None if they were not or could not be counted
    file: str | None = None  #: the migration that made the change

    @property
    def subject(self) -> str:
        """The object that changes, as it is named in messages."""
        if self.change_type == "alter_comment":
            return f"the comment on {self.column} {self.table}"
        return f"{self.table}.{self.column}" if self.column else self.table

    @property
    def key(self) -> tuple[str, str, str | None, str | None, str | None]:
        """Return the identity of the change, without counts and reasons."""
        return (self.table, self.change_type, self.column, self.from_type, self.to_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaValidation:
    """The differences between schema and database, by danger."""

    safe_changes: tuple[Change, ...] = ()
    dataloss_changes: tuple[Change, ...] = ()
    incompatible_changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, changes: Iterable[Change]) -> SchemaValidation:
        """Return *changes* by danger, each group in their order."""
        by_danger: dict[Compatibility, list[Change]] = {"safe": [], "dataloss": [], "incompatible": []}
        for change in changes:
            by_danger[change.compatibility].append(change)
        safe, dataloss, incompatible = map(tuple, by_danger.values())
        return cls(safe_changes=safe, dataloss_changes=dataloss, incompatible_changes=incompatible)

    @property
    def is_empty(self) -> bool:
        return not (self.safe_changes or self.dataloss_changes or self.incompatible_changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The comparison of the finished database with the schema, made before the commit."""

    extensions_verified: bool = True
    types_verified: bool = True
    tables_verified: bool = True
    functions_verified: bool = True
    seeders_verified: bool = True
    error_log: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.error_log


@dataclass(frozen=True, slots=True, kw_only=True)
class SeederResult:
    """The rows of a seeder for one table: those inserted, and those left out because the table had rows."""

    table: str
    inserted: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeederValidation:
    """The number of rows that a seeder defines for one table, and of those that exist.

    :ivar missing: some of the missing rows, each with its file: ``id = 1 (seeders/users.sql)``
    """

    table: str
    expected: int
    found: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStatement:
    """A statement of the plan of a dry run."""

    step: str  #: ``extensions``, ``types``, ``tables``, ``migrations``, ``functions``, ``seeders``
    sql: str
    file: str | None = None
    effect: str = ""  #: what it changes, locks or rewrites, in words
    rewrites: bool = False  #: it rewrites a table or index that existed before


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployReport:
    """The result of a deploy to one database."""

    extensions_installed: int = 0
    types_deployed: int = 0
    tables_created: int = 0
    migrations_applied: int = 0
    functions_deployed: int = 0  #: functions of the schema now in place, changed or not
    functions_skipped: int = 0  #: of those, unchanged ones
    functions_updated: int = 0  #: of those, created or replaced ones
    functions_dropped: int = 0
    seeders: tuple[SeederResult, ...] = ()
    seeder_validations: tuple[SeederValidation, ...] = ()
    schema_validation: SchemaValidation = SchemaValidation()
    verification: Verification = Verification()
    satisfied_statements: tuple[str, ...] = ()  #: migration statements whose effect the declared tables already have
    warnings: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()  #: from a new database of the same schema, a sentence each
    plan: tuple[PlannedStatement, ...] = ()  #: of a dry run
    left_out: tuple[
        str, ...
    ] = ()  #: pending migrations that a dry run leaves out, because they run outside a transaction
    dry_run: bool = False

    @property
    def has_changed(self) -> bool:
        """Return whether the deploy has changed anything, or a dry run would have."""
        return bool(
            self.extensions_installed
            or self.types_deployed
            or self.tables_created
            or self.migrations_applied
            or self.functions_updated
            or self.functions_dropped
            or any(one.inserted for one in self.seeders)
            or self.plan
            or not self.schema_validation.is_empty
        )

"""The results of a migration: for each database, and summed up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from gateway.errors import GatewayError
from migrations_engine import Change, DeployReport, SchemaValidation, SeederValidation, Verification

_LOGGED_LINES: Final = 200  #: of a plan, of changes and of warnings
_LOGGED_CHARACTERS: Final = 2000  #: of a statement
_LOGGED_COUNTS: Final = (
    "extensions_installed", "types_deployed", "tables_created", "migrations_applied", "functions_updated",
    "functions_dropped",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MigratedDatabase:
    """The result for one database.

    :ivar report: only of one that succeeded
    :ivar error: only of one that failed
    :ivar reason: why it was skipped, if not because of a failure of another
    """

    database: str
    status: Literal["completed", "completed_with_warnings", "failed", "skipped"]
    report: DeployReport | None = None
    error: GatewayError | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformMigration:
    """The results for all databases, in the order of the roll-out."""

    databases: tuple[MigratedDatabase, ...]
    dry_run: bool
    execution_time_ms: int

    @property
    def status(self) -> Literal["completed", "completed_with_warnings"]:
        """Return whether it succeeded with warnings."""
        warned = any(result.status == "completed_with_warnings" for result in self.databases)
        return "completed_with_warnings" if warned else "completed"

    @property
    def databases_updated(self) -> tuple[str, ...]:
        """The databases that now have the schema: none after a dry run."""
        return () if self.dry_run else tuple(result.database for result in self.databases if result.report)

    @property
    def databases_failed(self) -> tuple[str, ...]:
        """The databases whose deploy failed; they are unchanged."""
        return tuple(result.database for result in self.databases if result.status == "failed")

    @property
    def databases_skipped(self) -> tuple[str, ...]:
        """The databases that were not tried."""
        return tuple(result.database for result in self.databases if result.status == "skipped")

    @property
    def failure(self) -> GatewayError | None:
        """The first failure, in the order of the databases."""
        return next((result.error for result in self.databases if result.error), None)

    @property
    def reports(self) -> tuple[DeployReport, ...]:
        """The reports of those that succeeded."""
        return tuple(result.report for result in self.databases if result.report)

    @property
    def migrations_applied(self) -> int:
        """Migrations that ran, over all databases."""
        return sum(report.migrations_applied for report in self.reports)

    @property
    def functions_updated(self) -> int:
        """Functions that were created or replaced, over all databases."""
        return sum(report.functions_updated for report in self.reports)

    @property
    def tables_created(self) -> int:
        """Tables that were created, over all databases."""
        return sum(report.tables_created for report in self.reports)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every warning once."""
        return tuple(dict.fromkeys(warning for report in self.reports for warning in report.warnings))

    @property
    def seeder_validations(self) -> tuple[SeederValidation, ...]:
        """For each table the rows expected and found, over all databases."""
        sums: dict[str, SeederValidation] = {}
        for one in (validation for report in self.reports for validation in report.seeder_validations):
            so_far = sums.get(one.table, SeederValidation(table=one.table, expected=0, found=0))
            sums[one.table] = replace(so_far, expected=so_far.expected + one.expected, found=so_far.found + one.found)
        return tuple(sums.values())

    @property
    def schema_validation(self) -> SchemaValidation:
        """Every difference once, with the rows at risk of all databases; also those that made a database fail."""
        found = [report.schema_validation for report in self.reports]
        found += [fact for error in self._errors if (fact := error.facts.get("schema_validation")) is not None]
        return SchemaValidation(
            safe_changes=_merged(change for one in found for change in one.safe_changes),
            dataloss_changes=_merged(change for one in found for change in one.dataloss_changes),
            incompatible_changes=_merged(change for one in found for change in one.incompatible_changes),
        )

    @property
    def verification(self) -> Verification:
        """The parts verified in all databases that were tried; the log names those that failed."""
        found = [(result.database, result.report.verification) for result in self.databases if result.report]
        for result in self.databases:
            if result.error:
                found.append(
                    (result.database, result.error.facts.get("verification") or unverified(result.error.message))
                )
        return Verification(
            extensions_verified=all(one.extensions_verified for _, one in found),
            types_verified=all(one.types_verified for _, one in found),
            tables_verified=all(one.tables_verified for _, one in found),
            functions_verified=all(one.functions_verified for _, one in found),
            seeders_verified=all(one.seeders_verified for _, one in found),
            error_log=tuple(f"{database}: {line}" for database, one in found for line in one.error_log),
        )

    @property
    def _errors(self) -> tuple[GatewayError, ...]:
        return tuple(result.error for result in self.databases if result.error)


def unverified(reason: str) -> Verification:
    """Return the verification of a database whose deploy failed before it, for *reason*."""
    return Verification(
        extensions_verified=False,
        types_verified=False,
        tables_verified=False,
        functions_verified=False,
        seeders_verified=False,
        error_log=(reason,),
    )


def report_for_log(result: MigratedDatabase) -> dict[str, Any]:
    """Return the report of a database for the log of deploys, as JSON; long plans and texts are truncated."""
    if result.error is not None:
        validation = result.error.facts.get("schema_validation") or SchemaValidation()
        error = {"code": getattr(result.error, "engine_code", result.error.code), "message": result.error.message}
        return {"status": result.status, "error": error, "changes": _changes_for_log(validation)}
    if result.report is None:
        return {"status": result.status}
    report = result.report
    plan = [{"step": one.step, "sql": one.sql[:_LOGGED_CHARACTERS], "effect": one.effect} for one in report.plan]
    return {
        "status": result.status,
        "counts": {name: getattr(report, name) for name in _LOGGED_COUNTS},
        "changes": _changes_for_log(report.schema_validation),
        "warnings": list(report.warnings[:_LOGGED_LINES]),
        "plan": plan[:_LOGGED_LINES],
        "more_statements": max(0, len(plan) - _LOGGED_LINES),
    }


def _changes_for_log(validation: SchemaValidation) -> list[dict[str, Any]]:
    changes = (*validation.incompatible_changes, *validation.dataloss_changes, *validation.safe_changes)
    return [asdict(change) for change in changes[:_LOGGED_LINES]]


def _merged(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Merge equal changes of several databases; the rows at risk are the sum, None if they could not be counted."""
    merged: dict[Change, int | None] = {}
    for change in changes:
        kind = replace(change, rows_at_risk=None)
        known = [rows for rows in (merged.get(kind), change.rows_at_risk) if rows is not None]
        merged[kind] = sum(known) if known else None
    return tuple(replace(kind, rows_at_risk=rows) for kind, rows in merged.items())

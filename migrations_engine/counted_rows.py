"""Counts rows at risk, also in each database that repeats a deploy: its report has its own numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from migrations_engine.catalog import count_rows_at_risk
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import CatalogDiff
from migrations_engine.effects import Effect, subject_of
from migrations_engine.report import Change, DeployReport, RowNumbers, SchemaValidation
from migrations_engine.tracking import RowCounts

ROW_COUNT_TIMEOUT_MS: Final = 5_000  #: for all counts of rows of one comparison together


def count_rows(session: DeploySession, diff: CatalogDiff, *, expected: bool) -> CatalogDiff:
    """Return *diff* with rows at risk.

    The queries are recorded for a repetition of the deploy. If one of them has failed, it is not repeated.

    :param expected: the numbers only inform, because a migration makes the changes
    """
    with session.failures_as(what="counting the rows at risk"):
        counted = count_rows_at_risk(session.connection, diff, ROW_COUNT_TIMEOUT_MS)
    recording = session.recording
    if recording is None:
        return counted
    asked = [(counted.changes[place], query) for place, query in diff.row_queries() if query is not None]
    if any(difference.rows_at_risk is None for difference, _ in asked):
        recording.is_repeatable = False
    elif asked:
        differences = [difference for difference, _ in asked]
        recording.add_counts(
            RowCounts(
                queries=tuple(query.as_bytes(session.connection) for _, query in asked),
                subjects=tuple(subject_of(one) if expected else one.as_change().key for one in differences),
                required=tuple(
                    one.rows_at_risk if one.verdict.decided_by_rows and not expected else None for one in differences
                ),
            )
        )
    return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedReport:
    """A report for equal databases whose rows were counted in each.

    :ivar effects: of the migrations, which are the first changes of the report
    :ivar others: its other changes
    :ivar counts: the numbers in *report*
    """

    report: DeployReport
    effects: tuple[Effect, ...]
    others: tuple[Change, ...]
    counts: RowNumbers

    def with_counts(self, counts: RowNumbers) -> DeployReport:
        """Return the report with the numbers of rows in another database."""
        if not counts:
            return self.report
        found = [effect.change({**self.counts, **counts}) for effect in self.effects]
        found += [replace(change, rows_at_risk=counts.get(change.key, change.rows_at_risk)) for change in self.others]
        return replace(self.report, schema_validation=SchemaValidation.of(found))

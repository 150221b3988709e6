"""Which differences a deploy may leave or apply: the dangerous ones are forced, accepted earlier, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from migrations_engine.deploy.change_runner import described, without
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import CatalogDiff
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Type
from migrations_engine.report import Change, SchemaValidation
from migrations_engine.schema import Schema

_STAYING: Final = frozenset({"drop_schema", "drop_type"})  #: change types that no deploy applies


class Judgement:
    """The judgement of one deploy on the differences that it finds.

    :param earlier: dangerous differences that earlier deploys were forced to leave
    :param force: leave the other dangerous ones, too
    :ivar changes: all that were listed so far
    :ivar accepted: dangerous differences that stay
    """

    def __init__(self, session: DeploySession, schema: Schema, earlier: Sequence[Change], *, force: bool) -> None:
        self._session = session
        self._schema = schema
        self._earlier = [change.key for change in earlier]
        self._force = force
        self.changes: tuple[Change, ...] = ()
        self.accepted: tuple[Change, ...] = ()

    def add(self, changes: Iterable[Change]) -> None:
        """Add *changes* to the list."""
        self.changes = (*self.changes, *changes)

    def judge(self, diff: CatalogDiff) -> None:
        """List the differences, and accept those that are forced now or were accepted earlier.

        :raises MigrationFailed: another one is dangerous
        """
        found = diff.validation()
        dangers = (*found.dataloss_changes, *found.incompatible_changes)
        self.accepted = dangers if self._force else tuple(change for change in dangers if change.key in self._earlier)
        applied = [change for change in found.safe_changes if change.change_type not in _STAYING]
        self.add(without((*applied, *dangers), [] if self._force else self._earlier))
        self._session.warnings += [*diff.warnings, *_what_stays(diff)]
        self._session.warnings += [
            f"left as it is since it was forced: {summary(replace(change, rows_at_risk=None))}"
            for change in self.accepted
        ]
        for change in without(self.accepted, self._earlier):
            self._session.log("accept_difference", change.table, change=change.change_type, column=change.column)
        self.refuse(found)

    def refuse(self, found: SchemaValidation) -> None:
        """Raise MigrationFailed if something is dangerous and neither forced nor accepted earlier."""
        dangers = (*found.dataloss_changes, *found.incompatible_changes)
        blocking = without(dangers, self._earlier)
        if blocking and not self._force:
            raise MigrationFailed(
                f"the schema differs dangerously from the database: {'; '.join(summary(c) for c in blocking)}. "
                f"{'' if self._session.is_partly_committed else 'Nothing was changed. '}If this is intended, add a "
                "migration that makes the change, or first deploy an earlier release that has one; to deploy the rest "
                "without these changes, repeat the request with force",
                validation=SchemaValidation.of(self.changes) if self.changes else found,
            )


def summary(change: Change) -> str:
    """Return *change* as a phrase for messages."""
    rows = change.rows_at_risk
    risk = "" if rows is None else f", {rows} {'row' if rows == 1 else 'rows'} at risk"
    return f"{described(change)}, {change.compatibility} ({change.reason}{risk})"


def _what_stays(diff: CatalogDiff) -> Iterator[str]:
    """Yield a warning for each type and schema that is no longer declared. Undeclared objects may use it."""
    for item in diff.changes:
        if item.change_type in _STAYING:
            is_domain = isinstance(item.found, Type) and item.found.kind == "domain"
            kind = "DOMAIN" if is_domain else item.change_type.removeprefix("drop_").upper()
            yield f"{item.table} is no longer declared and stays; to drop it, add a migration: DROP {kind} {item.table}"

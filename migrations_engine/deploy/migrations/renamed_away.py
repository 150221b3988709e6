"""Renames of what new databases do not have: backups of tables and columns, which no file declares."""

from __future__ import annotations

from typing import Final

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.migrations.renames import rename_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.statements import SqlStatement

_NO_SUCH_COLUMN: Final = "42703"
_WITH_ROWS: Final = frozenset({"TABLE", "FOREIGN TABLE", "SEQUENCE"})


class RenamedAway:
    """The renames of one deploy that are passed over, because what they rename is declared no more, or anew.

    :param is_new: the database is new; else it may have skipped the release that declared the object
    """

    def __init__(self, session: DeploySession, pending: PendingMigrations, *, is_new: bool) -> None:
        self._session = session
        self._pending = pending
        self._is_new = is_new
        self._absent: set[str] = set()  # the names that they would have given

    def pass_over(self, statement: SqlStatement) -> None:
        """Note that *statement* is passed over, which may be a rename."""
        renamed = rename_of(statement)
        if renamed is not None:
            self._absent.add(renamed.later_name)

    def includes(self, refusal: Refusal) -> bool:
        """Return whether the statement renames what there never was, or uses what that would be."""
        if refusal.sqlstate not in UNDEFINED:
            return False
        missing, text = refusal.message, refusal.text
        if any(mentions_name(missing, name) and mentions_name(text, name) for name in self._absent):
            return True
        renamed, is_last = rename_of(refusal.statement), self._pending.is_last(refusal.file)
        if renamed is None or not mentions_name(missing, renamed.old_name):
            return False
        holds_rows = renamed.kind in _WITH_ROWS or refusal.sqlstate == _NO_SUCH_COLUMN
        if is_last and not (self._is_new and holds_rows):
            return False  # it may be a mistake
        self._absent.add(renamed.later_name)
        if is_last:
            self._session.warnings.append(
                f"{refusal.place} was left out: {missing}, and no file declares "
                f"{renamed.later_name}, so new databases have neither"
            )
        return True

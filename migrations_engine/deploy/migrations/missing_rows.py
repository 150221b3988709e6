"""Names refused statements that are left out, if tables therefore lack rows, or have others."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.migrations.pending import PendingMigrations
from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import ServerMessage
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.created_as import table_created_as
from migrations_engine.source.effects_on_rows import changed_table, makes_rows, only_column_set
from migrations_engine.source.names import ObjectName, insert_target

_NO_SUCH_TABLE: Final = "42P01"
_NO_SUCH_COLUMN: Final = "42703"


class MissingRows:
    """The rows that a database does not get, because a later migration drops their table or a column of it."""

    def __init__(self, session: DeploySession, pending: PendingMigrations) -> None:
        self._session = session
        self._pending = pending
        self._tables: set[str] = set()

    def warn_of(self, refusal: Refusal) -> None:
        """Warn if remaining tables lack rows, or values, because the statement is left out."""
        advice = self._advice_on(refusal)
        if advice:
            self._session.warnings.append(
                f"{refusal.place} was left out: {ServerMessage.of(refusal.exc).message}, because a later migration "
                f"removes it; {advice}"
            )

    def _advice_on(self, refusal: Refusal) -> str:
        statement = refusal.statement
        changed = changed_table(statement)
        if changed is not None and (advice := self._advice_on_changed(refusal, changed)):
            return advice
        if not self._lack_rows(refusal):
            return ""
        created = table_created_as(statement)
        lacks_table = created is not None and created.name not in self._pending.new_tables
        declare = f"declare {created.name} in tables/, and " if created is not None and lacks_table else ""
        return f"{declare}put rows that a database without it needs into seeders/"

    def _advice_on_changed(self, refusal: Refusal, table: ObjectName) -> str:
        column = only_column_set(refusal.statement)
        if column is not None and refusal.sqlstate == _NO_SUCH_COLUMN and mentions_name(refusal.message, column):
            return ""
        with suppress(psycopg.Error), self._session.savepoint():
            if self._session.has_rows(sql.Identifier(*table.address)):
                return f"rows of {table.name} stay as they are: change them in a later migration where they should not"
        return ""

    def _lack_rows(self, refusal: Refusal) -> bool:
        """Return whether remaining tables lack rows if the statement is left out.

        Rows of a table that is dropped later are not missing, unless a statement copies them.
        """
        statement = refusal.statement
        target = insert_target(statement)
        is_missing = target is not None and refusal.sqlstate == _NO_SUCH_TABLE
        if target is not None and is_missing and mentions_name(refusal.message, target.table.name):
            self._tables.add(target.table.name)
            return False
        if makes_rows(statement):
            return True
        copies = target is not None or statement.words[:1] == ("UPDATE",) or table_created_as(statement) is not None
        used = (name for name in self._tables if mentions_name(statement.text, name))
        return copies and any(statement.words[1:2] != (name.upper(),) for name in used)

"""Which rows new databases lack if a refused statement is left out."""

from __future__ import annotations

from typing import Final

from migrations_engine.deploy.migrations.refusal import Refusal
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.created_as import table_created_as
from migrations_engine.source.effects_on_rows import makes_rows
from migrations_engine.source.names import insert_target

_NO_SUCH_TABLE: Final = "42P01"


class MissingRows:
    """The rows that a new database does not get, because their table is dropped by a later migration."""

    def __init__(self) -> None:
        self._tables: set[str] = set()

    def come_of(self, refusal: Refusal) -> bool:
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

"""Routines that change while others use them, and what migrations compute again after they have changed one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from migrations_engine.deploy.functions.files import routine_names
from migrations_engine.deploy.functions.routines import Routines
from migrations_engine.deploy.session import DeploySession
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.lexer import GAP, occurs
from migrations_engine.source.names import Cursor
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)
_ROUTINE: Final = re.compile(r"\b(?:FUNCTION|PROCEDURE|ROUTINE)\b", re.IGNORECASE)
_WHERE: Final = re.compile(r"\b(?:WHERE|FROM)\b", re.IGNORECASE)
_SETS_TO_ITSELF: Final = re.compile(rf'[\s,/](\w+|"(?:[^"]|"")+"){GAP}={GAP}\1{GAP}(?:,|\Z)', re.IGNORECASE)


class ReplacedInPlace:
    """The routines that were changed since the first note, or after they were created.

    :ivar by_files: their oids, if a file of the schema has changed them
    :ivar by_migrations: the same, if a migration has
    :ivar computed: what migrations compute for all rows after the last change, see :func:`renew_stored_results`
    """

    def __init__(self, session: DeploySession) -> None:
        self._session = session
        self._fingerprints: dict[int, str] | None = None
        self.by_files: set[int] = set()
        self.by_migrations: set[int] = set()
        self.computed: set[str] = set()

    def note(self) -> None:
        """Note the routines, those that have changed since the last note as changed by migrations."""
        self.by_migrations |= self._changed()

    def note_files(self) -> None:
        """Note the routines, those that have changed since the last note as changed by files, if there is one."""
        if self._fingerprints is not None:
            self.by_files |= self._changed()

    def note_migration(self, file: SchemaFile) -> None:
        """Note what a migration, which has just run, has changed and computed."""
        if occurs(_ROUTINE, file.text):
            self.note()
            again = [name for name, count in Counter(routine_names(file)).items() if count > 1]
            self.by_migrations |= {routine.oid for routine in Routines(self._session).named(again)}
        for statement in script_of(file).statements:
            if occurs(_ROUTINE, statement.text):
                self.computed.clear()
            self.computed.update(_computed_by(statement))

    def _changed(self) -> set[int]:
        earlier = self._fingerprints or {}
        self._fingerprints = dict(self._session.query(_QUERIES["all_routine_fingerprints"]).fetchall())
        return {oid for oid, now in self._fingerprints.items() if earlier.get(oid, now) != now}


def _computed_by(statement: SqlStatement) -> Iterator[str]:
    """Yield what *statement* computes or checks for all rows, as PostgreSQL describes it; a table for all of that."""
    cursor = Cursor.over(statement)
    if cursor.accept("update"):
        cursor.accept("only")
        table = cursor.name()
        if table is not None and occurs(_SETS_TO_ITSELF, statement.text) and not occurs(_WHERE, statement.text):
            yield table.name
    altered = alter_table_actions(statement)
    for action in altered.actions if altered is not None else ():
        if altered is not None and action.kind == "ADD COLUMN":
            yield f"the generated column {altered.table.name}.{action.name}"
        elif altered is not None and action.kind == "ADD CONSTRAINT":
            yield f"constraint {action.name} on table {altered.table.name}"

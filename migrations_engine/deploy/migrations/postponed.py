"""Constraints of new tables that rows of earlier migrations violate, and that later migrations make them meet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "migrations"
_NOT_NULL: Final = "23502"
_CHECK_OR_KEY: Final = frozenset({"23503", "23514"})
_EXISTS: Final = "42710"  #: a migration has added the constraint itself


@dataclass(frozen=True, slots=True, kw_only=True)
class _Postponed:
    restoring: sql.Composed
    failure: EngineError  #: of the statement that violated the constraint


class PostponedConstraints:
    """The constraints that the migrations of a deploy violate. They are dropped, and added when all have run."""

    def __init__(self, session: DeploySession, new_tables: Collection[str]) -> None:
        self._session = session
        self._new_tables = new_tables
        self._postponed: list[_Postponed] = []

    def postpone(self, exc: psycopg.Error, failure: EngineError) -> bool:
        """Drop the constraint of a new table that a statement violates, and return whether that is possible.

        :param failure: raised by :meth:`restore` if the rows violate the constraint still
        """
        diag = exc.diag
        if diag.schema_name is None or diag.table_name is None or diag.table_name not in self._new_tables:
            return False
        table = sql.Identifier(diag.schema_name, diag.table_name)
        if exc.sqlstate == _NOT_NULL and diag.column_name is not None:
            column = sql.Identifier(diag.column_name)
            changes = sql.SQL("ALTER {} DROP NOT NULL").format(column), sql.SQL("ALTER {} SET NOT NULL").format(column)
        elif exc.sqlstate in _CHECK_OR_KEY and (definition := self._definition(diag)) is not None:
            name = sql.Identifier(diag.constraint_name or "")
            added = sql.SQL("ADD CONSTRAINT {} {}").format(name, sql.SQL(definition))
            changes = sql.SQL("DROP CONSTRAINT {}").format(name), added
        else:
            return False
        dropping, restoring = (sql.SQL("ALTER TABLE {} {}").format(table, change) for change in changes)
        try:
            with self._session.savepoint():
                self._session.run(dropping, step=_STEP, effect="until all migrations have run")
        except psycopg.Error:
            return False  # as the column of a primary key, which stays NOT NULL
        self._postponed.append(_Postponed(restoring=restoring, failure=failure))
        return True

    def restore(self) -> None:
        """Add the dropped constraints again.

        :raises MigrationFailed: rows violate one
        """
        for postponed in self._postponed:
            try:
                with self._session.savepoint():
                    self._session.run(postponed.restoring, step=_STEP)
            except psycopg.Error as exc:
                if exc.sqlstate != _EXISTS:
                    raise postponed.failure from exc
        self._postponed.clear()

    def _definition(self, diag: psycopg.errors.Diagnostic) -> str | None:
        parameters = {"schema": diag.schema_name, "table": diag.table_name, "name": diag.constraint_name}
        row = self._session.query(_QUERIES["own_constraint"], parameters).fetchone()
        return row[0] if row is not None else None

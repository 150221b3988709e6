"""Constraints of new tables that rows of earlier migrations violate, and that later migrations make them meet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.ddl.steps import join
from migrations_engine.deploy.migrations.refusal import Refusal
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
    table: int  #: its oid
    column: int | None  #: the number of the column of a NOT NULL
    name: str | None  #: None for a NOT NULL before PostgreSQL 18
    definition: str | None  #: None for a NOT NULL
    failure: EngineError  #: of the statement that violated the constraint


class PostponedConstraints:
    """The constraints that the migrations of a deploy violate. They are dropped, and added when all have run."""

    def __init__(self, session: DeploySession, new_tables: Collection[str]) -> None:
        self._session = session
        self._new_tables = new_tables
        self._postponed: list[_Postponed] = []

    def postpone(self, refusal: Refusal) -> bool:
        """Drop the constraint of a new table that a statement violates, and return whether that is possible."""
        diag, sqlstate = refusal.exc.diag, refusal.sqlstate
        if diag.table_name not in self._new_tables or sqlstate not in {_NOT_NULL, *_CHECK_OR_KEY}:
            return False
        names = {"schema": diag.schema_name, "table": diag.table_name}
        members = {"column": diag.column_name, "constraint": diag.constraint_name}
        row = self._session.query(_QUERIES["violated"], names | members).fetchone()
        if row is None:
            return False
        oid, table, number, name, definition, is_not_null = row
        if sqlstate == _NOT_NULL:
            if not is_not_null:  # the statement would make it so
                return False
            dropping, definition = join("ALTER", sql.Identifier(diag.column_name or ""), "DROP NOT NULL"), None
        elif name is not None:
            dropping, number = join("DROP CONSTRAINT", sql.Identifier(name)), None
        else:
            return False
        try:
            with self._session.savepoint():
                self._alter(table, dropping, effect="until all migrations have run")
        except psycopg.Error:
            return False  # as the column of a primary key, which stays NOT NULL
        self._postponed.append(
            _Postponed(table=oid, column=number, name=name, definition=definition, failure=refusal.failure())
        )
        return True

    def restore(self) -> None:
        """Add the dropped constraints again, of tables and columns that exist still.

        :raises MigrationFailed: rows violate one
        """
        for postponed in self._postponed:
            for table, column, _ in self._present_names(postponed):
                try:
                    with self._session.savepoint():
                        self._alter(table, _addition(postponed, column))
                except psycopg.Error as exc:
                    if exc.sqlstate != _EXISTS:
                        raise postponed.failure from exc
            for table, _, name in self._present_names(postponed):
                if name is not None and postponed.name not in (None, name):
                    names = (sql.Identifier(one) for one in (name, postponed.name or ""))
                    self._alter(table, sql.SQL("RENAME CONSTRAINT {} TO {}").format(*names))
        self._postponed.clear()

    def _present_names(self, postponed: _Postponed) -> list[tuple[str, str | None, str | None]]:
        """Return the table, the column, and the name that its NOT NULL has since PostgreSQL 18."""
        numbers = {"table": postponed.table, "number": postponed.column}
        return self._session.query(_QUERIES["present_names"], numbers).fetchall()

    def _alter(self, table: str, action: sql.Composable, effect: str = "") -> None:
        statement = sql.SQL("ALTER TABLE {} {}").format(sql.SQL(table), action)
        self._session.run(statement, step=_STEP, effect=effect)


def _addition(postponed: _Postponed, column: str | None) -> sql.Composable:
    """Return the action of ALTER TABLE that adds a constraint."""
    if postponed.definition is None:
        return join("ALTER", sql.Identifier(column or ""), "SET NOT NULL")
    return join("ADD CONSTRAINT", sql.Identifier(postponed.name or ""), sql.SQL(postponed.definition))

"""Constraints of new tables that earlier migrations violate: their rows, or tables that they replace."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
_NO_SUCH_KEY: Final = "23503"
_CHECK_OR_KEY: Final = frozenset({_NO_SUCH_KEY, "23514"})
_EXISTS: Final = "42710"  #: a migration has added the constraint itself


@dataclass(frozen=True, slots=True, kw_only=True)
class _Postponed:
    table: int  #: its oid
    table_name: str | None  #: when it was violated
    column: int | None  #: the number of the column of a NOT NULL
    name: str | None  #: None for a NOT NULL before PostgreSQL 18
    definition: str | None  #: None for a NOT NULL


class PostponedConstraints:
    """The constraints that prevent migrations of a deploy. They are dropped, and added when all have run."""

    def __init__(self, session: DeploySession, new_tables: Collection[str]) -> None:
        self._session = session
        self._new_tables = new_tables
        self._postponed: dict[_Postponed, EngineError] = {}  # each with the error of the statement that it prevented

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
        postponed = _Postponed(table=oid, table_name=diag.table_name, column=number, name=name, definition=definition)
        self._postponed[postponed] = refusal.failure()
        return True

    def is_added_by(self, refusal: Refusal) -> bool:
        """Return whether the refused statement adds a constraint that is dropped until all migrations have run."""
        diag, is_addition = refusal.exc.diag, refusal.statement.words[:1] == ("ALTER",)
        names = {(one.table_name, one.name) for one in self._postponed if one.definition is not None}
        return is_addition and refusal.sqlstate in _CHECK_OR_KEY and (diag.table_name, diag.constraint_name) in names

    def postpone_keys_to(self, address: tuple[str, str | None], refusal: Refusal) -> bool:
        """Drop the foreign keys to a table that is replaced. Return whether there were any, all of new tables.

        :param address: the schema and the name of the table
        """
        schema, table = address
        found = self._session.query(_QUERIES["foreign_keys_to"], {"schema": schema, "table": table}).fetchall()
        if any(referring not in self._new_tables for _, _, referring, _, _ in found):
            return False
        for oid, label, referring, name, definition in found:
            self._alter(label, join("DROP CONSTRAINT", sql.Identifier(name)), effect="until all migrations have run")
            postponed = _Postponed(table=oid, table_name=referring, column=None, name=name, definition=definition)
            self._postponed[postponed] = refusal.failure()
        return bool(found)

    def restore(self, seed: Callable[[], None] | None = None) -> None:
        """Add the dropped constraints again, of tables and columns that exist still.

        :param seed: inserts rows to which foreign keys refer, and is called only if there are such keys; without it,
            these keys wait for it
        :raises MigrationFailed: rows violate a constraint
        """
        if seed is not None and self._postponed:
            seed()
        for postponed in list(self._postponed):
            try:
                self._restore(postponed)
            except psycopg.Error as exc:
                if seed is not None or exc.sqlstate != _NO_SUCH_KEY:
                    raise self._postponed.pop(postponed) from exc
            else:
                del self._postponed[postponed]

    def _restore(self, postponed: _Postponed) -> None:
        for table, column, _ in self._present_names(postponed):
            try:
                with self._session.savepoint():
                    self._alter(table, _addition(postponed, column))
            except psycopg.Error as exc:
                if exc.sqlstate != _EXISTS:
                    raise
        for table, _, name in self._present_names(postponed):
            if name is not None and postponed.name not in (None, name):
                names = (sql.Identifier(one) for one in (name, postponed.name or ""))
                self._alter(table, sql.SQL("RENAME CONSTRAINT {} TO {}").format(*names))

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

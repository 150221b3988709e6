"""Drops declared objects that use what a migration changes or drops. They hold no rows, and are created again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.migrations.renames import VIEWS
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Relation, Type
from migrations_engine.source.alter_table import alter_table_actions, alter_type_actions, type_change
from migrations_engine.source.names import dropped_names
from migrations_engine.source.statements import SqlStatement

_TYPES: Final = frozenset({"TYPE", "DOMAIN", "TABLE"})
_Address = tuple[str, str | None]  #: schema and name


class DeclaredDependants:
    """The declared views, policies, functions and the like of the database of *session*."""

    def __init__(self, session: DeploySession, dependants: Dependants) -> None:
        self._session = session
        self._dependants = dependants

    def drop_for_type(self, statement: SqlStatement) -> bool:
        """Drop those of a column or attribute whose type *statement* changes. Return whether there were any."""
        retyped = _retyped(statement)
        return retyped is not None and self.drop(*retyped)

    def drop_expressions(self, statement: SqlStatement) -> bool:
        """Drop what a table computes with its column whose type *statement* changes. Return whether there was any."""
        retyped = _retyped(statement)
        if retyped is None:
            return False
        altered, column = retyped
        return self._try(partial(self._dependants.drop_expressions, column=column), altered)

    def expressions(self, statement: SqlStatement) -> list[str]:
        """Return what computes with the column whose type *statement* changes, as PostgreSQL describes it."""
        retyped = _retyped(statement)
        if retyped is None:
            return []
        altered, column = retyped
        item = self._item(altered)
        found = self._dependants.expressions_over(item, column) if item is not None else []
        return [one.description for one in found]

    def drop_for_drop(self, statement: SqlStatement, is_replaced: Callable[[str | None], bool]) -> bool:
        """Drop those of what *statement* drops: a column, views, types, the row types of tables, or replaced tables.

        Return whether there were any.

        :param is_replaced: returns whether a later statement gives the name to another object
        """
        altered = alter_table_actions(statement)
        if altered is not None:
            (action,) = altered.actions
            return action.kind == "DROP COLUMN" and self.drop(altered.table.address, action.name)
        gone = dropped_names(statement)
        dropped = [self.drop(named.address) for named in gone if named.kind in VIEWS]
        replaced = [named for named in gone if named.kind == "TABLE" and is_replaced(named.name)]
        dropped += [self._try(self._dependants.drop_users, named.address) for named in replaced]
        dropped += [self._try(self._dependants.drop_of_type, named.address) for named in gone if named.kind in _TYPES]
        return any(dropped)

    def drop(self, address: _Address, column: str | None = None) -> bool:
        """Drop those of a column, attribute or view. Return whether there were any, and all of them are declared."""
        return self._try(partial(self._dependants.drop_of_relation, column=column), address)

    def _try(self, drop: Callable[[Relation | Type], bool], address: _Address) -> bool:
        item = self._item(address)
        try:
            return item is not None and drop(item)
        except MigrationFailed:
            return False  # then the error of PostgreSQL for the statement is clearer

    def _item(self, address: _Address) -> Relation | Type | None:
        catalog = read_catalog(self._session.connection)
        known: list[Relation | Type] = [*catalog.relations, *catalog.types]
        return next((one for one in known if one.address == address), None)


def _retyped(statement: SqlStatement) -> tuple[_Address, str] | None:
    """Return the table or type that *statement* alters and the column whose type it changes; None if there is none."""
    altered = alter_table_actions(statement) or alter_type_actions(statement)
    change = type_change(altered.actions[0]) if altered is not None else None
    return (altered.table.address, change.column) if altered is not None and change is not None else None

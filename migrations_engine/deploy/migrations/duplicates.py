"""Finds what migrations add beside a declared object of the same definition, because their names differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import Catalog, Relation
from migrations_engine.queries import load_queries
from migrations_engine.source.alter_table import alter_table_actions
from migrations_engine.source.names import ObjectName, created_name
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An index, or a constraint that a migration does not name, with the definition of a declared one."""

    schema: str
    table: str
    kind: str  #: ``INDEX`` or ``CONSTRAINT``
    name: str

    @property
    def removal(self) -> sql.Composed:
        """The statement that drops it."""
        if self.kind == "INDEX":
            return sql.SQL("DROP INDEX {}").format(sql.Identifier(self.schema, self.name))
        table = sql.Identifier(self.schema, self.table)
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, sql.Identifier(self.name))

    def is_of(self, statement: SqlStatement) -> bool:
        """Return whether *statement* may have added it, and nothing else."""
        table, made = _table_of(statement), created_name(statement)
        if table is None or table.address != (self.schema, self.table):
            return False
        if made is not None:
            return self.kind == "INDEX" and made.name in (None, self.name)
        altered = alter_table_actions(statement)
        return self.kind == "CONSTRAINT" and altered is not None and len(altered.actions) == 1


def duplicates(session: DeploySession, statements: Iterable[SqlStatement], declared: Catalog) -> frozenset[Duplicate]:
    """Return the duplicates of *declared* objects in the tables to which *statements* add some."""
    wanted = {table.address for table in map(_table_of, statements) if table is not None}
    found: list[Duplicate] = []
    for relation in declared.relations if wanted else ():
        if relation.address in wanted:
            found += _duplicates_in(session, relation)
    return frozenset(found)


def _duplicates_in(session: DeploySession, relation: Relation) -> list[Duplicate]:
    names = [one.name for one in relation.constraints] + [one.name for one in relation.attachments]
    facts = {"schema": relation.schema, "table": relation.name, "names": names}
    rows = session.query(_QUERIES["duplicates"], facts).fetchall()
    return [Duplicate(relation.schema, relation.name, kind, name) for kind, name in rows]


def _table_of(statement: SqlStatement) -> ObjectName | None:
    """Return the table to which *statement* adds an index, or a constraint without naming it; else None."""
    made = created_name(statement)
    if made is not None:
        return made.table if made.kind == "INDEX" else None
    altered = alter_table_actions(statement)
    if altered is None or all(action.kind != "ADD CONSTRAINT" or action.name for action in altered.actions):
        return None
    return altered.table

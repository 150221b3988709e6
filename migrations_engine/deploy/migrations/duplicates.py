"""Finds what migrations add beside a declared object of its definition, or with the name of one of another kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import Catalog, Relation
from migrations_engine.queries import load_queries
from migrations_engine.source.alter_table import alter_table_actions, index_of_key
from migrations_engine.source.names import ObjectName, TableAction, created_name
from migrations_engine.source.statements import SqlStatement

_QUERIES: Final = load_queries(__package__)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An index or constraint that new databases do not have, because the declared one is there.

    That has the same definition, and a migration has not named the constraint, or it is a partition's part of a key; or
    it has the same name and is of another kind.
    """

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
        if altered is None or len(altered.actions) != 1:
            return False
        return self.kind == "CONSTRAINT" and altered.actions[0].name in (None, self.name)


class Duplicates:
    """Finds the duplicates of declared objects while migrations run, under the names that tables have then.

    :param declared: the catalog that the declarations make, whose tables have their declared names still
    """

    def __init__(self, session: DeploySession, declared: Catalog) -> None:
        self._session = session
        self._declared = declared
        schemas, names = [one.schema for one in declared.relations], [one.name for one in declared.relations]
        self._oids = self._session.query(_QUERIES["oids"], {"schemas": schemas, "names": names}).fetchall()

    def of(self, statements: Iterable[SqlStatement]) -> frozenset[Duplicate]:
        """Return the duplicates in the tables to which *statements* add indexes or constraints."""
        statements = [*statements]
        wanted = {table.address for table in map(_table_of, statements) if table is not None}
        actions = [action for statement in statements for action in _constraints_of(statement)]
        named = {action.name for action in actions if action.name}
        given = [index for index in map(index_of_key, actions) if index is not None and index not in named]
        found: list[Duplicate] = []
        for relation, address in self._present() if wanted else ():
            if address in wanted:
                found += self._duplicates_in(relation, address, named, given)
        return frozenset(found)

    def _present(self) -> Iterator[tuple[Relation, tuple[str, str]]]:
        """Yield the declared tables with their present addresses, as renames were reverted or have run again."""
        numbers = [oid for _, _, oid in self._oids]
        rows = self._session.query(_QUERIES["present_addresses"], {"oids": numbers}).fetchall()
        present = {oid: (schema, name) for oid, schema, name in rows}
        oids = {(schema, name): oid for schema, name, oid in self._oids}
        for relation in self._declared.relations:
            yield relation, present.get(oids.get(relation.address), relation.address)

    def _duplicates_in(
        self, relation: Relation, address: tuple[str, str], named: Collection[str], given: Sequence[str]
    ) -> list[Duplicate]:
        """Return the duplicates in a table.

        :param address: its present schema and name
        :param named: the names that the statements give to constraints
        :param given: the names that constraints without one get from their index
        """
        schema, table = address
        keys = [one.name for one in relation.constraints]
        names = [*keys, *(one.name for one in relation.attachments)]
        indexes = [one.name for one in relation.attachments if one.kind == "index"]
        indexes += [one.name for one in relation.constraints if one.kind == "p"]
        facts = {"schema": schema, "table": table, "declared_table": relation.name, "names": names, "keys": keys}
        rows = self._session.query(_QUERIES["duplicates"], facts | {"indexes": indexes, "given": given}).fetchall()
        return [
            Duplicate(schema, table, kind, name)
            for kind, name, may_be_named in rows
            if may_be_named or kind == "INDEX" or name not in named
        ]


def _table_of(statement: SqlStatement) -> ObjectName | None:
    """Return the table to which *statement* adds an index or a constraint, else None."""
    made = created_name(statement)
    if made is not None:
        return made.table if made.kind == "INDEX" else None
    altered = alter_table_actions(statement)
    return altered.table if altered is not None and _constraints_of(statement) else None


def _constraints_of(statement: SqlStatement) -> list[TableAction]:
    """Return the actions with which *statement* adds constraints."""
    altered = alter_table_actions(statement)
    return [action for action in altered.actions if action.kind == "ADD CONSTRAINT"] if altered is not None else []

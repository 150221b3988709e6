"""Changes of domains by migrations of a new database, where a declared column has the domain inside its type.

PostgreSQL cannot check values inside composite types, arrays and ranges, and refuses a constraint even if there are no
values. In older databases the column is newer than the migration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.ddl.steps import join, named
from migrations_engine.deploy.dependants import Dependants
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import columns_around_type
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Column, Relation
from migrations_engine.source.alter_table import alter_type_actions
from migrations_engine.source.statements import SqlStatement

_EFFECT: Final = "the column has no values, and another type while its domain changes"
_HAS_VALUES: Final = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS DISTINCT FROM NULL)")


def alter_domain_in_use(
    session: DeploySession, dependants: Dependants, statement: SqlStatement, run: Callable[[], object]
) -> bool:
    """Change a domain while the columns around it are of another type. Return False if that is not possible.

    :param dependants: drops the views and the like that use such a column
    :param run: runs *statement*
    """
    altered = alter_type_actions(statement)
    if altered is None:
        return False
    catalog = read_catalog(session.connection)
    domains = (one for one in catalog.types if one.kind == "domain" and one.address == altered.table.address)
    domain = next(domains, None)
    columns = columns_around_type(domain.label, catalog) if domain is not None else []
    if not columns or any(_has_values(session, *one) for one in columns):
        return False
    try:
        with session.savepoint():
            for relation, column in columns:
                dependants.drop_of_relation(relation, column=column.name)
                _set_type(session, relation, column, "text")
            run()
            for relation, column in columns:
                _set_type(session, relation, column, column.type)
    except (psycopg.Error, MigrationFailed):
        return False  # the error of PostgreSQL for the statement is clearer
    return True


def _has_values(session: DeploySession, relation: Relation, column: Column) -> bool:
    row = session.query(_HAS_VALUES.format(named(relation), sql.Identifier(column.name))).fetchone()
    return row is None or bool(row[0])


def _set_type(session: DeploySession, relation: Relation, column: Column, type_: str) -> None:
    """Set the type of a column without values. Its default belongs to its own type."""
    name = sql.Identifier(column.name)
    action = join("ALTER", name, "TYPE", type_, "USING NULL")
    if column.default is not None:
        is_own = type_ == column.type
        default = join("ALTER", name, *(["SET DEFAULT", column.default] if is_own else ["DROP DEFAULT"]))
        action = sql.SQL(", ").join([action, default] if is_own else [default, action])
    statement = sql.SQL("ALTER TABLE {} {}").format(named(relation), action)
    session.run(statement, step="migrations", effect=_EFFECT)

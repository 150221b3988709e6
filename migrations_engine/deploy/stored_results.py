"""Renews stored results: of changed functions and text search configurations, and of new materialized views.

Indexes are rebuilt, and materialized views refreshed that had no seeded rows; others are named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import Difference, spellings
from migrations_engine.errors import EngineError, MigrationFailed, ServerMessage
from migrations_engine.model import Catalog, DatabaseObject
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
#: Kinds of objects that can change while others use them.
CHANGED_IN_PLACE: Final = frozenset({"text search configuration", "text search dictionary"})
#: A session keeps the expressions of an index with the bodies that SQL functions had when it used the index first, and
#: reads them again after a change of the index that was rolled back. The option does not exist.
_FORGET_EXPRESSIONS: Final = (
    "SAVEPOINT forget; ALTER INDEX {} RESET (_stonescriptdb_gateway); "
    "ROLLBACK TO SAVEPOINT forget; RELEASE SAVEPOINT forget"
)
_COMPUTING: Final = frozenset({"add_column", "alter_column_generated", "remake_generated_column"})
_CHECKING: Final = frozenset({"add_constraint", "alter_constraint", "validate_constraint"})


def computed_by(changes: Iterable[Difference]) -> Iterator[str]:
    """Yield the columns and constraints that *changes* compute or check for all rows, as PostgreSQL describes them."""
    for item in changes:
        if item.change_type in _COMPUTING:
            yield from (f"the generated column {item.table}.{name}" for name in spellings(item.name or ""))
        elif item.change_type in _CHECKING:
            yield f"constraint {item.name} on table {item.table}"


def renew_stored_results(
    session: DeploySession,
    *,
    routines: Sequence[int] = (),
    objects: Sequence[DatabaseObject] = (),
    computed: Collection[str] = (),
    indexes_only: bool = False,
    error_class: type[EngineError] = MigrationFailed,
) -> None:
    """Rebuild the indexes that store results of changed objects, and warn about other stored results.

    :param routines: changed routines, by oid
    :param computed: what was computed or checked for all rows after the change, see :func:`computed_by`, or its table
    :param indexes_only: the database is new: old ones have had the warnings, and migrations that follow them
    :raises EngineError: of *error_class*: PostgreSQL refused it, because a unique index would have a key twice
    """
    if not routines and not objects:
        return
    computed_names = {*computed}
    parameters = {"routines": list(routines), "objects": [f"{item.kind} {item.identity}" for item in objects]}
    for changed, is_index, user, table in session.query(_QUERIES["stored_results"], parameters).fetchall():
        if is_index:
            with session.failures_as(error_class, what=f"rebuilding the index {user} for {changed}"):
                _rebuild(session, user, changed, step="functions" if routines else "tables")
        elif not indexes_only and computed_names.isdisjoint((user, table)):
            warning = (
                f"{changed} has changed, and {user} uses it: PostgreSQL computes or checks it only for rows that are "
                "written from now on; a migration of a later deploy can do it for all rows, if it sets the columns "
                "that it reads to what they are"
            )
            if warning not in session.warnings:  # a migration changes it, and the deploy restores it
                session.warnings.append(warning)


def refresh_new_views(session: DeploySession, before: Catalog) -> None:
    """Refresh the materialized views that this deploy has created, after the seeders of the tables that they read.

    :param before: the database before this deploy
    """
    existing = {relation.address for relation in before.relations}
    for schema, name in session.query(_QUERIES["materialized_views"]).fetchall():
        if (schema, name) in existing:
            continue
        view = sql.Identifier(schema, name)
        try:
            with session.savepoint():
                session.run(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(view), step="seeders")
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.InternalError) as exc:
            label = view.as_string(session.connection)
            session.warnings.append(
                f"the materialized view {label} is without the rows of seeders/, because its query fails with them: "
                f"{ServerMessage.of(exc).message}"
            )


def _rebuild(session: DeploySession, index: str, changed: str, *, step: str) -> None:
    """Rebuild *index* for *changed*. REINDEX would keep the expressions of one that this transaction has created."""
    effect = f"{changed} has changed"
    rows = session.query(_QUERIES["index_of_transaction"], {"index": index}).fetchall()
    for definition, comment in rows:
        if definition is None:
            session.warnings.append(
                f"{effect}, and the index {index} uses it, which this deploy has created: run REINDEX INDEX {index}"
            )
            return
        session.run(sql.SQL("DROP INDEX {}").format(sql.SQL(index)), step=step, effect=effect)
        session.run(sql.SQL(definition), step=step, effect=effect)
        if comment is not None:
            statement = sql.SQL("COMMENT ON INDEX {} IS {}").format(sql.SQL(index), sql.Literal(comment))
            session.run(statement, step=step, effect=effect)
    if not rows:
        session.run_unlisted(sql.SQL(_FORGET_EXPRESSIONS).format(sql.SQL(index)))
        session.run(sql.SQL("REINDEX INDEX {}").format(sql.SQL(index)), step=step, effect=effect)

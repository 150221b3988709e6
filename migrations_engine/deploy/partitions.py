"""Advice on new partitions whose rows lie in the default partition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.ddl.steps import join
from migrations_engine.deploy.session import DeploySession
from migrations_engine.diff import CatalogDiff
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Catalog, Relation
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_CHECK_VIOLATION: Final = "23514"


@contextmanager
def advice_on_default_partitions(session: DeploySession, diff: CatalogDiff) -> Iterator[None]:
    """Run the block, which creates what *diff* misses. Add advice if PostgreSQL refuses a partition.

    It does so while the default partition has rows that belong in the new one. They are moved by a migration, because
    triggers may react to that, and because it takes as long as there are rows.

    :raises MigrationFailed: as the block
    """
    try:
        yield
    except MigrationFailed as exc:
        if exc.sqlstate == _CHECK_VIOLATION and (advice := _advice_on_one(session, diff)) is not None:
            exc.add_to_message(f"; {advice}")
        raise


def _advice_on_one(session: DeploySession, diff: CatalogDiff) -> str | None:
    """Return the advice on the first new partition of *diff* that needs one, else None."""
    for item in diff.changes:
        new = item.wanted
        if item.change_type == "add_table" and isinstance(new, Relation) and new.partition_bound:
            default = _default_beside(new, diff.actual)
            if default is not None and (advice := _advice(session, new, default)) is not None:
                return advice
    return None


def _default_beside(new: Relation, actual: Catalog) -> Relation | None:
    """Return the default partition of the table of which *new* is to be a partition."""
    return next(
        (one for one in actual.relations if one.partition_bound == "DEFAULT" and one.parents == new.parents), None
    )


def _advice(session: DeploySession, new: Relation, default: Relation) -> str | None:
    """Return the statements that move the rows of *default* which belong in *new*; None if there are none."""
    (parent,) = new.parents
    key = ("PARTITION BY", new.partition_key) if new.partition_key else ()
    detach = join("ALTER TABLE", parent, "DETACH PARTITION", default.label)
    create = join("CREATE TABLE", new.label, "PARTITION OF", parent, new.partition_bound, *key)
    attach = join("ALTER TABLE", parent, "ATTACH PARTITION", default.label, "DEFAULT")
    try:
        with session.undone():
            for step in (detach, create):
                session.query(sql.Composed([step]))
            ((condition,),) = session.query(_QUERIES["partition_condition"], {"partition": new.qualified}).fetchall()
            count = join("SELECT count(*) FROM", default.qualified, "WHERE", condition)
            ((rows,),) = session.query(sql.Composed([count])).fetchall()
    except psycopg.Error:
        return None  # the first error says more
    if not rows:
        return None
    columns = sql.SQL(", ").join(sql.Identifier(one.name) for one in default.columns if not one.generated)
    move = join(
        *("WITH moved AS (DELETE FROM", default.label, "WHERE", condition, "RETURNING *)"),
        *("INSERT INTO", new.label, sql.SQL("({})").format(columns)),
        "OVERRIDING SYSTEM VALUE" if any(one.identity for one in default.columns) else None,
        *("SELECT", columns, "FROM moved"),
    )
    statements = "; ".join(step.as_string() for step in (detach, create, move, attach))
    return f"{rows} rows of {default.label} belong in {new.label}; let a migration move them: {statements}"

"""DDL for views, and for what a table is as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from migrations_engine.deploy.ddl.columns import REWRITES
from migrations_engine.deploy.ddl.members import create_attachment
from migrations_engine.deploy.ddl.steps import (
    Phase,
    Step,
    alter,
    define,
    found_of,
    join,
    named,
    options,
    relation_of,
    wanted_of,
    word,
)
from migrations_engine.diff import Difference
from migrations_engine.model import Relation


def add_view(difference: Difference) -> Iterator[Step]:
    """Make a view."""
    yield from create_view(wanted_of(difference, Relation))


def drop_view(difference: Difference) -> Iterator[Step]:
    """Drop a view."""
    yield remove_view(found_of(difference, Relation))


def replace_view(difference: Difference) -> Iterator[Step]:
    """Give a view another query, which only adds columns."""
    view = wanted_of(difference, Relation)
    statement = join(
        "CREATE OR REPLACE VIEW", named(view), options("WITH", view.options), "AS", define(view.definition)
    )
    yield Step(Phase.VIEWS, statement, "locks the view briefly")


def create_view(view: Relation) -> Iterator[Step]:
    """Make a view or materialized view anew, with its indexes, rules and triggers."""
    given = options("WITH", view.options)
    effect = "runs the query and keeps its rows" if view.kind == "materialized view" else ""
    yield Step(Phase.VIEWS, join("CREATE", word(view), named(view), given, "AS", define(view.definition)), effect)
    for attachment in view.attachments:
        yield from create_attachment(view, attachment, phase=Phase.VIEWS)


def remove_view(view: Relation) -> Step:
    """Drop a view that nothing uses any more."""
    return Step(Phase.CLEAR, join("DROP", word(view), named(view)), "locks the view")


def alter_row_security(difference: Difference) -> Iterator[Step]:
    """Switch row security."""
    switch = "ENABLE" if wanted_of(difference, Relation).row_security else "DISABLE"
    yield alter(relation_of(difference), Phase.BEHAVIOUR, switch, "ROW LEVEL SECURITY")


def alter_force_row_security(difference: Difference) -> Iterator[Step]:
    """Switch row security for the owner."""
    switch = "FORCE" if wanted_of(difference, Relation).force_row_security else "NO FORCE"
    yield alter(relation_of(difference), Phase.BEHAVIOUR, switch, "ROW LEVEL SECURITY")


def alter_replica_identity(difference: Difference) -> Iterator[Step]:
    """Say what replicas tell rows apart by."""
    identity = wanted_of(difference, Relation).replica_identity or "DEFAULT"
    yield alter(relation_of(difference), Phase.CONSTRAINTS, "REPLICA IDENTITY", identity)


def set_logged(difference: Difference) -> Iterator[Step]:
    """Let a table survive crashes."""
    yield alter(relation_of(difference), Phase.COLUMNS, "SET LOGGED", effect=REWRITES)


def alter_option(difference: Difference) -> Iterator[Step]:
    """Set or reset an option of a table or view."""
    name, value = difference.name or "", difference.to_text
    if value is None:
        yield alter(relation_of(difference), Phase.NOTES, "RESET (", name, ")")
    else:
        yield alter(relation_of(difference), Phase.NOTES, "SET (", name, "=", sql.Literal(value), ")")

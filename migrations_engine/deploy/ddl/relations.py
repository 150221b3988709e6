"""DDL for views and tables as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.columns import REWRITES, complete_column, define_column, set_properties
from migrations_engine.deploy.ddl.members import create_attachment, create_constraint
from migrations_engine.deploy.ddl.steps import (
    Phase,
    Step,
    alter,
    define,
    foreign_options,
    found_of,
    join,
    named,
    options,
    relation_of,
    wanted_of,
    word,
)
from migrations_engine.diff import Difference
from migrations_engine.model import DEFAULT_SCHEMA, Column, Relation

_UNQUALIFIED: Final = re.compile(r'"(?:[^"]|"")*"|[^".]+')


def create_table(table: Relation, parents: Sequence[Relation]) -> Iterator[Step]:
    """Create a table with its columns, constraints and attachments."""
    for column in table.columns:
        yield from _override(table, column, parents) if column.inherited else complete_column(table, column)
    yield Step(Phase.TABLES, _create_table(table))
    for switch, words in (("row_security", "ENABLE"), ("force_row_security", "FORCE")):
        if getattr(table, switch):
            yield alter(table, Phase.BEHAVIOUR, words, "ROW LEVEL SECURITY")
    for constraint in table.constraints:
        yield from create_constraint(table, constraint)
    for attachment in table.attachments:
        if not attachment.inherited:
            yield from create_attachment(table, attachment)
    if table.clustered_on:
        yield alter(table, Phase.CONSTRAINTS, "CLUSTER ON", sql.Identifier(table.clustered_on))
    if table.replica_identity:
        yield alter(table, Phase.CONSTRAINTS, "REPLICA IDENTITY", table.replica_identity)


def _create_table(table: Relation) -> sql.Composable:
    own = [define_column(table, column) for column in table.columns if not column.inherited and not table.of_type]
    body = sql.SQL("({})").format(sql.SQL(", ").join(own))
    parents = ", ".join(map(_qualified, table.parents))
    if table.partition_bound:
        kind = join("PARTITION OF", parents, table.partition_bound)
    elif table.of_type:
        kind = join("OF", table.of_type)
    else:
        kind = join(body, f"INHERITS ({parents})" if parents else None)
    if table.kind == "foreign table":
        return join("CREATE FOREIGN TABLE", named(table), kind, "SERVER", table.server, _options_of_server(table))
    return join(
        "CREATE UNLOGGED TABLE" if table.unlogged else "CREATE TABLE",
        named(table),
        kind,
        f"PARTITION BY {table.partition_key}" if table.partition_key else None,
        join("USING", sql.Identifier(table.access_method)) if table.access_method else None,
        options("WITH", table.options),
    )


def _options_of_server(table: Relation) -> sql.Composable | None:
    pairs = [option.partition("=")[::2] for option in table.options]
    given = sql.SQL(", ").join(join(sql.Identifier(name), sql.Literal(value)) for name, value in pairs)
    return join("OPTIONS (", given, ")") if pairs else None


def _override(table: Relation, column: Column, parents: Sequence[Relation]) -> Iterator[Step]:
    """Return the properties of a column that it does not inherit from *parents*."""
    name = sql.Identifier(column.name)
    above = [inherited for parent in parents if (inherited := parent.column(column.name)) is not None]
    has_own_default = all(inherited.default != column.default for inherited in above)
    if column.default is not None and not column.generated and has_own_default:
        yield alter(table, Phase.COLUMNS, "ALTER COLUMN", name, "SET DEFAULT", column.default)
    if column.not_null and not any(inherited.not_null for inherited in above):
        yield alter(table, Phase.COLUMNS, "ALTER COLUMN", name, "SET NOT NULL")


def _qualified(label: str) -> str:
    return f"{DEFAULT_SCHEMA}.{label}" if _UNQUALIFIED.fullmatch(label) else label


def add_view(difference: Difference) -> Iterator[Step]:
    """Create a view."""
    yield from create_view(wanted_of(difference, Relation))


def drop_view(difference: Difference) -> Iterator[Step]:
    """Drop a view."""
    yield remove_view(found_of(difference, Relation))


def replace_view(difference: Difference) -> Iterator[Step]:
    """Replace the query of a view by one that only adds columns."""
    view = wanted_of(difference, Relation)
    statement = join(
        "CREATE OR REPLACE VIEW", named(view), options("WITH", view.options), "AS", define(view.definition)
    )
    yield Step(Phase.VIEWS, statement, "locks the view briefly")


def create_view(view: Relation) -> Iterator[Step]:
    """Create a view or materialized view with its indexes, rules and triggers."""
    given = options("WITH", view.options)
    effect = "runs the query and keeps its rows" if view.kind == "materialized view" else ""
    yield Step(Phase.VIEWS, join("CREATE", word(view), named(view), given, "AS", define(view.definition)), effect)
    for column in view.columns:
        if column.default is not None:
            yield alter(view, Phase.VIEWS, "ALTER COLUMN", sql.Identifier(column.name), "SET DEFAULT", column.default)
        yield from set_properties(view, column, Phase.VIEWS)
        if column.compression:
            name = sql.Identifier(column.name)
            yield alter(view, Phase.VIEWS, "ALTER COLUMN", name, "SET COMPRESSION", column.compression)
    for attachment in view.attachments:
        yield from create_attachment(view, attachment, phase=Phase.VIEWS)
    if view.clustered_on:
        yield alter(view, Phase.VIEWS, "CLUSTER ON", sql.Identifier(view.clustered_on))


def remove_view(view: Relation) -> Step:
    """Drop a view after all that use it."""
    return Step(Phase.CLEAR, join("DROP", word(view), "IF EXISTS", named(view)), "locks the view")


def alter_row_security(difference: Difference) -> Iterator[Step]:
    """Enable or disable row security."""
    switch = "ENABLE" if wanted_of(difference, Relation).row_security else "DISABLE"
    yield alter(relation_of(difference), Phase.BEHAVIOUR, switch, "ROW LEVEL SECURITY")


def alter_force_row_security(difference: Difference) -> Iterator[Step]:
    """Enable or disable row security for the owner."""
    switch = "FORCE" if wanted_of(difference, Relation).force_row_security else "NO FORCE"
    yield alter(relation_of(difference), Phase.BEHAVIOUR, switch, "ROW LEVEL SECURITY")


def alter_replica_identity(difference: Difference) -> Iterator[Step]:
    """Set the replica identity."""
    identity = wanted_of(difference, Relation).replica_identity or "DEFAULT"
    yield alter(relation_of(difference), Phase.CONSTRAINTS, "REPLICA IDENTITY", identity)


def alter_clustering(difference: Difference) -> Iterator[Step]:
    """Set the index for CLUSTER."""
    index = wanted_of(difference, Relation).clustered_on
    relation = relation_of(difference)
    if index is None:
        yield alter(relation, Phase.CONSTRAINTS, "SET WITHOUT CLUSTER")
    else:
        yield alter(relation, Phase.CONSTRAINTS, "CLUSTER ON", sql.Identifier(index))


def set_logged(difference: Difference) -> Iterator[Step]:
    """Make an unlogged table logged."""
    yield alter(relation_of(difference), Phase.COLUMNS, "SET LOGGED", effect=REWRITES)


def alter_option(difference: Difference) -> Iterator[Step]:
    """Set or reset an option of a table or view."""
    name, value = difference.name or "", difference.to_text
    if relation_of(difference).kind == "foreign table":
        found = () if difference.from_text is None else (f"{name}={difference.from_text}",)
        wanted = () if value is None else (f"{name}={value}",)
        yield alter(relation_of(difference), Phase.NOTES, foreign_options(found, wanted))
    elif value is None:
        yield alter(relation_of(difference), Phase.NOTES, "RESET (", name, ")")
    else:
        yield alter(relation_of(difference), Phase.NOTES, "SET (", name, "=", sql.Literal(value), ")")

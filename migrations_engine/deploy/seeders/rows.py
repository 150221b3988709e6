"""The rows that an INSERT statement defines: found by running its query without inserting, and looked for by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from migrations_engine.deploy.session import DeploySession
from migrations_engine.queries import load_queries
from migrations_engine.source.insert import Insert
from migrations_engine.source.names import ObjectName

_QUERIES: Final = load_queries(__package__)
_TIME_CATEGORIES: Final = frozenset({"D", "T"})  #: ``pg_type.typcategory`` of dates and times, and of intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededTable:
    """A table that a seeder fills."""

    oid: int
    name: str  #: as SQL may use it
    label: str  #: as people read it: without quotes, and without ``public.``
    columns: list[dict[str, Any]]  #: name, type, category; in order, generated ones left out
    keys: list[list[str]]  #: column names of each unique index without expressions, the primary key first
    needs: list[int]  #: oids of the other tables that its foreign keys refer to
    has_triggers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCount:
    """How many rows a statement defines, and how many of them the table has."""

    expected: int
    found: int


def find_table(session: DeploySession, name: ObjectName) -> SeededTable | None:
    """Look a table up as an INSERT would; None when there is none."""
    with session.connection.cursor(row_factory=class_row(SeededTable)) as cursor:
        return cursor.execute(_QUERIES["seeded_table"], {"schema": name.schema, "table": name.name}).fetchone()


def joined(inserts: Sequence[Insert]) -> Insert | None:
    """Several INSERTs of plain values into the same columns of one table as one; None when they are something else."""
    if len(inserts) < 2:
        return None
    first = inserts[0]
    if any(insert.before or not insert.is_values or insert.columns != first.columns for insert in inserts):
        return None
    lists = ", ".join(insert.source[len("VALUES") :] for insert in inserts)
    return replace(
        first,
        source=f"VALUES {lists}",
        has_defaults=any(insert.has_defaults for insert in inserts),
        computes=any(insert.computes for insert in inserts),
        varies=any(insert.varies for insert in inserts),
    )


def count_rows(session: DeploySession, insert: Insert, table: SeededTable, *, altered: bool = False) -> RowCount:
    """Count the rows that *insert* defines and those of them that are in *table*, by the first key it gives values for.

    A table without such a key is searched by all given values, less those that are the clock's or a generator's. Where
    what went in may be other than what is given, the table must only have as many rows.
    """
    names = insert.columns if insert.columns is not None else _leading_columns(session, insert, table)
    types = {column["name"]: column for column in table.columns}
    if any(name not in types for name in names):
        missing = next(name for name in names if name not in types)
        raise psycopg.errors.UndefinedColumn(f'column "{missing}" of table {table.name} does not exist')
    rows = sql.SQL("{} {}").format(sql.SQL(insert.before), sql.SQL(insert.source))
    for key in (*(key for key in table.keys if set(key) <= set(names)), None):
        count = _count(session, rows, insert, table, names=names, key=key)
        if count is None:
            continue
        if key is None and count.found < count.expected and (altered or insert.varies or table.has_triggers):
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.SQL(table.name))
            [(present,)] = session.query(query).fetchall()
            return RowCount(expected=count.expected, found=min(count.expected, present))
        return count
    raise AssertionError


def _count(
    session: DeploySession,
    rows: sql.Composed,
    insert: Insert,
    table: SeededTable,
    *,
    names: tuple[str, ...],
    key: list[str] | None,
) -> RowCount | None:
    """Count by *key*; None when some row gives no value for it."""
    types = {column["name"]: column for column in table.columns}
    compared = key if key is not None else [n for n in names if not (insert.computes and _is_volatile(types[n]))]
    conditions = sql.SQL(" AND ").join(
        _same(name, types[name]["type"], insert, exact=key is not None) for name in compared
    )
    statement = sql.SQL(
        "WITH defined ({columns}) AS MATERIALIZED ({rows})"
        " SELECT count(*), count(*) FILTER (WHERE {incomplete}), count(*) FILTER (WHERE EXISTS"
        " (SELECT FROM {table} AS present WHERE {conditions})) FROM defined"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        rows=rows,
        incomplete=sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier("defined", n)) for n in key or ())
        if key
        else sql.SQL("false"),
        table=sql.SQL(table.name),
        conditions=conditions if compared else sql.SQL("true"),
    )
    row = session.query(statement).fetchone()
    assert row is not None
    expected, incomplete, found = row
    return None if incomplete else RowCount(expected=expected, found=found)


def _same(name: str, type_name: str, insert: Insert, *, exact: bool) -> sql.Composed:
    here, there = sql.Identifier("present", name), sql.Identifier("defined", name)
    as_type = sql.SQL(type_name)
    if exact:
        return sql.SQL("{} = {}::{}").format(here, there, as_type)
    same = sql.SQL("{}::text IS NOT DISTINCT FROM {}::{}::text").format(here, there, as_type)
    if insert.has_defaults:
        return sql.SQL("({} IS NULL OR {})").format(there, same)
    return same


def _leading_columns(session: DeploySession, insert: Insert, table: SeededTable) -> tuple[str, ...]:
    """The columns that an INSERT without a column list fills: as many as its query has."""
    statement = sql.SQL("SELECT * FROM ({} {}) AS defined LIMIT 0").format(
        sql.SQL(insert.before), sql.SQL(insert.source)
    )
    cursor = session.query(statement)
    width = len(cursor.description or ())
    return tuple(column["name"] for column in table.columns[:width])


def _is_volatile(column: dict[str, Any]) -> bool:
    return column["category"] in _TIME_CATEGORIES or column["type"] == "uuid"

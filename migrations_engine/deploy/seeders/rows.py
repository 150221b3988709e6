"""Counts the rows that an INSERT defines: its query runs without inserting, and its rows are looked up by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
MISSING_NAMED: Final = 5  #: missing rows in a message
KEY_COLUMNS_NAMED: Final = 4  #: of a table without a key
_DEFINED: Final = "_stonescriptdb_gateway_defined"  #: the rows of a statement; no table has this name
_PRESENT: Final = "_stonescriptdb_gateway_present"  #: the existing rows
#: Columns are numbered, because the names of the table's columns are used for the existing rows.
_LOOKING_UP: Final = sql.SQL(
    "WITH {defined} ({columns}) AS MATERIALIZED ({rows}), {looked_up} AS (SELECT {label} AS label, {incomplete} AS"
    " incomplete, EXISTS (SELECT FROM {table} AS {present} WHERE {conditions}) AS found FROM {defined})"
    " SELECT count(*), count(*) FILTER (WHERE incomplete), count(*) FILTER (WHERE found),"
    " (array_agg(label) FILTER (WHERE NOT found))[1:{most}] FROM {looked_up}"
)
_TIME_CATEGORIES: Final = frozenset({"D", "T"})  #: ``pg_type.typcategory`` of dates and times, and of intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededTable:
    """A table that a seeder fills."""

    oid: int
    name: str  #: quoted for SQL
    label: str  #: for messages: without quotes and without ``public.``
    columns: list[dict[str, Any]]  #: in order: name, type, category, whether it is required
    keys: list[list[str]]  #: column names of each unique index without expressions, the primary key first
    needs: list[int]  #: oids of the other tables that its foreign keys refer to
    has_triggers: bool
    has_policies: bool  #: that apply to the role which deploys

    def unfilled_by(self, insert: Insert) -> list[str]:
        """Return the columns that need a value and get none from *insert*. A trigger may fill them."""
        if insert.columns is None or self.has_triggers:
            return []
        return [
            column["name"] for column in self.columns if column["required"] and column["name"] not in insert.columns
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCount:
    """The number of rows that a statement defines, and of those that exist.

    :ivar missing: some of the others, for messages: ``id = 1``
    :ivar by_key: they were looked up by a key of the table
    """

    expected: int = 0
    found: int = 0
    missing: tuple[str, ...] = ()
    by_key: bool = True

    def __add__(self, other: RowCount) -> RowCount:
        return RowCount(
            expected=self.expected + other.expected,
            found=self.found + other.found,
            missing=(*self.missing, *other.missing)[:MISSING_NAMED],
            by_key=self.by_key and other.by_key,
        )


def find_table(session: DeploySession, name: ObjectName) -> SeededTable | None:
    """Return the table that an INSERT would fill; None if it does not exist."""
    with session.connection.cursor(row_factory=class_row(SeededTable)) as cursor:
        return cursor.execute(_QUERIES["seeded_table"], {"schema": name.schema, "table": name.name}).fetchone()


def joined(inserts: Sequence[Insert]) -> Insert | None:
    """Return several INSERTs of plain values into the same columns of one table as one; None for others."""
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


def query_of(insert: Insert) -> sql.Composed:
    """Return the query for the rows of *insert*, with its WITH clause."""
    return sql.SQL("{} {}").format(sql.SQL(insert.before), sql.SQL(insert.source))


def insert_into(session: DeploySession, copy: sql.Identifier, insert: Insert) -> None:
    """Insert the rows of *insert* into *copy*, a copy of its table."""
    columns = sql.SQL(", ").join(map(sql.Identifier, insert.columns or ()))
    given = sql.SQL("({})").format(columns) if insert.columns is not None else sql.SQL("")
    session.query(
        sql.SQL("{} INSERT INTO {} {} {}").format(sql.SQL(insert.before), copy, given, sql.SQL(insert.source))
    )


def count_rows(session: DeploySession, insert: Insert, table: SeededTable, *, altered: bool = False) -> RowCount:
    """Return the number of rows of *insert*, and of those in *table*, by the first key for which it has values.

    A table without such a key is searched by all given values, except computed times and UUIDs. Where the stored values
    may differ from the given ones, only the number of rows is compared.
    """
    names = insert.columns if insert.columns is not None else _leading_columns(session, insert, table)
    types = {column["name"]: column for column in table.columns}
    if any(name not in types for name in names):
        missing = next(name for name in names if name not in types)
        raise psycopg.errors.UndefinedColumn(f'column "{missing}" of table {table.name} does not exist')
    for key in (*(key for key in table.keys if set(key) <= set(names)), None):
        count = _count(session, insert, table, names=names, key=key)
        if count is None:
            continue
        if key is None and count.found < count.expected and (altered or insert.varies or table.has_triggers):
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.SQL(table.name))
            [(present,)] = session.query(query).fetchall()
            return replace(count, found=min(count.expected, present))
        return count
    raise AssertionError


def rows_not_there(session: DeploySession, insert: Insert, table: SeededTable) -> tuple[str, ...]:
    """Return names of the rows that *insert* inserts when it runs again. They are missing, as triggers make them.

    The caller must roll back. Rows with an existing key are not inserted.
    """
    key = next(iter(table.keys), None) or [column["name"] for column in table.columns][:KEY_COLUMNS_NAMED]
    label = _label(key, sql.Identifier)
    statement = sql.SQL("{} ON CONFLICT DO NOTHING RETURNING {}").format(sql.SQL(insert.filling), label)
    return tuple(row[0] for row in session.query(statement).fetchall())


def _count(
    session: DeploySession, insert: Insert, table: SeededTable, *, names: tuple[str, ...], key: list[str] | None
) -> RowCount | None:
    """Return the count by *key*; None if a row has no value for it."""
    types = {column["name"]: column for column in table.columns}
    compared = key if key is not None else [n for n in names if not (insert.computes and _is_volatile(types[n]))]
    numbered = {name: sql.Identifier(_DEFINED, str(number)) for number, name in enumerate(names)}
    conditions = sql.SQL(" AND ").join(
        _same(sql.Identifier(_PRESENT, name), numbered[name], types[name]["type"], insert, exact=key is not None)
        for name in compared
    )
    incomplete: list[sql.Composable] = [sql.SQL("{} IS NULL").format(numbered[name]) for name in key or ()]
    statement = _LOOKING_UP.format(
        defined=sql.Identifier(_DEFINED),
        looked_up=sql.Identifier(f"{_DEFINED}_looked_up"),
        present=sql.Identifier(_PRESENT),
        columns=sql.SQL(", ").join(sql.Identifier(str(number)) for number in range(len(names))),
        rows=query_of(insert),
        label=_label((compared or list(names))[:KEY_COLUMNS_NAMED], lambda name: numbered[name]),
        incomplete=sql.SQL(" OR ").join(incomplete or [sql.SQL("false")]),
        table=sql.SQL(table.name),
        conditions=conditions if compared else sql.SQL("true"),
        most=sql.Literal(MISSING_NAMED),
    )
    row = session.query(statement).fetchone()
    assert row is not None
    expected, incomplete, found, missing = row
    if incomplete:
        return None
    return RowCount(expected=expected, found=found, missing=tuple(missing or ()), by_key=key is not None)


def _label(names: Sequence[str], spelled: Callable[[str], sql.Identifier]) -> sql.Composed:
    """Return the values of some columns for a message."""
    parts = (
        sql.SQL("{} || coalesce({}::pg_catalog.text, 'NULL')").format(sql.Literal(f"{name} = "), spelled(name))
        for name in names
    )
    return sql.SQL("pg_catalog.concat_ws(', ', {})").format(sql.SQL(", ").join(parts))


def _same(here: sql.Identifier, there: sql.Identifier, type_name: str, insert: Insert, *, exact: bool) -> sql.Composed:
    as_type = sql.SQL(type_name)
    if exact:
        return sql.SQL("{} = {}::{}").format(here, there, as_type)
    same = sql.SQL("{}::text IS NOT DISTINCT FROM {}::{}::text").format(here, there, as_type)
    if insert.has_defaults:
        return sql.SQL("({} IS NULL OR {})").format(there, same)
    return same


def _leading_columns(session: DeploySession, insert: Insert, table: SeededTable) -> tuple[str, ...]:
    """Return the columns that an INSERT without a column list fills: as many as its query has."""
    cursor = session.query(sql.SQL("SELECT * FROM ({}) AS defined LIMIT 0").format(query_of(insert)))
    width = len(cursor.description or ())
    return tuple(column["name"] for column in table.columns[:width])


def _is_volatile(column: dict[str, Any]) -> bool:
    return column["category"] in _TIME_CATEGORIES or column["type"] == "uuid"

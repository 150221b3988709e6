"""Compares catalogs over time and between databases, for less than it costs to read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias

import psycopg

from migrations_engine.queries import load_queries

Mark: TypeAlias = Mapping[str, str]  #: by the names of catalogs, without those that have no objects of the application

_QUERIES: Final = load_queries(__package__)
_SHAPE: Final = "shape_of_"
READ_MARK_AGAIN: Final = _QUERIES["execute_mark"]  #: with the plan of READ_MARK_FIRST, for a fifth of its cost
READ_MARK_FIRST: Final = _QUERIES["prepare_mark"] + b"\n" + _QUERIES["mark"] + b";\n" + READ_MARK_AGAIN


def read_mark(connection: psycopg.Connection[Any]) -> Mark:
    """Return a text for each catalog that changes with any change of the application's objects in it.

    It may also change without one, after a temporary table or a TRUNCATE. It costs a tenth of reading the catalogs.
    """
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return complete_mark(connection, cursor.execute(_QUERIES["mark"]).fetchall())


def changed_catalogs(before: Mark, after: Mark) -> frozenset[str]:
    """Return the names of the catalogs that have changed between two marks."""
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def shape_statement(catalogs: Collection[str]) -> bytes | None:
    """Return a query of a text for each of *catalogs* that is equal in databases with equal contents.

    It describes the rows that the present transaction has written, and the names of all other objects. So the databases
    must have been equal before. None if one of *catalogs* has no such text, as those of objects that few applications
    have.
    """
    if not catalogs:
        return _QUERIES["no_shape"]
    parts = [_QUERIES.get(f"{_SHAPE}{catalog}") for catalog in sorted(catalogs)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return _QUERIES["shape"] + b"\n" + b"\nUNION ALL\n".join(known) + b"\n" + _QUERIES["shape_end"]


def complete_mark(connection: psycopg.Connection[Any], rows: Iterable[tuple[str, str, bool]]) -> Mark:
    """Return the mark of the *rows* that READ_MARK_FIRST or READ_MARK_AGAIN returned, with the catalogs left out."""
    mark, has_more = {}, False
    for catalog, text, more in rows:
        mark[catalog] = text
        has_more |= more
    if has_more:
        with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
            mark |= dict(cursor.execute(_QUERIES["mark_more"]).fetchall())
    return mark

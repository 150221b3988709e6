"""Compares catalogs over time and between databases, for less than it costs to read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

import psycopg

from migrations_engine.queries import Rows, load_queries, query_all

Mark: TypeAlias = Mapping[str, str]  #: by the names of catalogs, without those that have no objects of the application

_QUERIES: Final = load_queries(__package__, "marks.sql")
_SHAPE: Final = "shape_of_"
READ_MARK: Final = _QUERIES["mark"]  #: several statements
MARK_RESULTS: Final = READ_MARK.count(b";\n") + 1  #: of these statements


def read_mark(connection: psycopg.Connection[Any]) -> Mark:
    """Return a text for each catalog that changes with any change of the application's objects in it.

    It may also change without one, after a temporary table or a TRUNCATE. It costs a tenth of reading the catalogs.
    """
    return complete_mark(connection, query_all(connection, [READ_MARK]))


def complete_mark(connection: psycopg.Connection[Any], results: Sequence[Rows]) -> Mark:
    """Return the mark with the results of READ_MARK. Catalogs that few applications use are read only if needed."""
    rows = [row for (row,) in results]
    if any(has_more for *_, has_more in rows):
        rows += [row for (row,) in query_all(connection, [_QUERIES["mark_more"]])]
    return {catalog: f"{count} {written}" for catalog, count, written, _ in rows if count}


def changed_catalogs(before: Mark, after: Mark) -> frozenset[str]:
    """Return the names of the catalogs that have changed between two marks."""
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def shape_statements(catalogs: Collection[str]) -> tuple[bytes, ...] | None:
    """Return a query for each of *catalogs* whose result is equal in databases with equal contents.

    It describes the rows that the present transaction has written, and the names of all other objects. So the databases
    must have been equal before. None if one of *catalogs* has no such query, as those of objects that few applications
    have.
    """
    parts = [_QUERIES.get(f"{_SHAPE}{catalog}") for catalog in sorted(catalogs)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return tuple(b"\n".join((_QUERIES["shape"], part, _QUERIES["shape_end"])) for part in known)

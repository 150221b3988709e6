"""Reading a database: its whole catalog in one statement, and the rows that a difference puts at risk. SELECT only."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, Self, TypeVar

import psycopg
from psycopg import sql

from migrations_engine.model import Catalog, Names, ObjectNames
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_INPUT_IS_VALID: Final = "pg_temp.input_is_valid"  #: a function that is created for queries that call it


class HasRowQueries(Protocol):
    """A comparison that wants rows counted."""

    def row_queries(self) -> Iterable[tuple[int, sql.SQL | sql.Composed | None]]:
        """Return a SELECT of one number for each position, or None where no query can count."""

    def with_answers(self, answers: Mapping[int, int | str]) -> Self:
        """Itself with the number of rows by place, or why they could not be counted."""


Q = TypeVar("Q", bound=HasRowQueries)


def read_catalog(connection: psycopg.Connection) -> Catalog:
    """Read everything the application has in *connection*'s database, as this transaction sees it.

    One statement, and more of them only for objects that most applications have none of. Its result does not depend on
    the session's search_path, DateStyle and the like, which it leaves as they were. Raises what the driver raises.
    """
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        _execute_catalog_query(cursor)
        row = cursor.fetchone()
        assert row is not None
        text, has_objects, has_privileges, _ = row
        queries: dict[str, tuple[str, ...]] = {"privileges": ("privileges",)} if has_privileges else {}
        if has_objects:
            queries |= {"objects": ("objects", "publications"), "uncovered": ("mappings_and_owners",)}
        if queries:
            text = _read_more(cursor, text, queries)
    return Catalog.from_json(text)


def _execute_catalog_query(cursor: psycopg.Cursor[Any]) -> None:
    """Execute the catalog query; within a transaction it is planned once, because that takes longer than to run it.

    Whether it is prepared is asked each time, because SQL of a schema, or the driver, may have deallocated it.
    """
    if cursor.connection.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
        cursor.execute(_QUERIES["catalog"])
        return
    if cursor.execute(_QUERIES["is_prepared"]).fetchone() != (True,):
        cursor.execute(_QUERIES["prepare"] + b"\n" + _QUERIES["catalog"])
    cursor.execute(_QUERIES["execute"])


def _read_more(cursor: psycopg.Cursor[Any], text: str, queries: Mapping[str, Iterable[str]]) -> str:
    """Return the catalog *text* with the lists that *queries* read for some of its parts."""
    document: dict[str, Any] = json.loads(text)
    with cursor.connection.transaction(force_rollback=True):
        cursor.execute(_QUERIES["settings"])
        for part, names in queries.items():
            rows = [cursor.execute(_QUERIES[name]).fetchone() for name in names]
            found = [item for row in rows if row is not None for item in json.loads(row[0] or "[]")]
            if found:
                document[part] = [*document.get(part, ()), *found]
    return json.dumps(document, ensure_ascii=False)


def read_names(connection: psycopg.Connection[Any]) -> Names:
    """Read how tables, their columns and types are called, by an identity that a renaming leaves as it is."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(_QUERIES["names"]).fetchall()
    return {key: ObjectNames(label=label, schema=n, name=name, columns=cols) for key, label, n, name, cols in rows}


def count_rows_at_risk(connection: psycopg.Connection[Any], diff: Q, timeout_ms: int) -> Q:
    """Return *diff* with the rows counted that its dangerous differences concern.

    Read-only, and nothing of it stays in the session or transaction. What cannot be counted, also within *timeout_ms*
    for all of them together, says so in its reason and stays dangerous.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    answers: dict[int, int | str] = {}
    for place, query in diff.row_queries():
        left_ms = int((deadline - time.monotonic()) * 1000)
        if query is None:
            answers[place] = "no query can count them"
        elif left_ms <= 0:
            answers[place] = "the time for counting was over"
        else:
            answers[place] = _ask(connection, query, left_ms)
    return diff.with_answers(answers)


def _ask(connection: psycopg.Connection[Any], query: sql.SQL | sql.Composed, timeout_ms: int) -> int | str:
    try:
        with (
            connection.transaction(force_rollback=True),
            connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor,
        ):
            if _INPUT_IS_VALID in query.as_string(connection):
                cursor.execute(_QUERIES["input_is_valid"])
            cursor.execute(_QUERIES["guards"], {"timeout": str(timeout_ms)})
            row = cursor.execute(query).fetchone()
    except psycopg.errors.QueryCanceled:
        return f"it took longer than {timeout_ms} ms"
    except (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.UnsafeNewEnumValueUsage,
    ):
        raise  # the deploy's matter, which is tried again
    except psycopg.Error as exc:  # the server of a foreign table cannot be reached, for one
        if connection.closed:
            raise
        return exc.diag.message_primary or str(exc)
    assert row is not None
    return int(row[0])

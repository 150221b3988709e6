"""Reads the whole catalog of a database in one statement, and counts rows at risk. It changes nothing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, Self, TypeVar

import psycopg
from psycopg import sql

from migrations_engine.model import Catalog, Names, ObjectNames, RoutineState
from migrations_engine.queries import load_queries, query_all

_QUERIES: Final = load_queries(__package__)
_INPUT_IS_VALID: Final = "pg_temp.input_is_valid"  #: a function that is created for queries that call it


class HasRowQueries(Protocol):
    """A comparison whose rows at risk can be counted."""

    def row_queries(self) -> Iterable[tuple[int, sql.SQL | sql.Composed | None]]:
        """Return queries for a number of rows, each with its place; None if no query can count them."""

    def with_answers(self, answers: Mapping[int, int | str]) -> Self:
        """Return the comparison with the numbers of rows by place, or the reasons why they were not counted."""


Q = TypeVar("Q", bound=HasRowQueries)


def read_catalog(connection: psycopg.Connection) -> Catalog:
    """Read all objects of the application in the database of *connection*, as its transaction sees them.

    One statement, and more only for objects that few applications have. The result does not depend on settings of the
    session such as search_path and DateStyle, and leaves them unchanged.

    :raises psycopg.Error: as raised by the driver
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
    """Execute the catalog query. In a transaction it is planned once, because planning takes longer than running it.

    It may have been deallocated by the schema's SQL or by the driver, so this is checked each time.
    """
    if cursor.connection.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
        cursor.execute(_QUERIES["catalog"])
        return
    if cursor.execute(_QUERIES["is_prepared"]).fetchone() != (True,):
        cursor.execute(_QUERIES["prepare"] + b"\n" + _QUERIES["catalog"])
    cursor.execute(_QUERIES["execute"])


def _read_more(cursor: psycopg.Cursor[Any], text: str, queries: Mapping[str, Iterable[str]]) -> str:
    """Return the catalog *text* with the results of *queries* added to its parts."""
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
    """Read the names of tables with their columns and members, and of types, by what a rename does not change."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(_QUERIES["names"]).fetchall()
    return {
        key: ObjectNames(label=label, schema=schema, name=name, columns=columns, members=members)
        for key, label, schema, name, columns, members in rows
    }


def read_routines(connection: psycopg.Connection[Any]) -> tuple[RoutineState, ...]:
    """Read the application's functions, procedures and aggregates."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(_QUERIES["routines"]).fetchall()
    return tuple(
        RoutineState(identity=identity, digest=digest, privileges=tuple(privileges), comment=comment)
        for identity, digest, privileges, comment in rows
    )


def read_initial_privileges(
    connection: psycopg.Connection[Any], identities: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the privileges that the routines of *identities* would have if they were created now."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        rows = cursor.execute(_QUERIES["initial_privileges"], {"identities": list(identities)}).fetchall()
    return {identity: tuple(privileges) for identity, privileges in rows}


def digest_of_routines(routines: Sequence[RoutineState]) -> str:
    """Return a digest that is equal while no routine, comment or privilege on one has changed."""
    return hashlib.sha256(repr(routines).encode()).hexdigest()


def count_rows_at_risk(connection: psycopg.Connection[Any], diff: Q, timeout_ms: int) -> Q:
    """Return *diff* with the number of rows at risk of its dangerous differences.

    Nothing is written, and session and transaction stay as they were. A difference whose rows cannot be counted within
    *timeout_ms* for all together stays dangerous, with the cause in its reason.
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


def repeat_row_counts(connection: psycopg.Connection[Any], queries: Sequence[bytes], timeout_ms: int) -> list[int]:
    """Return the numbers of rows for *queries* that :func:`count_rows_at_risk` has sent to an equal database.

    :raises psycopg.Error: one of them failed, and so has the transaction
    """
    needed = [_QUERIES["input_is_valid"]] if any(_INPUT_IS_VALID.encode() in query for query in queries) else []
    guards = psycopg.ClientCursor(connection).mogrify(_QUERIES["guards"], {"timeout": str(timeout_ms)}).encode()
    before, after = [b"SAVEPOINT row_counts", *needed, guards], [b"ROLLBACK TO SAVEPOINT row_counts"]
    results = query_all(connection, [*before, *queries, *after])
    return [int(number) for ((number,),) in results[len(before) : -len(after)]]


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
        raise  # then the deploy is tried again
    except psycopg.Error as exc:  # for example, the server of a foreign table cannot be reached
        if connection.closed:
            raise
        return exc.diag.message_primary or str(exc)
    assert row is not None
    return int(row[0])

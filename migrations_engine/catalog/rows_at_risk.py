"""Asking a tenant's own rows the questions that a comparison raises; SELECT only, with a time limit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, Self, TypeVar

import psycopg
from psycopg import sql

from migrations_engine.queries import load_queries

_GUARDS: Final = load_queries("migrations_engine.catalog")["guards"]


class Questioning(Protocol):
    """A comparison that wants rows counted."""

    def questions(self) -> Iterable[tuple[int, sql.SQL | sql.Composed | None]]:
        """A SELECT of one number for each place; None where no query can tell."""

    def with_answers(self, answers: Mapping[int, int | str]) -> Self:
        """Itself with the number of rows by place, or why they could not be counted."""


Q = TypeVar("Q", bound=Questioning)


def count_rows_at_risk(connection: psycopg.Connection[Any], diff: Q, timeout_ms: int) -> Q:
    """Give *diff* with the rows counted that its dangerous differences concern.

    Read-only, and nothing of it stays in the session or transaction. What cannot be counted, also within *timeout_ms*
    for all of them together, says so in its reason and stays dangerous.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    answers: dict[int, int | str] = {}
    for place, question in diff.questions():
        left_ms = int((deadline - time.monotonic()) * 1000)
        if question is None:
            answers[place] = "no query can tell"
        elif left_ms <= 0:
            answers[place] = "the time for counting was over"
        else:
            answers[place] = _ask(connection, question, left_ms)
    return diff.with_answers(answers)


def _ask(connection: psycopg.Connection[Any], question: sql.SQL | sql.Composed, timeout_ms: int) -> int | str:
    try:
        with (
            connection.transaction(force_rollback=True),
            connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor,
        ):
            cursor.execute(_GUARDS, {"timeout": str(timeout_ms)})
            row = cursor.execute(question).fetchone()
    except psycopg.errors.QueryCanceled:
        return f"it took longer than {timeout_ms} ms"
    except psycopg.OperationalError:
        raise  # the connection, or a lock that the deploy waited for: not this question's matter
    except psycopg.Error as exc:
        return exc.diag.message_primary or str(exc)
    assert row is not None
    return int(row[0])

"""Running files whose order nobody wrote down: what lacks something another file makes is tried again after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import psycopg

from migrations_engine.deploy.session import DeploySession

Item = TypeVar("Item")

#: SQLSTATEs by which PostgreSQL says that a named thing is not there (yet): function, table, object, column, schema.
UNDEFINED: Final = frozenset({"42883", "42P01", "42704", "42703", "3F000"})


def run_in_workable_order(
    session: DeploySession,
    items: Sequence[Item],
    run: Callable[[Item], None],
    *,
    retried: frozenset[str] = UNDEFINED,
) -> list[tuple[Item, psycopg.Error]]:
    """Run every item, each in a savepoint; one that fails with a *retried* SQLSTATE waits until others have succeeded.

    Gives the items that still fail when no further one succeeds, each with PostgreSQL's error. Other errors pass.
    """
    waiting = list(items)
    while waiting:
        failed: list[tuple[Item, psycopg.Error]] = []
        for item in waiting:
            try:
                with session.savepoint():
                    run(item)
            except psycopg.Error as exc:
                if exc.sqlstate not in retried:
                    raise
                failed.append((item, exc))
        if len(failed) == len(waiting):
            return failed
        waiting = [item for item, _ in failed]
    return []


def run_all_or_in_workable_order(
    session: DeploySession,
    items: Sequence[Item],
    run: Callable[[Item], None],
    *,
    retried: frozenset[str] = UNDEFINED,
) -> list[tuple[Item, psycopg.Error]]:
    """As :func:`run_in_workable_order`, but first try all in the given order under one savepoint."""
    try:
        with session.savepoint():
            for item in items:
                run(item)
    except psycopg.Error as exc:
        if exc.sqlstate not in retried:
            raise
        return run_in_workable_order(session, items, run, retried=retried)
    return []

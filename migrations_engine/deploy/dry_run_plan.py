"""The plan of a dry run: the statements that ran, with their locks and rewrites as PostgreSQL shows them."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from migrations_engine.queries import load_queries
from migrations_engine.report import PlannedStatement

_QUERIES: Final = load_queries(__package__)


class DryRunPlan:
    """Collects the statements of one dry run on one database."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.statements: list[PlannedStatement] = []
        row = connection.execute(_QUERIES["storage"]).fetchone()
        assert row is not None
        self._storage: dict[str, int] = row[0]
        self._locks: dict[str, str] = {}

    def note(self, connection: psycopg.Connection[Any], *, step: str, sql: str, file: str | None, effect: str) -> None:
        """Add a statement that has run, with its locks and rewrites of relations that existed before."""
        effects, rewrites = [effect] if effect else [], False
        rows = connection.execute(_QUERIES["strong_locks"], {"relations": list(self._storage)}).fetchall()
        for oid, relation, lock, storage in rows:
            if self._locks.get(oid) != lock:
                effects.append(f"{lock} on {relation}")
            if self._storage[oid] != storage:
                effects.append(f"rewrites {relation}")
                rewrites = True
            self._locks[oid] = lock
            self._storage[oid] = storage
        self.statements.append(
            PlannedStatement(step=step, sql=sql.strip(), file=file, effect="; ".join(effects), rewrites=rewrites)
        )

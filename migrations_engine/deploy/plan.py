"""The plan of a dry run: every statement that ran, and what PostgreSQL itself shows it locked and rewrote."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from migrations_engine.queries import load_queries
from migrations_engine.report import PlannedStatement

_QUERIES: Final = load_queries(__package__)


class Plan:
    """Collects the statements of one dry run on one database."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.statements: list[PlannedStatement] = []
        row = connection.execute(_QUERIES["last_relation"]).fetchone()
        assert row is not None
        self._last_relation = row[0]
        self._locks: dict[str, list[Any]] = {}

    def note(self, connection: psycopg.Connection[Any], *, step: str, sql: str, file: str | None, effect: str) -> None:
        """Add the statement that just ran, and the locks and rewrites it brought to relations there before."""
        row = connection.execute(_QUERIES["strong_locks"], {"last_relation": self._last_relation}).fetchone()
        assert row is not None
        locks: dict[str, list[Any]] = row[0]
        effects = [effect] if effect else []
        for relation, (modes, storage) in sorted(locks.items()):
            earlier_modes, earlier_storage = self._locks.get(relation, ([], storage))
            effects += [f"{mode} on {relation}" for mode in modes if mode not in earlier_modes]
            if storage != earlier_storage:
                effects.append(f"rewrites {relation}")
        self._locks = locks
        self.statements.append(PlannedStatement(step=step, sql=sql.strip(), file=file, effect="; ".join(effects)))

"""Keep copies of databases whose migration loses data or rewrites tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, Final

import psycopg

from gateway.databases import ManagedDatabase, WrittenRows
from gateway.errors import GatewayError
from gateway.naming import owner_facts
from gateway.operations.deploy import DeployTerms, dedicated_to, engine_errors, migrate
from gateway.services import Services
from migrations_engine import DeployReport, Schema, inspect_database, split_statements

BeforeCommit = Callable[[psycopg.Connection[Any]], None]

#: Statements that change no row, or only add some. What they drop is in the validation, what they rewrite in the plan.
_KEEPING: Final = frozenset(
    {"CREATE", "ALTER", "DROP", "COMMENT", "GRANT", "REVOKE", "INSERT", "SET", "RESET", "ANALYZE", "LOCK", "REINDEX"}
)
_OVERWRITING: Final = re.compile(r"\bUPDATE\b", re.IGNORECASE)  #: INSERT … ON CONFLICT DO UPDATE


class CopyRules:
    """Decides which databases of one migration need a copy, once for databases that are alike. Thread-safe."""

    def __init__(self, services: Services, schema: Schema, terms: DeployTerms) -> None:
        self._services = services
        self._schema = schema
        self._terms = terms
        self._lock = Lock()
        self._known: dict[str, bool] = {}  # by the fingerprint of a starting point

    @contextmanager
    def kept_copy(self, database: ManagedDatabase) -> Iterator[BeforeCommit | None]:
        """Keep a copy of *database* as it is before the block, if that is requested and needed.

        Yield the function that the migration has to call before its commit. If the block fails, the copy is dropped.

        :raises UndoRefused: there is no space for it; then nothing is migrated
        """
        services, terms = self._services, self._terms
        if not terms.undo or terms.dry_run or not self._needs_copy(database):
            yield None
            return
        services.registry.forget(database.name)
        with dedicated_to(services, database) as connection:
            written = WrittenRows.now(connection)
        copy = services.copies.make(database, request_id=terms.request_id)
        try:
            yield written.before_commit
        except BaseException:
            services.copies.drop(copy)
            raise
        mark = None
        if written.is_known:  # otherwise the database is in use, and it is useless to wait until it is not
            services.registry.forget(database.name)
            with dedicated_to(services, database) as connection:
                mark = written.mark(connection)
        services.copies.seal(copy, mark)

    def _needs_copy(self, database: ManagedDatabase) -> bool:
        facts = owner_facts(database.owner)
        with engine_errors(self._terms, **facts), dedicated_to(self._services, database) as connection:
            found = inspect_database(connection)
        if found.is_intact and found.schema_checksum == self._schema.checksum:
            return False
        with self._lock:
            if found.fingerprint not in self._known:
                self._known[found.fingerprint] = self._tried_out(database)
            return self._known[found.fingerprint]

    def _tried_out(self, database: ManagedDatabase) -> bool:
        """Return whether a dry run loses data or rewrites a table, or may do so where it fails."""
        try:
            report = migrate(self._services, database, self._schema, replace(self._terms, dry_run=True))
        except GatewayError:
            return True
        return loses_or_rewrites(report)


def loses_or_rewrites(report: DeployReport) -> bool:
    """Return whether the deploy of a dry run's *report* would lose data or rewrite a table, as far as known."""
    validation = report.schema_validation
    if validation.dataloss_changes or validation.incompatible_changes or report.left_out:
        return True
    return any(
        planned.rewrites or (planned.step in ("migrations", "seeders") and not _keeps_rows(planned.sql))
        for planned in report.plan
    )


def _keeps_rows(sql: str) -> bool:
    """Return whether none of the statements can remove a row or change a value."""
    for statement in split_statements(sql):
        verb = statement.words[0] if statement.words else ""
        if verb not in _KEEPING or (verb == "INSERT" and _OVERWRITING.search(statement.text)):
            return False
    return True

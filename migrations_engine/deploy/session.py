"""Sends the statements of a deploy, and collects its changes and warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg import sql

from migrations_engine.deploy.dry_run_plan import DryRunPlan
from migrations_engine.errors import DeployInterrupted, EngineError, MigrationFailed, ServerMessage
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.script import script_of
from migrations_engine.tracking import ChangelogEntry, Recording

SqlText: TypeAlias = "bytes | LiteralString | sql.SQL | sql.Composed"

_QUERIES: Final = load_queries(__package__)
LOCK_NOT_AVAILABLE: Final = "55P03"


class DeploySession:
    """The transaction of a deploy on *connection*.

    ``run`` raises the errors of the driver, because the steps need their SQLSTATE; :meth:`failures_as` converts them to
    errors of the engine.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        search_path: str,
        plan: DryRunPlan | None = None,
        recording: Recording | None = None,
    ) -> None:
        self.connection = connection
        self.search_path = search_path
        self.changes: list[ChangelogEntry] = []
        self.warnings: list[str] = []
        self.satisfied: list[str] = []
        self.plan = plan
        self.recording = recording

    def query(self, statement: SqlText, parameters: Any = None) -> psycopg.Cursor[Any]:  # noqa: ANN401 - psycopg's
        """Run a statement that reads, or writes records of the deploy. It is not part of the plan."""
        return self.connection.execute(statement, parameters)

    def run(self, statement: SqlText, *, step: str, file: str | None = None, effect: str = "") -> int:
        """Run one statement of the deploy and return the number of affected rows, -1 if it has none."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            touched = cursor.rowcount
        if self.recording is not None:
            self.recording.add(self.connection, statement)
        if self.plan is not None:
            self.plan.note(self.connection, step=step, sql=_text(statement, self.connection), file=file, effect=effect)
        return touched

    def run_file(self, file: SchemaFile, *, replacing: bool = False) -> None:
        """Run a whole file in one message, and then restore the settings of the session.

        :param replacing: add OR REPLACE to its statements where it is allowed
        """
        script = script_of(file)
        body = script.replacing_body if replacing else script.body
        if body.strip():
            self.run(body, step=file.folder, file=file.label)
        self.restore_settings(script.changes_settings)

    def restore_settings(self, needed: bool) -> None:
        """Restore the settings of the deploy if a file has set parameters, as files of ``pg_dump`` do."""
        if needed:
            self._set(_QUERIES["settings"], {"search_path": self.search_path})
            self._set(_QUERIES["reset_role"])

    def check_deferred(self) -> None:
        """Check deferred constraints now; at the commit, the error could not name the file.

        Tables with rows that wait for a check could not be altered, either.
        """
        row = self.query(_QUERIES["deferred_constraints"]).fetchone()
        if row is not None and row[0] is not None:
            self._set(b"SET CONSTRAINTS ALL IMMEDIATE")
            self._set(sql.SQL("SET CONSTRAINTS {} DEFERRED").format(sql.SQL(row[0])))

    def _set(self, statement: SqlText, parameters: Any = None) -> None:  # noqa: ANN401 - psycopg's
        """Run a statement that is not part of the plan, but of a repeated deploy."""
        self.query(statement, parameters)
        if self.recording is not None:
            self.recording.add(self.connection, statement, parameters)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run the block in a savepoint. If it raises, its changes and records are undone, and the deploy can go on."""
        forget = self._bookmark()
        try:
            with self.connection.transaction():
                yield
        except BaseException:
            forget()
            raise

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Run the block in a savepoint and always roll it back."""
        forget = self._bookmark()
        try:
            with self.connection.transaction(force_rollback=True):
                yield
        finally:
            forget()

    def _bookmark(self) -> Callable[[], None]:
        """Return a function that removes all records added after this call."""
        books: list[list[Any]] = [self.changes, self.warnings, self.satisfied]
        if self.plan is not None:
            books.append(self.plan.statements)
        if self.recording is not None:
            books.append(self.recording.statements)
        lengths = [len(book) for book in books]

        def forget() -> None:
            for book, length in zip(books, lengths, strict=True):
                del book[length:]

        return forget

    def log(self, change_type: str, object_name: str, **detail: object) -> None:
        """Add a changed object to the changelog."""
        self.changes.append(ChangelogEntry(change_type=change_type, object_name=object_name, detail=detail))

    @contextmanager
    def failures_as(
        self, error_class: type[EngineError] = MigrationFailed, *, file: SchemaFile | None = None, what: str = ""
    ) -> Iterator[None]:
        """Raise errors of PostgreSQL from the block as *error_class*, with *file* or *what* was done."""
        try:
            yield
        except psycopg.Error as exc:
            raise self.failure(exc, error_class, file=file, what=what) from exc

    def failure(
        self, exc: psycopg.Error, error_class: type[EngineError], *, file: SchemaFile | None = None, what: str = ""
    ) -> EngineError:
        """Return the error of the engine for one of PostgreSQL."""
        server = ServerMessage.of(exc)
        if self.connection.closed:
            return DeployInterrupted(f"the connection to PostgreSQL was lost: {server.message}", server=server)
        label = file.label if file else None
        subject = label or what or "a statement"
        return error_class(f"{subject} failed: {server.message}", file=label, server=server)


def _text(statement: SqlText, connection: psycopg.Connection[Any]) -> str:
    if isinstance(statement, bytes):
        return statement.decode()
    return statement if isinstance(statement, str) else statement.as_string(connection)

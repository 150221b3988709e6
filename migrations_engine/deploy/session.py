"""Sends the statements of a deploy, and collects its changes and warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString, TypeAlias
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators, sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from migrations_engine.deploy.dry_run_plan import DryRunPlan
from migrations_engine.errors import DeployInterrupted, EngineError, MigrationFailed, ServerMessage
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.script import line_in, line_in_body, script_of
from migrations_engine.source.statements import SqlStatement
from migrations_engine.tracking import ChangelogEntry, Recording

SqlText: TypeAlias = "bytes | LiteralString | sql.SQL | sql.Composed"

_QUERIES: Final = load_queries(__package__)
LOCK_NOT_AVAILABLE: Final = "55P03"


class DeploySession:
    """The transaction of a deploy on *connection*.

    ``run`` raises the errors of the driver, because the steps need their SQLSTATE; :meth:`failures_as` converts them to
    errors of the engine.

    :ivar is_partly_committed: a migration has run outside a transaction, and what precedes it was committed
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
        self.is_partly_committed = False
        self._lines: WeakKeyDictionary[psycopg.Error, int] = WeakKeyDictionary()  # in the file that was refused

    def query(self, statement: SqlText, parameters: Any = None) -> psycopg.Cursor[Any]:  # noqa: ANN401 - psycopg's
        """Run a statement that reads, or writes records of the deploy. It is not part of the plan."""
        return self.connection.execute(statement, parameters)

    def run(self, statement: SqlText, *, step: str, file: str | None = None, effect: str = "") -> int:
        """Run one statement of the deploy and return the number of affected rows, -1 if it has none."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            touched = cursor.rowcount
        self._note(statement, step=step, file=file, effect=effect)
        return touched

    def _note(self, statement: SqlText, *, step: str, file: str | None, effect: str = "") -> None:
        if self.recording is not None:
            self.recording.add(self.connection, statement)
        if self.plan is not None:
            self.plan.note(self.connection, step=step, sql=_text(statement, self.connection), file=file, effect=effect)

    def run_statement(self, file: SchemaFile, statement: SqlStatement) -> int:
        """Run one statement of *file* and return the number of affected rows, -1 if it has none."""
        try:
            return self.run(statement.text.encode(), step=file.folder, file=file.label)
        except psycopg.Error as exc:
            self.locate(exc, [statement])
            raise

    def run_alone(self, file: SchemaFile, statement: SqlStatement) -> int:
        """Run one statement of *file* as :meth:`run_statement` does, without those before it, which set its path."""
        with self.search_path_of(statement):
            return self.run_statement(file, statement)

    @contextmanager
    def search_path_of(self, statement: SqlStatement) -> Iterator[None]:
        """Run the block with the search path of *statement*; with the present one, if nothing in its file sets it."""
        if statement.search_path is None:
            yield
            return
        [(earlier,)] = self.query(_QUERIES["search_path"]).fetchall()
        self.run_unlisted(statement.search_path.setting.encode())
        yield
        self.run_unlisted(_QUERIES["set_search_path"], {"search_path": earlier})

    def run_file(self, file: SchemaFile, *, replacing: bool = False) -> None:
        """Run a whole file in one message, and then restore the settings of the session.

        :param replacing: add OR REPLACE to its statements where it is allowed
        """
        script = script_of(file)
        if body := script.replacing_body if replacing else script.body:
            self._send(body, script.replacing_statements if replacing else script.statements)
            self._note(body, step=file.folder, file=file.label)
        self.restore_settings(script.changes_settings)

    def _send(self, body: bytes, statements: Sequence[SqlStatement]) -> None:
        """Send *statements* as *body*. The results before an error show which of them was refused."""
        pgconn = self.connection.pgconn
        with self.connection.lock:
            pgconn.send_query(body)
            results = self.connection.wait(generators.execute(pgconn))  # a cursor drops those before an error
        for completed, result in enumerate(results):
            if result.status == ExecStatus.FATAL_ERROR:
                try:
                    raise error_from_result(result)
                except psycopg.Error as exc:  # a variable of the frame would be a reference cycle
                    self.locate(exc, statements, completed)
                    raise

    def locate(self, exc: psycopg.Error, statements: Sequence[SqlStatement], completed: int = 0) -> None:
        """Note the line at which PostgreSQL refused one of *statements*, for :meth:`failure`."""
        position, refused = exc.diag.statement_position, statements[completed : completed + 1]
        line = line_in(statements, int(position)) if position is not None else line_in_body(refused, exc)
        if line is None and refused:
            line = refused[0].start_line
        if line is not None:
            self._lines[exc] = line

    def locate_in_body(self, exc: psycopg.Error, file: SchemaFile) -> None:
        """Note the line of a routine's body at which PostgreSQL refused it, for :meth:`failure`."""
        line = line_in_body(script_of(file).statements, exc)
        if line is not None:
            self._lines[exc] = line

    def restore_settings(self, needed: bool) -> None:
        """Restore the settings of the deploy if a file has set parameters, as files of ``pg_dump`` do."""
        if needed:
            self.run_unlisted(_QUERIES["settings"], {"search_path": self.search_path})
            self.run_unlisted(_QUERIES["reset_role"])

    def check_deferred(self) -> None:
        """Check deferred constraints now; at the commit, the error could not name the file.

        Tables with rows that wait for a check could not be altered, either.
        """
        row = self.query(_QUERIES["deferred_constraints"]).fetchone()
        if row is not None and row[0] is not None:
            self.run_unlisted(b"SET CONSTRAINTS ALL IMMEDIATE")
            self.run_unlisted(sql.SQL("SET CONSTRAINTS {} DEFERRED").format(sql.SQL(row[0])))

    def run_unlisted(self, statement: SqlText, parameters: Any = None) -> None:  # noqa: ANN401 - psycopg's
        """Run a statement that is not part of the plan, but of a repeated deploy."""
        self.query(statement, parameters)
        if self.recording is not None:
            self.recording.add(self.connection, statement, parameters)

    def has_rows(self, table: sql.Composable) -> bool:
        """Return whether *table*, a quoted name, has rows.

        :raises psycopg.Error: it does not exist
        """
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table)
        if self.query(statement).fetchall() == [(True,)]:
            return True
        with self.hidden_rows(table) as are_possible:
            return are_possible and self.query(statement).fetchall() == [(True,)]

    @contextmanager
    def hidden_rows(self, table: sql.Composable) -> Iterator[bool]:
        """Run the block with the rows of *table* that row security may hide. Yield whether it may hide any.

        The table is locked for the block. What that changes is undone, except the positions of sequences.

        :raises MigrationFailed: the table belongs to another role
        """
        name = table.as_string(self.connection)
        active = sql.SQL("SELECT pg_catalog.row_security_active({}::pg_catalog.regclass)").format(name)
        if self.query(active).fetchall() != [(True,)]:
            yield False
            return
        if self.recording is not None:
            self.recording.is_repeatable = False
        with self.undone():
            with self.failures_as(what=f"row security may hide rows of {name} from the deploy, so reading all of them"):
                self.query(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table))
            yield True

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
        self,
        exc: psycopg.Error,
        error_class: type[EngineError],
        *,
        file: SchemaFile | None = None,
        what: str = "",
        advice: str = "",
    ) -> EngineError:
        """Return the error of the engine for one of PostgreSQL, with *file* and *what* was done."""
        server = ServerMessage.of(exc)
        if self.connection.closed:
            return DeployInterrupted.of(server)
        label = file.label if file else None
        line = self._lines.get(exc)
        place = f"{label}, line {line}" if label and line else label
        subject = ": ".join(text for text in (place, what) if text) or "a statement"
        message = f"{subject} failed: {server.message}{advice}"
        return error_class(message, file=label, line=line, server=server)


def _text(statement: SqlText, connection: psycopg.Connection[Any]) -> str:
    if isinstance(statement, bytes):
        return statement.decode()
    return statement if isinstance(statement, str) else statement.as_string(connection)

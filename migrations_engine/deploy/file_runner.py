"""Runs files in a working order: a file that lacks an object of another file is tried again after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError
from migrations_engine.schema import SchemaFile
from migrations_engine.source.script import statement_files

#: SQLSTATEs for a missing function, table, other object, column or schema.
UNDEFINED: Final = frozenset({"42883", "42P01", "42704", "42703", "3F000"})

#: SQLSTATEs: a relation, an operator or another object has the name.
NAME_TAKEN: Final = frozenset({"42P07", "42723", "42710"})
_UNIQUE_VIOLATION: Final = "23505"


def is_taken(exc: psycopg.Error) -> bool:
    """Return whether an object exists already. Of text search objects only the index of a catalog says so."""
    return exc.sqlstate in NAME_TAKEN or (exc.sqlstate == _UNIQUE_VIOLATION and exc.diag.schema_name == "pg_catalog")


class FileRunner:
    """Runs files with *run*, each in a savepoint, and raises errors of PostgreSQL as *error_class* with the file.

    :param retried: SQLSTATEs after which a file may succeed when others have run
    """

    def __init__(
        self,
        session: DeploySession,
        run: Callable[[SchemaFile], None],
        *,
        error_class: type[EngineError],
        retried: frozenset[str] = UNDEFINED,
    ) -> None:
        self._session = session
        self._run = run
        self._error_class = error_class
        self._retried = retried

    def run_together(self, files: Sequence[SchemaFile]) -> bool:
        """Run all *files* in the given order in one savepoint. If they need another order, undo all and return False.

        :raises EngineError: PostgreSQL refused a file for another reason
        """
        for_error = files[0] if files else None
        try:
            with self._session.savepoint():
                for file in files:
                    for_error = file
                    self._run(file)
        except psycopg.Error as exc:
            if exc.sqlstate not in self._retried:
                raise self._session.failure(exc, self._error_class, file=for_error) from exc
            return False
        return True

    def run_what_works(self, files: Sequence[SchemaFile]) -> list[tuple[SchemaFile, psycopg.Error]]:
        """Run *files* one by one, and repeat those that fail until no other one succeeds.

        Return those that still fail, each with the error of PostgreSQL.

        :raises EngineError: PostgreSQL refused a file for another reason
        """
        waiting = list(files)
        while waiting:
            failed = self._run_each(waiting)
            if len(failed) == len(waiting):
                return failed
            waiting = [file for file, _ in failed]
        return []

    def _run_each(self, files: Sequence[SchemaFile]) -> list[tuple[SchemaFile, psycopg.Error]]:
        """Run *files* one by one, and return those that fail, each with the error of PostgreSQL."""
        failed: list[tuple[SchemaFile, psycopg.Error]] = []
        for file in files:
            try:
                with self._session.savepoint():
                    self._run(file)
            except psycopg.Error as exc:
                if exc.sqlstate not in self._retried:
                    raise self._session.failure(exc, self._error_class, file=file) from exc
                failed.append((file, exc.with_traceback(None)))  # the traceback would refer to this list
        return failed

    def run_all(
        self,
        files: Sequence[SchemaFile],
        help_out: Callable[[], bool] = lambda: False,
        *,
        in_parts: bool = False,
        advice: Callable[[psycopg.Error], str] = lambda _: "",
    ) -> None:
        """Run *files* in the given order if possible, else in a working order.

        :param help_out: called if no order works; may create missing objects, and returns whether it did
        :param in_parts: if no order works, run the statements of files one by one: a view may call a function that
            needs a table of the same file
        :param advice: returns what to do about an error
        :raises EngineError: PostgreSQL refused a file in every order
        """
        if self.run_together(files):
            return
        failed = self.run_what_works(files)
        while failed and help_out():
            failed = self.run_what_works([file for file, _ in failed])
        if failed and in_parts:
            failed = self.run_what_works([part for file, _ in failed for part in statement_files(file)])
            while failed and help_out():
                failed = self.run_what_works([part for part, _ in failed])
        if failed:
            file, reason = failed[0]
            raise self._session.failure(reason, self._error_class, file=file, advice=advice(reason)) from reason

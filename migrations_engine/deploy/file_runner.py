"""Runs files in an order that works: a file that lacks an object of another file is tried again after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError
from migrations_engine.schema import SchemaFile

#: SQLSTATEs by which PostgreSQL says that a named thing is not there (yet): function, table, object, column, schema.
UNDEFINED: Final = frozenset({"42883", "42P01", "42704", "42703", "3F000"})


class FileRunner:
    """Runs files with *run*, each in a savepoint, and raises PostgreSQL's refusals as *error_class* naming the file.

    :param retried: SQLSTATEs after which a file may work once others have run
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
        """Run all *files* in the given order under one savepoint; when one needs another order, undo all and say False.

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
        """Run *files* one by one, again and again those that lack something, until no further one succeeds.

        Return those that still fail, each with PostgreSQL's error.

        :raises EngineError: PostgreSQL refused a file for another reason
        """
        waiting = list(files)
        while waiting:
            failed: list[tuple[SchemaFile, psycopg.Error]] = []
            for file in waiting:
                try:
                    with self._session.savepoint():
                        self._run(file)
                except psycopg.Error as exc:
                    if exc.sqlstate not in self._retried:
                        raise self._session.failure(exc, self._error_class, file=file) from exc
                    failed.append((file, exc.with_traceback(None)))  # which would hold this very list
            if len(failed) == len(waiting):
                return failed
            waiting = [file for file, _ in failed]
        return []

    def run_all(self, files: Sequence[SchemaFile], help_out: Callable[[], bool] = lambda: False) -> None:
        """Run *files* in the given order as far as it works, and in another where it does not.

        :param help_out: may provide what is missing when nothing else works, and returns whether it did
        :raises EngineError: PostgreSQL refused a file in every order
        """
        if self.run_together(files):
            return
        failed = self.run_what_works(files)
        while failed and help_out():
            failed = self.run_what_works([file for file, _ in failed])
        if failed:
            file, reason = failed[0]
            raise self._session.failure(reason, self._error_class, file=file) from reason

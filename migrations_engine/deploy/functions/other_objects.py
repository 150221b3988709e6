"""Creates the other objects of ``functions/``, such as triggers, views and casts, in databases where they are new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.file_runner import UNDEFINED, FileRunner, is_taken
from migrations_engine.deploy.functions.deployer import FunctionDeployer
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, FunctionDeployFailed
from migrations_engine.model import Catalog
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.functions_folder import other_object_files
from migrations_engine.source.names import ObjectName, nameless_object
from migrations_engine.source.script import script_of, statements_of
from migrations_engine.tracking import DeployState

#: The words after CREATE of objects that need no table.
_WITHOUT_TABLES: Final = frozenset(
    {"CAST", "COLLATION", "CONVERSION", "DOMAIN", "OPERATOR", "SCHEMA", "SEQUENCE", "TEXT", "TYPE"}
)


class OtherObjects:
    """The objects of ``functions/`` that are no routines, of a new database.

    They are created after the migrations, or before a table or migration that needs them.
    """

    def __init__(self, session: DeploySession, schema: Schema, functions: FunctionDeployer) -> None:
        self._session = session
        self._schema = schema
        self._functions = functions
        self._files = self._waiting = other_object_files(schema)
        self._early: set[SchemaFile] = set()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run the block in a savepoint. If it fails, what was created for it is not there any more."""
        waiting, early = self._waiting, {*self._early}
        try:
            with self._session.savepoint():
                yield
        except EngineError:
            self._waiting, self._early = waiting, early
            self._functions.forget_undone()
            raise

    def create_independent(self) -> bool:
        """Create functions, and the objects that need no table, as far as they can be. Return whether there was one.

        :raises FunctionDeployFailed: PostgreSQL refused one, and not because an object is missing
        """
        is_new = self._functions.deploy_early()
        files = [file for file in self._waiting if _needs_no_table(file)]
        runner = FileRunner(self._session, self._session.run_file, error_class=FunctionDeployFailed)
        created = {*files} - {file for file, _ in runner.run_what_works(files)}
        self._early |= created
        self._waiting = tuple(file for file in self._waiting if file not in created)
        return bool(created) or is_new

    def create_for(self, exc: psycopg.Error, _: str) -> bool:
        """Create functions and objects for a statement that was refused with *exc*. Return whether there were any."""
        return self.create_independent() or self._create_missing(exc)

    def _create_missing(self, exc: psycopg.Error) -> bool:
        """Create those that are missing according to *exc*. Return whether there were any.

        If a function of the schema is missing, create all that can be created: it may use any of them.
        """
        message = exc.diag.message_primary or ""
        wanted = [file for file in self._waiting if _creates_what_is_missing(file, message)]
        if not wanted and self._functions.is_missing(message):
            wanted = list(self._waiting)
        if not wanted:
            return False
        self._waiting = tuple(file for file in self._waiting if file not in wanted)
        runner = self._tolerant_runner(self._early)
        failed = runner.run_what_works(wanted)
        helped = [self._create_missing(reason) for _, reason in failed]
        if any(helped):
            failed = runner.run_what_works([file for file, _ in failed])
        self._waiting += tuple(file for file, _ in failed)
        return not self._early.isdisjoint(wanted)

    def create_all(self) -> None:
        """Create all of them, those of tables again if they were created early and migrations have dropped them.

        :raises FunctionDeployFailed: PostgreSQL refused one
        """
        files = [file for file in self._files if file not in self._early or not _needs_no_table(file)]
        runner = FileRunner(self._session, self._run, error_class=FunctionDeployFailed)
        runner.run_all(files, self._functions.deploy_early)

    def catalog(self) -> Catalog:
        """Return the catalog with those that can already be created. The database is not changed."""
        if not self._files:
            return read_catalog(self._session.connection)
        with self._session.undone():
            runner = self._tolerant_runner(set())
            functions = FunctionDeployer(self._session, self._schema, DeployState(), is_new=True)
            failed = runner.run_what_works(self._files)
            while failed and functions.deploy_early():
                failed = runner.run_what_works([file for file, _ in failed])
            return read_catalog(self._session.connection)

    def _tolerant_runner(self, created: set[SchemaFile]) -> FileRunner:
        """Return a runner that adds to *created* the files that PostgreSQL accepts. Others may be accepted later."""

        def run(file: SchemaFile) -> None:
            try:
                with self._session.savepoint():
                    self._session.run_file(file, replacing=True)
                created.add(file)
            except psycopg.Error as exc:
                if exc.sqlstate in UNDEFINED:
                    raise

        return FileRunner(self._session, run, error_class=FunctionDeployFailed)

    def _run(self, file: SchemaFile) -> None:
        """Run *file*. What was created early, or by a migration, stays for the comparison."""
        try:
            with self._session.savepoint():
                self._session.run_file(file, replacing=file not in self._early)
        except psycopg.Error as exc:
            if not is_taken(exc) or not (file in self._early or self._is_mentioned(file)):
                raise

    def _is_mentioned(self, file: SchemaFile) -> bool:
        """Return whether a migration names what *file* creates, or creates the same cast or operator."""
        names = [made.name for made in script_of(file).created if made.name is not None]
        if any(mentions_name(migration.text, name) for migration in self._schema.migrations for name in names):
            return True
        created = set(map(nameless_object, script_of(file).statements)) - {None}
        return bool(created) and not created.isdisjoint(map(nameless_object, statements_of(self._schema.migrations)))


def create_objects_of_migrated_tables(
    session: DeploySession, schema: Schema, declared: Catalog, functions: FunctionDeployer
) -> None:
    """Create objects on tables that only migrations create, so that the comparison does not find them missing.

    :raises FunctionDeployFailed: PostgreSQL refused one
    """
    known = {relation.address for relation in declared.relations}
    files = []
    for file in other_object_files(schema):
        for made in script_of(file).created:
            relation = made.table or (ObjectName(made.schema, made.name) if made.kind == "VIEW" and made.name else None)
            if relation is not None and relation.address not in known:
                files.append(file)
    run = partial(session.run_file, replacing=True)
    FileRunner(session, run, error_class=FunctionDeployFailed).run_all(files, functions.deploy_early)


def _needs_no_table(file: SchemaFile) -> bool:
    return any(
        statement.words[:1] == ("CREATE",) and not _WITHOUT_TABLES.isdisjoint(statement.words[1:2])
        for statement in script_of(file).statements
    )


def _creates_what_is_missing(file: SchemaFile, message: str) -> bool:
    return any(made.name is not None and mentions_name(message, made.name) for made in script_of(file).created)

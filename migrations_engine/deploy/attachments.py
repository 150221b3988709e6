"""Creates attachments, the objects of ``functions/`` that are no routines, in databases where they are new."""

from __future__ import annotations

from functools import partial
from typing import Final

import psycopg

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.file_runner import UNDEFINED, FileRunner
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import Catalog
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.functions_folder import other_object_files
from migrations_engine.source.names import ObjectName
from migrations_engine.source.script import script_of
from migrations_engine.tracking import DeployState

_EXISTS: Final = frozenset({"42710", "42P07"})


class Attachments:
    """The attachments of a new database. They are created after the migrations, or before one that needs them."""

    def __init__(self, session: DeploySession, schema: Schema, functions: FunctionDeployer) -> None:
        self._session = session
        self._schema = schema
        self._functions = functions
        self._waiting = other_object_files(schema)
        self._early: set[SchemaFile] = set()

    def create_early(self, exc: psycopg.Error) -> bool:
        """Create those that are missing according to *exc*, the error of a statement. Return whether there were any.

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
        helped = [self.create_early(reason) for _, reason in failed]
        if any(helped):
            runner.run_what_works([file for file, _ in failed])
        return not self._early.isdisjoint(wanted)

    def create_all(self) -> None:
        """Create all of them. Those that were created early are created again if migrations have dropped them.

        :raises FunctionDeployFailed: PostgreSQL refused one
        """
        files = [file for file in other_object_files(self._schema) if file not in self._functions.made_early]
        runner = FileRunner(self._session, self._run, error_class=FunctionDeployFailed)
        runner.run_all(files, self._functions.deploy_routines_early)

    def catalog(self) -> Catalog:
        """Return the catalog with the attachments that can already be created. The database is not changed."""
        files = other_object_files(self._schema)
        if not files:
            return read_catalog(self._session.connection)
        with self._session.undone():
            runner = self._tolerant_runner(set())
            functions = FunctionDeployer(self._session, self._schema, DeployState(), is_new=True)
            failed = runner.run_what_works(files)
            while failed and functions.deploy_routines_early():
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
        try:
            with self._session.savepoint():
                self._session.run_file(file, replacing=file not in self._early)
        except psycopg.Error as exc:
            if file not in self._early or exc.sqlstate not in _EXISTS:
                raise


def create_those_of_migrated_tables(
    session: DeploySession, schema: Schema, declared: Catalog, functions: FunctionDeployer
) -> None:
    """Create attachments of tables that only migrations create, so that the comparison does not find them missing.

    :raises FunctionDeployFailed: PostgreSQL refused one
    """
    known = {(relation.schema, relation.name) for relation in declared.relations}
    files = []
    for file in other_object_files(schema):
        for made in script_of(file).created:
            relation = made.table or (ObjectName(made.schema, made.name) if made.kind == "VIEW" and made.name else None)
            if relation is not None and relation.address not in known:
                files.append(file)
    run = partial(session.run_file, replacing=True)
    FileRunner(session, run, error_class=FunctionDeployFailed).run_all(files, functions.deploy_early)


def _creates_what_is_missing(file: SchemaFile, message: str) -> bool:
    return any(made.name is not None and mentions_name(message, made.name) for made in script_of(file).created)

"""Loads a schema into an empty database, and reads the catalogs that it makes there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from migrations_engine.catalog import read_catalog, read_routines
from migrations_engine.deploy.declared import run_files
from migrations_engine.deploy.extensions import deploy_extensions
from migrations_engine.deploy.functions import FunctionDeployer, OtherObjects
from migrations_engine.deploy.migrations import MigrationRunner, group_by_transaction, unseeded_changes
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import DeploySession
from migrations_engine.desired.desired_schema import DesiredSchema
from migrations_engine.errors import FunctionDeployFailed, MigrationFailed
from migrations_engine.model import Catalog, RoutineState
from migrations_engine.schema import Schema
from migrations_engine.source.dependency_order import order_migrations
from migrations_engine.source.seeded_rows import changes_that_need_seeds
from migrations_engine.tracking import DeployState, Records


def load_desired_schema(connection: psycopg.Connection[Any], schema: Schema, *, search_path: str) -> DesiredSchema:
    """Load the declared files and migrations of *schema* into an empty database, and read its catalogs.

    :param connection: an autocommit connection to that database, or one in a transaction there if every migration of
        the schema runs inside one
    :raises EngineError: the schema cannot be deployed to a new database
    """
    connection.prepare_threshold = None
    database = _EmptyDatabase(connection, schema, search_path)
    declared = database.declare()
    complete = database.migrate(declared) if schema.migrations else declared
    return DesiredSchema.of(
        schema,
        declared=declared,
        complete=complete,
        routines=database.routines(),
        warnings=database.warnings,
    )


class _EmptyDatabase:
    """The database that a schema is loaded into.

    :ivar warnings: about migrations that fail here, because they may need objects that only old databases have, or that
        need rows of seeders
    """

    def __init__(self, connection: psycopg.Connection[Any], schema: Schema, search_path: str) -> None:
        self.warnings: list[str] = []
        self._connection = connection
        self._schema = schema
        self._session = DeploySession(connection, search_path=search_path)
        self._functions = FunctionDeployer(self._session, schema, DeployState(), is_new=True)
        self._other_objects = OtherObjects(self._session, schema, self._functions)
        self._records = Records(connection)

    def declare(self) -> Catalog:
        """Create extensions, types, tables and the other objects of ``functions/``, and return the catalog.

        If there are migrations, these objects are created after them, and the database stays without them until then.
        """
        schema = self._schema
        with self._transaction():
            self._records.create_tables()
            deploy_extensions(self._session, schema.extensions)
            run_files(self._session, schema, self._other_objects.create_independent)
            if schema.migrations:
                return self._other_objects.catalog()
            self._other_objects.create_all()
            return read_catalog(self._connection)

    def migrate(self, declared: Catalog) -> Catalog:
        """Run the migrations, create the other objects of ``functions/``, and return the catalog.

        :param declared: the catalog before
        """
        migrations = order_migrations(self._schema.migrations, self._schema.tables)
        runner = MigrationRunner(self._session, self._records, self._functions, self._other_objects.create_for)
        with self._transaction():
            runner.begin(migrations, declared)
        for group in group_by_transaction(migrations):
            if group.outside is not None:
                with self._tolerated():
                    runner.run_outside(group.outside)
            with self._transaction():
                for file in group.inside:
                    with self._tolerated(), self._other_objects.savepoint():
                        runner.run(file)
        with self._transaction():
            with self._tolerated(), self._session.savepoint():
                runner.end()
            if self.warnings:  # an object may need a migration that fails in an empty database
                return self._other_objects.catalog()
            self._functions.invalidate_changed()
            self._other_objects.create_all()
            with self._tolerated(), self._session.savepoint():
                runner.end(self._seed)
            self._find_unseeded_changes()
            return read_catalog(self._connection)

    def _find_unseeded_changes(self) -> None:
        """Warn of changes that need seeded rows. If a seeder fails, the deploy of a new database refuses it."""
        changes = changes_that_need_seeds(self._schema)
        if changes:
            with suppress(MigrationFailed, FunctionDeployFailed), self._session.undone():
                self._seed()
                self.warnings += unseeded_changes(self._session, changes)

    def _seed(self) -> None:
        """Run the functions and seeders, to whose rows those of migrations may refer."""
        self._functions.deploy_early()
        Seeders(self._session, self._schema.seeders).seed(first_deploy=True, made=None)

    def routines(self) -> tuple[RoutineState, ...]:
        """Return the functions, procedures and aggregates."""
        with self._transaction():
            return read_routines(self._connection)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run the block in a transaction with the settings of a deploy."""
        with self._connection.transaction():
            self._session.restore_settings(True)
            yield

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Turn the failure of a migration into a sentence."""
        try:
            yield
        except MigrationFailed as exc:
            self.warnings.append(f"{exc.message} (in an empty database: no new database can be made of this schema)")

"""The catalogs that a schema makes in an empty database, loaded once and cached by content."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final
from weakref import WeakValueDictionary

import psycopg

from migrations_engine.catalog import read_catalog, read_routines
from migrations_engine.deploy.declared import run_files
from migrations_engine.deploy.extensions import deploy_extensions
from migrations_engine.deploy.functions import FunctionDeployer, OtherObjects
from migrations_engine.deploy.migrations import MigrationRunner, group_by_transaction
from migrations_engine.deploy.session import DeploySession
from migrations_engine.desired.disagreements import disagreeing, disagreements
from migrations_engine.diff import Sources, target_catalog
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Catalog, RoutineState
from migrations_engine.schema import Schema
from migrations_engine.source.dependency_order import order_migrations, order_tables, order_types
from migrations_engine.source.functions_folder import structure_checksum
from migrations_engine.tracking import DeployState, Records

_CAPACITY: Final = 2 * 1024 * 1024  #: characters of JSON, about 10 MB; a schema of 60 tables has about 60,000


@dataclass(frozen=True, kw_only=True)
class DesiredSchema:
    """The catalogs that a schema makes in an empty database."""

    declared: Catalog  #: after extensions, types and tables
    complete: Catalog  #: after every migration, too
    routines: tuple[RoutineState, ...] = ()  #: functions then; those of ``functions/`` only if something needs them
    warnings: tuple[str, ...] = ()  #: about migrations that fail in an empty database or differ from the declarations

    @cached_property
    def fresh(self) -> Catalog:
        """The final catalog of a new database: objects without rows are as declared, even after a migration."""
        if self.declared == self.complete:
            return self.complete
        return target_catalog(Sources(declared=self.declared, complete=self.complete, actual=self.complete))

    @cached_property
    def disputed(self) -> frozenset[tuple[str, str | None]]:
        """The objects that migrations make other than declared, each as its table and its name."""
        return frozenset((change.table, change.column) for change in disagreeing(self.declared, self.complete))

    @classmethod
    def of(
        cls,
        schema: Schema,
        *,
        declared: Catalog,
        complete: Catalog,
        routines: tuple[RoutineState, ...],
        failures: Sequence[str] = (),
    ) -> DesiredSchema:
        """Return the schema with these catalogs, and its warnings.

        :param failures: about migrations that fail in an empty database
        """
        desired = cls(declared=declared, complete=complete, routines=routines)
        sentences = disagreements(schema, declared, complete, desired.fresh)
        return replace(desired, warnings=(*failures, *sentences))

    @cached_property
    def size(self) -> int:
        """The characters of its catalogs as JSON. Each takes about five bytes of memory."""
        catalogs = [self.declared, *([self.complete] if self.complete is not self.declared else [])]
        return sum(len(catalog.to_json()) for catalog in catalogs) + sum(len(repr(one)) for one in self.routines)


class DesiredSchemas:
    """A cache of desired schemas by structure and server version, for all threads of a process.

    :param capacity: of all together, as ``DesiredSchema.size`` counts; those unused longest are removed
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()  # guards the attributes below; never held while a schema is loaded
        self._known: OrderedDict[tuple[str, int], DesiredSchema] = OrderedDict()
        self._size = 0
        self._in_progress: WeakValueDictionary[tuple[str, int], threading.Lock] = WeakValueDictionary()

    def get(self, schema: Schema, server_version: int, load: Callable[[], DesiredSchema]) -> DesiredSchema:
        """Return the cached result for *schema*, or *load* it. Threads that need the same one wait for the first."""
        key = (structure_checksum(schema), server_version)
        with self._lock:
            turn = self._in_progress.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._known:
                    self._known.move_to_end(key)
                    return self._known[key]
            desired = load()
            self.put(schema, server_version, desired)
            return desired

    def put(self, schema: Schema, server_version: int, desired: DesiredSchema) -> None:
        """Cache *desired*, which a deploy to a new database has read."""
        key = (structure_checksum(schema), server_version)
        size = desired.size
        with self._lock:
            if (known := self._known.pop(key, None)) is not None:
                self._size -= known.size
            self._known[key] = desired
            self._size += size
            while self._size > self._capacity:
                _, oldest = self._known.popitem(last=False)
                self._size -= oldest.size


def load_desired_schema(connection: psycopg.Connection[Any], schema: Schema, *, search_path: str) -> DesiredSchema:
    """Load the declared files and migrations of *schema* into an empty database, and read its catalogs.

    :param connection: an autocommit connection to that database, or one in a transaction there if every migration of
        the schema runs inside one
    :raises EngineError: the schema cannot be deployed to a new database
    """
    connection.prepare_threshold = None
    session = DeploySession(connection, search_path=search_path)
    functions = FunctionDeployer(session, schema, DeployState(), is_new=True)
    records = Records(connection)
    migrations = order_migrations(schema.migrations, schema.tables)
    other_objects = OtherObjects(session, schema, functions)
    runner = MigrationRunner(session, records, functions, other_objects.create_for)
    warnings: list[str] = []
    with connection.transaction():
        session.restore_settings(True)
        records.create_tables()
        deploy_extensions(session, schema.extensions)
        run_files(session, order_types(schema.types), other_objects.create_independent)
        run_files(session, order_tables(schema.tables), other_objects.create_independent)
        if schema.migrations:
            declared = other_objects.catalog()
            runner.begin(migrations, declared)
        else:
            other_objects.create_all()
            declared = read_catalog(connection)
    for group in group_by_transaction(migrations):
        if group.outside is not None:
            with _tolerated(warnings):
                runner.run_outside(group.outside)
        with connection.transaction():
            session.restore_settings(True)
            for file in group.inside:
                with _tolerated(warnings), session.savepoint():
                    runner.run(file)
    if not schema.migrations:
        return DesiredSchema.of(schema, declared=declared, complete=declared, routines=read_routines(connection))
    with connection.transaction():
        with _tolerated(warnings), session.savepoint():
            runner.end()
        if warnings:  # one may need a migration that fails in an empty database
            complete = other_objects.catalog()
        else:
            functions.invalidate_changed()
            other_objects.create_all()
            complete = read_catalog(connection)
        routines = read_routines(connection)
    return DesiredSchema.of(schema, declared=declared, complete=complete, routines=routines, failures=warnings)


@contextmanager
def _tolerated(warnings: list[str]) -> Iterator[None]:
    """Turn the failure of a migration into a warning. It may need objects that only old databases have."""
    try:
        yield
    except MigrationFailed as exc:
        warnings.append(f"{exc.message} (in an empty database: no new database can be made of this schema)")

"""The catalogs that a schema makes in an empty database, loaded once and cached by content."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final
from weakref import WeakValueDictionary

from migrations_engine.desired.disagreements import disagreeing, disagreements
from migrations_engine.diff import Sources, target_catalog
from migrations_engine.model import Catalog, RoutineState
from migrations_engine.schema import Schema
from migrations_engine.source.functions_folder import structure_checksum

_CAPACITY: Final = 2 * 1024 * 1024  #: characters of JSON, about 10 MB; a schema of 60 tables has about 60,000


@dataclass(frozen=True, kw_only=True)
class DesiredSchema:
    """The catalogs that a schema makes in an empty database."""

    declared: Catalog  #: after extensions, types and tables
    complete: Catalog  #: after every migration, too
    routines: tuple[RoutineState, ...] = ()  #: functions then; those of ``functions/`` only if something needs them
    warnings: tuple[str, ...] = ()  #: about migrations and new databases

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
        warnings: Sequence[str] = (),
    ) -> DesiredSchema:
        """Return the schema with these catalogs and *warnings*, and those that follow from the catalogs."""
        desired = cls(declared=declared, complete=complete, routines=routines)
        sentences = disagreements(schema, declared, complete, desired.fresh)
        return replace(desired, warnings=(*warnings, *sentences))

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

"""Drops routines, after dependants that are created again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from migrations_engine.deploy.functions.routines import OldRoutine, Routines
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed, MigrationFailed
from migrations_engine.schema import SchemaFile


class RoutineRemoval:
    """Drops routines of a database.

    :param drop_dependants: drops those of a routine by oid and identity, and returns whether there were any
    :ivar dropped_dependants: whether there were any of the dropped routines, which have to be created again
    """

    def __init__(self, session: DeploySession, routines: Routines, drop_dependants: Callable[[int, str], bool]) -> None:
        self._session = session
        self._routines = routines
        self._drop_dependants = drop_dependants
        self.dropped_dependants = False

    def drop_replaced(self, replaced: Mapping[OldRoutine, SchemaFile]) -> None:
        """Drop the renamed routines, each with the file that replaces it, and those of a partly committed deploy.

        :raises FunctionDeployFailed: other objects depend on one
        """
        oids = {routine.oid for routine in replaced}
        all_replaced: dict[OldRoutine, SchemaFile | None] = {**replaced}
        all_replaced |= dict.fromkeys(routine for routine in self._routines.aside() if routine.oid not in oids)
        for routine, file in all_replaced.items():
            with _refusal_of(file):
                self._make_free(routine)
        self._routines.drop_all({one: file.label if file else None for one, file in all_replaced.items()}, aside=True)

    def drop_orphans(self, orphans: Iterable[OldRoutine], *, may_leave: bool) -> set[str]:
        """Drop routines that no file creates any more. Return the identities of those that stay.

        :param may_leave: one stays that other objects use
        :raises FunctionDeployFailed: other objects depend on one
        """
        free, left = [], set()
        for routine in orphans:
            try:
                if self._routines.dependants(routine):
                    with _refusal_of(None), self._session.savepoint():
                        self._make_free(routine)
                free.append(routine)
            except FunctionDeployFailed as exc:
                if not may_leave:
                    raise
                left.add(routine.identity)
                self._session.warnings.append(f"not dropped, as what was left as it is uses it: {exc.message}")
        self._routines.drop_all(dict.fromkeys(free))
        return left

    def _make_free(self, routine: OldRoutine) -> None:
        self.dropped_dependants |= self._drop_dependants(routine.oid, routine.identity)


@contextmanager
def _refusal_of(file: SchemaFile | None) -> Iterator[None]:
    """Raise a refusal to make room for a function as a failure of *file*."""
    try:
        yield
    except MigrationFailed as exc:
        raise FunctionDeployFailed(exc.message, file=file.label if file else None, server=exc.server) from exc

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
    :param may_leave: one that other objects use stays, because forced differences stay
    :ivar left: the present identities of those that stay
    :ivar dropped_dependants: whether there were any, which have to be created again; those of a routine that stays
        may have to use another one
    """

    def __init__(
        self,
        session: DeploySession,
        routines: Routines,
        drop_dependants: Callable[[int, str], bool],
        *,
        may_leave: bool = False,
    ) -> None:
        self._session = session
        self._routines = routines
        self._drop_dependants = drop_dependants
        self._may_leave = may_leave
        self.left: set[str] = set()
        self.dropped_dependants = False

    def drop_replaced(self, replaced: Mapping[OldRoutine, SchemaFile]) -> None:
        """Drop the renamed routines, each with the file that replaces it, and those of earlier deploys.

        :raises FunctionDeployFailed: other objects depend on one
        """
        oids = {routine.oid for routine in replaced}
        all_replaced: dict[OldRoutine, SchemaFile | None] = {**replaced}
        all_replaced |= dict.fromkeys(routine for routine in self._routines.aside() if routine.oid not in oids)
        free = [routine for routine, file in all_replaced.items() if self._make_free(routine, file)]
        labels = {one: file.label if file else None for one, file in all_replaced.items() if one in free}
        self._routines.drop_all(labels, aside=True)
        self.left |= {routine.identity for routine in self._routines.aside()}

    def drop_orphans(self, orphans: Iterable[OldRoutine]) -> None:
        """Drop routines that no file creates any more.

        :raises FunctionDeployFailed: other objects depend on one
        """
        routines = [*orphans]
        free = [routine for routine in routines if self._make_free(routine, None)]
        self.left |= {routine.identity for routine in routines if routine not in free}
        self._routines.drop_all(dict.fromkeys(free))

    def _make_free(self, routine: OldRoutine, file: SchemaFile | None) -> bool:
        """Drop the dependants of *routine*. Return whether it can be dropped now.

        :raises FunctionDeployFailed: it cannot, and nothing may stay
        """
        if not self._routines.dependants(routine):
            return True
        try:
            with _refusal_of(file), self._session.savepoint():
                self.dropped_dependants |= self._drop_dependants(routine.oid, routine.identity)
        except FunctionDeployFailed as exc:
            if not self._may_leave:
                raise
            self.dropped_dependants = True
            self._session.warnings.append(f"not dropped, as what was left as it is uses it: {exc.message}")
            return False
        return True


@contextmanager
def _refusal_of(file: SchemaFile | None) -> Iterator[None]:
    """Raise a refusal to make room for a function as a failure of *file*."""
    try:
        yield
    except MigrationFailed as exc:
        raise FunctionDeployFailed(exc.message, file=file.label if file else None, server=exc.server) from exc

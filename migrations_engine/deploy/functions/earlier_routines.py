"""Routines as they were before the migrations, which may change their definitions, privileges and comments."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from migrations_engine.catalog import read_initial_privileges, read_routines
from migrations_engine.deploy.functions.privileges import restore
from migrations_engine.deploy.functions.routines import MadeRoutine, Routines
from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import RoutineState


class EarlierRoutines:
    """The routines of the database of *session* at the time when each was noted first, before migrations."""

    def __init__(self, session: DeploySession) -> None:
        self._session = session
        self._then: dict[str, RoutineState] = {}
        self._left: list[RoutineState] | None = None  # as the migrations left them; None while these run
        self.note()

    def note(self) -> None:
        """Note the routines that are not known yet, while the migrations run."""
        if self._left is None:
            for routine in read_routines(self._session.connection):
                self._then.setdefault(routine.identity, routine)

    def restore_privileges(self, identities: Collection[str]) -> set[str]:
        """Give the routines of *identities* the privileges and comments that they had, after the migrations, once.

        Return the identities of all routines with another definition than then.

        :raises FunctionDeployFailed: PostgreSQL refused it
        """
        if self._left is not None:
            return set()
        present = read_routines(self._session.connection)
        self._left = [now for now in present if now.identity not in identities]
        earlier = [(now, self._then[now.identity]) for now in present if now.identity in self._then]
        for now, then in earlier:
            if now.identity in identities:
                restore(self._session, now, then)
        return {now.identity for now, then in earlier if now.digest != then.digest}

    def restore_privileges_of_replaced(self, identities: Collection[str]) -> bool:
        """Do the same with further routines, which files have replaced since. Return whether there are any.

        Those that migrations have created get the privileges of a new routine.

        :raises FunctionDeployFailed: PostgreSQL refused it
        """
        replaced = [now for now in self._left or () if now.identity in identities]
        new = [now.identity for now in replaced if now.identity not in self._then]
        initial = read_initial_privileges(self._session.connection, new) if new else {}
        for now in replaced:
            then = self._then.get(now.identity) or replace(now, privileges=initial[now.identity], comment=None)
            restore(self._session, now, then)
        return bool(replaced)


class RoutinesOfMigrations:
    """The present routines of the database of *session* that migrations have made, and that files may define now.

    :param migrated: the routines that migrations make in an empty database
    :param known: identities of those that files have defined before
    """

    def __init__(self, session: DeploySession, migrated: Iterable[RoutineState], known: Collection[str]) -> None:
        self._session = session
        self._migrated = {
            routine.identity: routine
            for routine in migrated
            if routine.identity not in known and (routine.privileges or routine.comment is not None)
        }
        self._present = [
            routine
            for routine in (read_routines(session.connection) if self._migrated else ())
            if routine.identity in self._migrated
        ]

    def take_back(self, identities: Collection[str]) -> bool:
        """Take back the privileges and comments that migrations gave to those of *identities*.

        Return whether there are any.

        :raises FunctionDeployFailed: PostgreSQL refused it
        """
        found = [routine for routine in self._present if routine.identity in identities]
        initial = read_initial_privileges(self._session.connection, [one.identity for one in found]) if found else {}
        for now in found:
            given = self._migrated[now.identity]
            others = [one for one in now.privileges if one not in given.privileges]
            comment = None if now.comment == given.comment else now.comment
            then = replace(now, privileges=(*initial[now.identity], *others), comment=comment)
            restore(self._session, now, then)
        return bool(found)


class EarlierIdentities:
    """The identities of routines before the migrations, which may rename the types of their arguments."""

    def __init__(self, routines: Routines) -> None:
        self._routines = routines
        self._noted: dict[int, str] = {}  # by oid
        self._earlier: dict[str, str] = {}  # by the present identities

    def note(self, identities: Iterable[str]) -> None:
        """Note the present routines of *identities*."""
        self._noted = {oid: identity for identity, oid in self._routines.oids(list(identities))}

    def known_under(self, identities: Collection[str], made: Iterable[MadeRoutine]) -> Collection[str]:
        """Return those of the present *identities* that belong to routines which were noted or *made*."""
        noted = self._noted | {routine.oid: routine.identity for routine in made}
        found = {one: noted[oid] for one, oid in self._routines.oids(list(identities)) if oid in noted}
        self._earlier |= found
        return found.keys()

    def with_earlier(self, identities: Collection[str]) -> Collection[str]:
        """Return *identities* with the earlier ones of routines that :meth:`known_under` has found."""
        return {*identities, *(self._earlier[one] for one in identities if one in self._earlier)}

    def retyped(self) -> list[str]:
        """Return the present identities of noted routines of which only the types of arguments have other names."""
        there = dict(self._routines.oids(list(self._noted.values()))) if self._noted else {}
        others = [oid for oid, identity in self._noted.items() if there.get(identity) != oid]
        found = self._routines.as_they_are(others) if others else []
        return [one.identity for one in found if _name(one.identity) == _name(self._noted[one.oid])]


def _name(identity: str) -> str:
    return identity.partition("(")[0]

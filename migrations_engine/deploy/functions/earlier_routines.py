"""Routines as they were before the migrations, which may change their definitions, rights and comments."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from psycopg import sql

from migrations_engine.catalog import read_initial_rights, read_routines
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import RoutineState

_STEP: Final = "functions"
_ROLES: Final = {"PUBLIC": sql.SQL("PUBLIC"), "its owner": sql.SQL("CURRENT_USER")}
_OPPOSITES: Final = {"GRANT": "REVOKE", "REVOKE": "GRANT"}
_PREPOSITIONS: Final = {"GRANT": "TO", "REVOKE": "FROM"}


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

    def restore_rights(self, identities: Collection[str]) -> set[str]:
        """Give the routines of *identities* the rights and comments that they had, after the migrations, once.

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
                self._restore(now, then)
        return {now.identity for now, then in earlier if now.digest != then.digest}

    def restore_rights_of_replaced(self, identities: Collection[str]) -> bool:
        """Do the same with further routines, which files have replaced since. Return whether there are any.

        Those that migrations have created get the rights of a new routine.

        :raises FunctionDeployFailed: PostgreSQL refused it
        """
        replaced = [now for now in self._left or () if now.identity in identities]
        new = [now.identity for now in replaced if now.identity not in self._then]
        initial = read_initial_rights(self._session.connection, new) if new else {}
        for now in replaced:
            then = self._then.get(now.identity) or replace(now, rights=initial[now.identity], comment=None)
            self._restore(now, then)
        return bool(replaced)

    def _restore(self, now: RoutineState, then: RoutineState) -> None:
        for statement in _restoring(now, then):
            with self._session.failures_as(FunctionDeployFailed, what=f"restoring the rights on {now.identity}"):
                self._session.run(statement, step=_STEP, effect="restores what a migration has changed")
            self._session.log("take_back", statement.as_string(None))


def _restoring(now: RoutineState, then: RoutineState) -> Iterator[sql.Composed]:
    routine = sql.SQL(now.identity)  # printed and quoted by the server
    changes = [(right, True) for right in now.rights if right not in then.rights]
    changes += [(right, False) for right in then.rights if right not in now.rights]
    for right, is_new in changes:
        verb, privilege, _, role = right.split(" ", 3)
        verb = _OPPOSITES[verb] if is_new else verb
        grantee = _ROLES.get(role, sql.Identifier(role))
        yield sql.SQL("{} {} ON ROUTINE {} {} {}").format(
            sql.SQL(verb), sql.SQL(privilege), routine, sql.SQL(_PREPOSITIONS[verb]), grantee
        )
    if now.comment != then.comment:
        yield sql.SQL("COMMENT ON ROUTINE {} IS {}").format(routine, sql.Literal(then.comment))

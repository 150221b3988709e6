"""Gives routines the privileges and comments of another state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import RoutineState

_STEP: Final = "functions"
_ROLES: Final = {"PUBLIC": sql.SQL("PUBLIC"), "its owner": sql.SQL("CURRENT_USER")}
_OPPOSITES: Final = {"GRANT": "REVOKE", "REVOKE": "GRANT"}
_PREPOSITIONS: Final = {"GRANT": "TO", "REVOKE": "FROM"}


def restore(session: DeploySession, now: RoutineState, then: RoutineState) -> None:
    """Give a routine the privileges and the comment of an earlier or wanted state.

    :raises FunctionDeployFailed: PostgreSQL refused it
    """
    for statement in restoring(now, then):
        with session.failures_as(FunctionDeployFailed, what=f"restoring the privileges on {now.identity}"):
            session.run(statement, step=_STEP, effect="gives a function what the files say")
        session.log("take_back", statement.as_string(None))


def restoring(now: RoutineState, then: RoutineState) -> Iterator[sql.Composed]:
    """Yield the statements of :func:`restore`."""
    routine = sql.SQL(now.identity)  # printed and quoted by the server
    changes = [(one, True) for one in now.privileges if one not in then.privileges]
    changes += [(one, False) for one in then.privileges if one not in now.privileges]
    for change, is_new in changes:
        verb, privilege, _, role = change.split(" ", 3)
        verb = _OPPOSITES[verb] if is_new else verb
        grantee = _ROLES.get(role, sql.Identifier(role))
        others = sql.SQL(" CASCADE" if verb == "REVOKE" else "")  # that roles have from the grantee
        yield sql.SQL("{} {} ON ROUTINE {} {} {}{}").format(
            sql.SQL(verb), sql.SQL(privilege), routine, sql.SQL(_PREPOSITIONS[verb]), grantee, others
        )
    if now.comment != then.comment:
        yield sql.SQL("COMMENT ON ROUTINE {} IS {}").format(routine, sql.Literal(then.comment))

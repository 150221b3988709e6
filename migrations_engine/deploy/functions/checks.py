"""What follows from changed routines: bodies are checked again, and indexes of their results rebuilt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, FunctionDeployFailed
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile

_QUERIES: Final = load_queries(__package__)


def validate_bodies(session: DeploySession, files: Mapping[int, SchemaFile], kept: Collection[int]) -> None:
    """Check the bodies of routines now that everything is in place; making them did not, so that their order is free.

    :param files: the file of each routine, by oid
    :param kept: the routines of unchanged files, whose objects may have changed
    :raises FunctionDeployFailed: PostgreSQL refused a body
    """
    if not files:
        return
    session.query(_QUERIES["check_bodies"], {"check": "on"})
    try:
        with session.savepoint():
            session.query(_QUERIES["validate"], {"routines": [*files]})
    except psycopg.Error:
        _validate_one_by_one(session, files, kept)
    session.query(_QUERIES["check_bodies"], {"check": "off"})


def rebuild_indexes(session: DeploySession, routines: Sequence[int]) -> None:
    """Rebuild the indexes that have results of changed *routines*, and warn about other stored results.

    :raises FunctionDeployFailed: PostgreSQL refused it, because a unique index would have a key twice
    """
    if not routines:
        return
    for identity, is_index, user in session.query(_QUERIES["stored_results"], {"routines": list(routines)}).fetchall():
        if is_index:
            with session.failures_as(FunctionDeployFailed, what=f"rebuilding the index {user} for {identity}"):
                session.run(
                    sql.SQL("REINDEX INDEX {}").format(sql.SQL(user)),
                    step="functions",
                    effect=f"{identity} has changed",
                )
        elif user is not None:  # a default is computed when a row is written
            session.warnings.append(
                f"{identity} has changed, and {user} uses it: PostgreSQL computes or checks it only for rows that are "
                "written from now on"
            )


def _validate_one_by_one(session: DeploySession, files: Mapping[int, SchemaFile], kept: Collection[int]) -> None:
    """Find the body that is refused, each under the search path that its function sets."""
    for oid, file in files.items():
        try:
            with session.undone():
                session.query(_QUERIES["set_path_of_routine"], {"routine": oid})
                session.query(_QUERIES["validate"], {"routines": [oid]})
        except psycopg.Error as exc:
            raise _refused_body(session, exc, file, is_kept=oid in kept) from exc


def _refused_body(session: DeploySession, exc: psycopg.Error, file: SchemaFile, *, is_kept: bool) -> EngineError:
    failure = session.failure(exc, FunctionDeployFailed, file=file)
    if not is_kept or failure.server is None:
        return failure
    message = f"{file.label} has not changed, but this deploy breaks it: {failure.server.message}"
    return FunctionDeployFailed(message, file=file.label, server=failure.server)

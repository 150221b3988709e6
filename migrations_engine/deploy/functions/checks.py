"""Checks the bodies of routines again: what they use may have changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import psycopg

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, FunctionDeployFailed
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile

_QUERIES: Final = load_queries(__package__)


def validate_bodies(session: DeploySession, files: Mapping[int, SchemaFile], kept: Collection[int]) -> None:
    """Check the bodies of routines when all objects exist. They were created without a check, in any order.

    :param files: the file of each routine, by oid
    :param kept: the routines of unchanged files; objects that they use may have changed
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


def _validate_one_by_one(session: DeploySession, files: Mapping[int, SchemaFile], kept: Collection[int]) -> None:
    """Find the body that is refused. Each is checked with the search_path that its routine sets."""
    for oid, file in files.items():
        try:
            with session.undone():
                session.query(_QUERIES["set_path_of_routine"], {"routine": oid})
                session.query(_QUERIES["validate"], {"routines": [oid]})
        except psycopg.Error as exc:
            raise _refused_body(session, exc, file, is_kept=oid in kept) from exc


def broken_by_deploy(failure: EngineError) -> EngineError:
    """Return the failure of an unchanged file with a message that says so."""
    if failure.server is None or failure.file is None:
        return failure
    message = f"{failure.file} has not changed, but this deploy breaks it: {failure.server.message}"
    return FunctionDeployFailed(message, file=failure.file, line=failure.line, server=failure.server)


def _refused_body(session: DeploySession, exc: psycopg.Error, file: SchemaFile, *, is_kept: bool) -> EngineError:
    session.locate_in_body(exc, file)
    failure = session.failure(exc, FunctionDeployFailed, file=file)
    return broken_by_deploy(failure) if is_kept else failure

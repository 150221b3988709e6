"""Privileges, comments and attributes of functions, as the statements of files give them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeAlias

import psycopg
from psycopg import sql

from migrations_engine.catalog import read_initial_privileges, read_routines
from migrations_engine.deploy.functions.privileges import restore, restoring
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import RoutineState
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import GRANT_WORDS, altered_routine, is_about_routine
from migrations_engine.source.lexer import folded_tokens, occurs
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_GRANTING: Final = re.compile(
    r"\b(?:GRANT|REVOKE|COMMENT)\b[^;]*\bON\s[^;]*\b(?:FUNCTION|PROCEDURE|ROUTINE)S?\b", re.IGNORECASE
)
Recorded: TypeAlias = "Mapping[str, tuple[Sequence[str], str | None]]"  #: privileges and comment by identity


def grants_of(schema: Schema) -> Iterator[tuple[SchemaFile, SqlStatement]]:
    """Yield the statements of files that grant, revoke, comment on and alter functions."""
    for file in (*schema.types, *schema.tables, *schema.functions):
        for statement in script_of(file).statements:
            is_grant = bool(GRANT_WORDS & set(statement.words[:1])) and is_about_routine(statement)
            if is_grant or altered_routine(statement) is not None:
                yield file, statement


def run_grants(session: DeploySession, schema: Schema) -> bool:
    """Run the statements that grant, revoke and comment, and return whether there are any.

    :raises FunctionDeployFailed: PostgreSQL refused one
    """
    grants = list(grants_of(schema))
    plain = [statement.text.encode() for _, statement in grants if not statement.search_path]
    try:
        with session.savepoint():
            if plain:
                session.run(b";\n".join(plain), step="functions")
    except psycopg.Error:
        plain.clear()
    for file, statement in grants:
        if statement.search_path or not plain:
            with session.failures_as(FunctionDeployFailed, file=file):
                session.run_alone(file, statement)
    return bool(grants)


def give_states(
    session: DeploySession,
    schema: Schema,
    created: Collection[str],
    migrated: Iterable[RoutineState],
    last: Recorded | None,
    *,
    is_new: bool,
) -> tuple[dict[str, RoutineState], bool]:
    """Give functions the privileges and comments of a new database, and leave those that were given by hand.

    Return the present functions with those of a new database, and whether any has changed.

    :param created: the identities of functions that files create; others are not changed
    :param migrated: what migrations make of the others in an empty database
    :param last: the states of the last deploy; None if they are not known, so that all others were given by hand
    :param is_new: the database is new, so that nothing was given by hand
    :raises FunctionDeployFailed: PostgreSQL refused a statement
    """
    present = {routine.identity: routine for routine in read_routines(session.connection)}
    initial = read_initial_privileges(session.connection, sorted(present.keys() & created))
    wanted = {one.identity: _with(present[one.identity], one) for one in migrated if one.identity in present}
    wanted |= {name: replace(present[name], privileges=given, comment=None) for name, given in initial.items()}
    if any(grants_of(schema)) or any(_blocks_of(schema)):
        wanted = _after_grants(session, schema, {name: (present[name], state) for name, state in wanted.items()})
    changed = False
    for name in initial:
        now, then = present[name], wanted[name]
        privileges, comment = (then.privileges, then.comment) if last is None else last.get(name, ((), None))
        by_hand = {*now.privileges}.difference(now.privileges if is_new else privileges)
        is_its = is_new or now.comment == comment
        given = tuple(sorted(by_hand.union(then.privileges)))
        target = replace(now, privileges=given, comment=then.comment if is_its else now.comment)
        restore(session, now, target)
        changed = changed or target != now
    return wanted, changed


def _with(routine: RoutineState, state: RoutineState) -> RoutineState:
    return replace(routine, privileges=state.privileges, comment=state.comment)


def _after_grants(
    session: DeploySession, schema: Schema, routines: Mapping[str, tuple[RoutineState, RoutineState]]
) -> dict[str, RoutineState]:
    """Return *routines*, each given as it is and as it is at first, with what the statements of the files give."""
    with session.undone():
        changes = [change for now, first in routines.values() for change in restoring(now, first)]
        if changes:
            session.query(sql.SQL("; ").join(changes))
        run_grants(session, schema)
        for file, block in _blocks_of(schema):
            with suppress(psycopg.Error), session.savepoint():  # it may create what is there
                session.run_alone(file, block)
        return {one.identity: one for one in read_routines(session.connection) if one.identity in routines}


def _blocks_of(schema: Schema) -> Iterator[tuple[SchemaFile, SqlStatement]]:
    """Yield the DO blocks of files that may grant, revoke or comment."""
    for file in (*schema.types, *schema.tables, *schema.functions):
        for statement in script_of(file).statements:
            if statement.words[:1] == ("DO",) and occurs(_GRANTING, statement.text):
                yield file, statement


def alterations(schema: Schema) -> dict[str, list[str]]:
    """Return the statements of the files that alter functions, by the names of these.

    If a later deploy does not have one any more, the files that create the function run again.
    """
    found: dict[str, list[str]] = {}
    for _, statement in grants_of(schema):
        name = altered_routine(statement)
        if name is not None:
            found.setdefault(name, []).append(" ".join(folded_tokens(statement.text)))
    return found

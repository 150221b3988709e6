"""Privileges, comments and attributes of functions, as the statements of files give them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import psycopg
from psycopg import sql

from migrations_engine.catalog import read_initial_privileges, read_routines
from migrations_engine.deploy.functions.privileges import restore, restoring
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import RoutineState
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import GRANT_WORDS, altered_routine, is_about_routine
from migrations_engine.source.lexer import folded_tokens
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

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


def states_by_files(
    session: DeploySession, schema: Schema, created: Collection[str], migrated: Iterable[RoutineState]
) -> dict[str, RoutineState]:
    """Return the present routines with the privileges and comments that they have in a new database.

    :param created: the identities of those that files create
    :param migrated: what migrations make of the others in an empty database
    :raises FunctionDeployFailed: PostgreSQL refused a statement of the files
    """
    initial = read_initial_privileges(session.connection, sorted(created))
    first = {routine.identity: (routine.privileges, routine.comment) for routine in migrated}
    first |= {identity: (privileges, None) for identity, privileges in initial.items()}
    present = {one.identity: one for one in read_routines(session.connection) if one.identity in first}
    new = {
        identity: replace(one, privileges=first[identity][0], comment=first[identity][1])
        for identity, one in present.items()
    }
    if not any(grants_of(schema)):
        return new
    with session.undone():
        changes = [change for identity, one in present.items() for change in restoring(one, new[identity])]
        if changes:
            session.query(sql.SQL("; ").join(changes))
        run_grants(session, schema)
        return {one.identity: one for one in read_routines(session.connection) if one.identity in first}


def give_states(
    session: DeploySession, wanted: Mapping[str, RoutineState], last: Recorded | None, *, is_new: bool
) -> bool:
    """Give routines the privileges and comments of *wanted*, and leave those that were given by hand.

    Return whether anything has changed.

    :param last: the states of the last deploy; None if they are not known, so that all others were given by hand
    :param is_new: the database is new, so that nothing was given by hand
    :raises FunctionDeployFailed: PostgreSQL refused it
    """
    changed = False
    for now in read_routines(session.connection):
        if (then := wanted.get(now.identity)) is None:
            continue
        privileges, comment = (then.privileges, then.comment) if last is None else last.get(now.identity, ((), None))
        by_hand = {*now.privileges}.difference(now.privileges if is_new else privileges)
        target = replace(
            now,
            privileges=tuple(sorted(by_hand.union(then.privileges))),
            comment=then.comment if is_new or now.comment == comment else now.comment,
        )
        if target != now:
            restore(session, now, target)
            changed = True
    return changed


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

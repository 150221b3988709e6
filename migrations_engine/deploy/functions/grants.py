"""Statements about functions that files create: privileges, comments and attributes, and their reversal."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import replace
from typing import Final

import psycopg

from migrations_engine.catalog import read_initial_privileges, read_routines
from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions.privileges import restore
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import GRANT_WORDS, altered_routine, is_about_routine
from migrations_engine.source.lexer import folded_tokens
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

#: SQLSTATEs: the object does not exist any more, or one of another kind has its name.
_GONE: Final = UNDEFINED | {"42809"}
_ON_ROUTINE: Final = re.compile(r" on (?:function|procedure) ")
_ENDS_OF_GRANTEES: Final = frozenset({"with", "granted", "cascade", "restrict"})


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


def run_reversals(session: DeploySession, earlier: Collection[str], schema: Schema) -> None:
    """Run those of *earlier*, :func:`reversals` of the last deploy's files, whose opposites are in no file any more.

    What a new function has by default, such as the privilege of PUBLIC, is neither revoked nor exceeded.

    :raises FunctionDeployFailed: PostgreSQL refused one, and its object exists
    """
    removed = {*earlier} - reversals(schema)
    if not removed:
        return
    before = {routine.identity: {*routine.privileges} for routine in read_routines(session.connection)}
    for text in sorted(removed):
        try:
            with session.savepoint():
                statement = _ON_ROUTINE.sub(" on routine ", text, count=1)  # it may be a procedure by now
                session.run(statement.encode(), step="functions", effect="reverts what was removed from the files")
        except psycopg.Error as exc:
            if exc.sqlstate not in _GONE:
                raise session.failure(exc, FunctionDeployFailed, what=text) from exc
        else:
            session.log("take_back", text)
    session.restore_settings(True)
    _keep_initial_privileges(session, before)


def _keep_initial_privileges(session: DeploySession, before: Mapping[str, Set[str]]) -> None:
    """Give routines back what they had *before* and also have when they are new, and revoke the opposite."""
    changed = [now for now in read_routines(session.connection) if before[now.identity] != {*now.privileges}]
    initial = read_initial_privileges(session.connection, [now.identity for now in changed]) if changed else {}
    for now in changed:
        had, has, new = before[now.identity], {*now.privileges}, {*initial[now.identity]}
        restore(session, now, replace(now, privileges=tuple(sorted((has & (had | new)) | (had & new)))))


def reversals(schema: Schema) -> frozenset[str]:
    """Return the statements that revert the privileges and comments that files give to functions.

    A later deploy runs them for statements that were removed from the files.
    """
    return frozenset(filter(None, (_reversal_of(statement) for _, statement in grants_of(schema))))


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


def _reversal_of(statement: SqlStatement) -> str | None:
    """Return the opposite of a statement that grants or comments, or revokes from PUBLIC; None for others."""
    if statement.words[:1] == ("ALTER",):
        return None
    verb, *tokens = folded_tokens(statement.text)
    if verb == "comment":
        subject = " ".join(tokens[: tokens.index("is")]) if "is" in tokens else ""
        return _with_path(statement, f"comment {subject} is null") if subject else None
    bridge, opposite, other = ("to", "revoke", "from") if verb == "grant" else ("from", "grant", "to")
    if bridge not in tokens or "on" not in tokens:
        return None
    place = len(tokens) - 1 - tokens[::-1].index(bridge)
    grantees = tokens[place + 1 :]
    end = next((number for number, token in enumerate(grantees) if token in _ENDS_OF_GRANTEES), len(grantees))
    if verb == "revoke" and (grantees[:end] != ["public"] or "option" in tokens[:3]):
        return None  # other roles have only what was granted to them
    return _with_path(statement, " ".join([opposite, *tokens[:place], other, *grantees[:end]]))


def _with_path(statement: SqlStatement, text: str) -> str:
    """Return *text*, with the setting of the search path in which its names are those of *statement*."""
    return text if statement.search_path is None else f"{statement.search_path.setting}; {text}"

"""Statements about existing functions, for privileges, comments and triggers, and their reversal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import GRANT_WORDS, is_about_routine
from migrations_engine.source.lexer import folded_tokens
from migrations_engine.source.names import NamedObject, created_name, dropped_names
from migrations_engine.source.script import script_of, statements_of
from migrations_engine.source.statements import SqlStatement

#: SQLSTATEs: the object does not exist any more, or one of another kind has its name.
_GONE: Final = UNDEFINED | {"42809"}
_ON_ROUTINE: Final = re.compile(r" on (?:function|procedure) ")
_ENDS_OF_GRANTEES: Final = frozenset({"with", "granted", "cascade", "restrict"})


def grants_of(schema: Schema) -> Iterator[tuple[SchemaFile, SqlStatement]]:
    """Yield the statements that grant, revoke and comment: all in ``functions/``, elsewhere those about routines."""
    for file in (*schema.types, *schema.tables, *schema.functions):
        for statement in script_of(file).statements:
            if GRANT_WORDS & set(statement.words[:1]) and (file.folder == "functions" or is_about_routine(statement)):
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


def run_reversals(session: DeploySession, earlier: frozenset[str], schema: Schema) -> None:
    """Run those of *earlier*, :func:`reversals` of the last deploy's files, whose opposites are in no file any more.

    :raises FunctionDeployFailed: PostgreSQL refused one, and its object exists
    """
    removed = earlier - reversals(schema)
    if removed:
        of_migrations = (one for one in statements_of(schema.migrations) if not is_about_routine(one))
        removed -= _lasting(chain(statements_of((*schema.types, *schema.tables)), of_migrations))
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
    session.restore_settings(bool(removed))


def reversals(schema: Schema) -> frozenset[str]:
    """Return the statements that revert the privileges, comments and triggers of the files, as far as possible.

    A later deploy runs them for statements that were removed from the files.
    """
    statements = [*(statement for _, statement in grants_of(schema)), *statements_of(schema.functions)]
    return frozenset(filter(None, map(_reversal_of, statements)))


def _lasting(statements: Iterable[SqlStatement]) -> set[str]:
    """Return the reversals of those *statements* that no later one of them has reverted."""
    found: set[str] = set()
    for statement in statements:
        verb = statement.words[:1]
        if verb == ("DROP",):
            found.difference_update(_drop_trigger(dropped) for dropped in dropped_names(statement))
        elif GRANT_WORDS & set(verb):
            found.discard(_with_path(statement, " ".join(folded_tokens(statement.text))))
        if (text := _reversal_of(statement)) is not None:
            found.add(text)
    return found


def _reversal_of(statement: SqlStatement) -> str | None:
    """Return the opposite of a statement that creates a trigger, grants or comments, or revokes from PUBLIC."""
    if statement.words[:1] == ("CREATE",):
        made = created_name(statement)
        return _drop_trigger(made) if made is not None else None
    if not GRANT_WORDS & set(statement.words[:1]):
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


def _drop_trigger(trigger: NamedObject) -> str | None:
    """Return the statement that drops a trigger; None for another object."""
    if trigger.kind != "TRIGGER" or trigger.name is None or trigger.table is None:
        return None
    table = sql.Identifier(*(part for part in trigger.table if part is not None))
    drop = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger.name), table)
    return drop.as_string(None)

"""Statements about existing functions, for privileges, comments and triggers, and their reversal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import psycopg
from psycopg import sql

from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import GRANT_WORDS, is_about_routine
from migrations_engine.source.lexer import folded_tokens
from migrations_engine.source.names import created_name
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

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
    if grants:
        try:
            with session.savepoint():
                session.run(b";\n".join(statement.text.encode() for _, statement in grants), step="functions")
        except psycopg.Error:
            for file, statement in grants:
                with session.failures_as(FunctionDeployFailed, file=file):
                    session.run_statement(file, statement)
    return bool(grants)


def run_reversals(session: DeploySession, texts: Iterable[str]) -> None:
    """Run statements of :func:`reversals`.

    :raises FunctionDeployFailed: PostgreSQL refused one, and its object exists
    """
    for text in sorted(texts):
        try:
            with session.savepoint():
                session.run(text.encode(), step="functions", effect="reverts what was removed from the files")
        except psycopg.Error as exc:
            if exc.sqlstate not in UNDEFINED:
                raise session.failure(exc, FunctionDeployFailed, what=text) from exc
        else:
            session.log("take_back", text)


def reversals(schema: Schema) -> frozenset[str]:
    """Return the statements that revert the privileges, comments and triggers of the files, as far as possible.

    A later deploy runs them for statements that were removed from the files.
    """
    found = [_reversal_of(statement) for _, statement in grants_of(schema)]
    found += [
        _trigger_reversal(statement)
        for file in schema.functions
        for statement in script_of(file).statements
        if statement.words[:1] == ("CREATE",)
    ]
    return frozenset(text for text in found if text is not None)


def _reversal_of(statement: SqlStatement) -> str | None:
    """Return the opposite of a GRANT, of a REVOKE from PUBLIC, or of a COMMENT."""
    verb, *tokens = folded_tokens(statement.text)
    if verb == "comment":
        return f"comment {' '.join(tokens[: tokens.index('is')])} is null" if "is" in tokens else None
    bridge, opposite, other = ("to", "revoke", "from") if verb == "grant" else ("from", "grant", "to")
    if bridge not in tokens or "on" not in tokens:
        return None
    place = len(tokens) - 1 - tokens[::-1].index(bridge)
    grantees = tokens[place + 1 :]
    end = next((number for number, token in enumerate(grantees) if token in _ENDS_OF_GRANTEES), len(grantees))
    if verb == "revoke" and (grantees[:end] != ["public"] or "option" in tokens[:3]):
        return None  # other roles have only what was granted to them
    return " ".join([opposite, *tokens[:place], other, *grantees[:end]])


def _trigger_reversal(statement: SqlStatement) -> str | None:
    made = created_name(statement)
    if made is None or made.kind != "TRIGGER" or made.name is None or made.table is None:
        return None
    table = sql.Identifier(*(part for part in made.table if part is not None))
    drop = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(made.name), table)
    return drop.as_string(None)

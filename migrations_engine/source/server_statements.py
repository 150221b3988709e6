"""Refuses statements on databases, roles, tablespaces and the server, before anything runs.

This catches mistakes and is no protection: statements in a ``DO`` block or in the body of a function are not checked
(docs/security.md).
"""

from __future__ import annotations

import threading
from typing import Final

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.names import Cursor
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement, refuse_too_many

_REMEMBERED: Final = 1000  #: checksums
_VERBS: Final = frozenset({"CREATE", "ALTER", "DROP"})
_SHARED: Final = frozenset({"DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "SUBSCRIPTION", "SYSTEM"})
_COMMENTED: Final = frozenset({"DATABASE", "ROLE", "TABLESPACE", "SUBSCRIPTION"})
_GRANTED_ON: Final = frozenset({"database", "tablespace", "parameter"})
_OTHERS: Final = (("CHECKPOINT",), ("LOAD",), ("REASSIGN", "OWNED"), ("DROP", "OWNED"))
_BECOMING: Final = frozenset({"ROLE", "AUTHORIZATION", "SESSION_AUTHORIZATION"})
_ADVICE: Final = (
    "a schema may change its own database and nothing beside it. Take the statement out, and let the administrator of "
    "the server run it where it is needed"
)
_COMMENT_ADVICE: Final = (
    "the comment of a database belongs to the gateway, which keeps there whose it is. Take the statement out "
    "(pg_dump leaves it out without --create)"
)


class CheckedSchemas:
    """The schemas in which no statement was refused, by checksum, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checksums: dict[str, None] = {}  # in the order in which they were checked

    def check(self, schema: Schema) -> None:
        """Check the statements of *schema*, unless one with the same files was checked before.

        :raises SchemaExtractionFailed: as for :func:`refuse_server_statements`
        """
        if schema.checksum in self._checksums:
            return
        refuse_server_statements(schema)
        with self._lock:
            self._checksums[schema.checksum] = None
            while len(self._checksums) > _REMEMBERED:
                del self._checksums[next(iter(self._checksums))]


def refuse_server_statements(schema: Schema) -> None:
    """Raise SchemaExtractionFailed for a statement on databases, roles, tablespaces or the server.

    It is raised for too many statements, too, and for a file that cannot be split into statements.
    """
    count = 0
    for file in schema.files():
        for statement in script_of(file).statements:
            count += 1
            if (name := server_statement(statement)) is not None:
                raise _refusal(file, statement, name)
        refuse_too_many(count, file.label)


def server_statement(statement: SqlStatement) -> str | None:
    """Return the first words of a statement on the server, such as ``ALTER ROLE``; None for others."""
    first, second, *_ = (*statement.words, "", "")
    if first in _VERBS and second in _SHARED and not _is_user_mapping(statement):
        return f"{first} {second}"
    if first == "COMMENT":
        kind = "".join(statement.words[2:3])
        return f"COMMENT ON {kind}" if kind in _COMMENTED else None
    if first in {"GRANT", "REVOKE"}:
        return _grant(first, Cursor.over(statement))
    if first == "SECURITY":
        return _label(statement)
    if first == "SET" and _BECOMING & set(statement.words[1:4]):
        return _becoming(statement)
    return _other(statement)


def _refusal(file: SchemaFile, statement: SqlStatement, name: str) -> SchemaExtractionFailed:
    why = _COMMENT_ADVICE if name == "COMMENT ON DATABASE" else _ADVICE
    return SchemaExtractionFailed(
        f"{file.label}, line {statement.start_line}: {name} cannot be used, because {why}", file=file.label
    )


def _other(statement: SqlStatement) -> str | None:
    if statement.words[:2] == ("CREATE", "SCHEMA"):
        return _grant_in_schema(statement)
    return next((" ".join(words) for words in _OTHERS if statement.words[: len(words)] == words), None)


def _is_user_mapping(statement: SqlStatement) -> bool:
    """Return whether it is about a ``USER MAPPING`` of a foreign server, and not about a role named mapping."""
    return statement.words[1:3] == ("USER", "MAPPING") and statement.words[3:4] in {("FOR",), ("IF",)}


def _becoming(statement: SqlStatement) -> str | None:
    """Return the words of ``SET ROLE`` and ``SET SESSION AUTHORIZATION``, also of their parameters; else None."""
    words = [word for word in statement.words[1:4] if word not in {"SESSION", "LOCAL"}]
    if words[:1] == ["ROLE"]:
        return "SET ROLE"
    return "SET SESSION AUTHORIZATION" if words and words[0] in _BECOMING else None


def _grant_in_schema(statement: SqlStatement) -> str | None:
    """Return the words of a GRANT within a ``CREATE SCHEMA`` that ``_grant`` returns; else None."""
    cursor = Cursor.over(statement)
    while cursor.skip_to("grant"):
        if not cursor.accept("option") and (name := _grant("GRANT", cursor)) is not None:
            return name
    return None


def _grant(verb: str, cursor: Cursor) -> str | None:
    """Return the words of a GRANT or REVOKE on a database, tablespace, parameter or of a role; else None.

    :param cursor: before or after the verb
    """
    while (word := cursor.take()) and word != "on":
        if word in {"to", "from"}:
            return f"{verb} of a role"
        if cursor.sees("("):
            cursor.skip_parentheses()
    kind = cursor.take()
    if kind in _GRANTED_ON and cursor.peek() not in {"to", "from", ",", "."}:  # otherwise it is a table of that name
        return f"{verb} ON {kind.upper()}"
    return None


def _label(statement: SqlStatement) -> str | None:
    cursor = Cursor.over(statement)
    if not cursor.skip_to("on"):
        return None
    kind = cursor.take().upper()
    return f"SECURITY LABEL ON {kind}" if kind in _COMMENTED else None

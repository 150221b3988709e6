"""Finds the search path of statements, which an earlier one may have set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from migrations_engine.schema import Homes
from migrations_engine.source.lexer import content_of, name_of
from migrations_engine.source.names import Cursor
from migrations_engine.source.statements import SearchPath, SqlStatement

_SETTING: Final = frozenset({"SET", "RESET", "SELECT"})


def with_search_paths(statements: Iterable[SqlStatement], homes: Homes = frozenset()) -> Iterator[SqlStatement]:
    """Yield *statements*, each with the search path that those before it have set.

    :param homes: of objects of the application
    """
    path: SearchPath | None = None
    for statement in statements:
        if statement.words and statement.words[0] in _SETTING:
            schemas = _path_set_by(statement.text)
            if schemas is not None:
                path = SearchPath(schemas, homes) if schemas else None
        yield replace(statement, search_path=path) if path is not None else statement


def _path_set_by(text: str) -> tuple[str, ...] | None:
    """Return the search path that a statement sets, empty for the default one; None if it sets none."""
    cursor = Cursor(text)
    if cursor.accept("reset"):
        return () if cursor.accept("search_path") or cursor.accept("all") else None
    if cursor.accept("select"):
        return _path_of_call(cursor)
    cursor.accept("set")
    _ = cursor.accept("session") or cursor.accept("local")
    if cursor.accept("schema") or (cursor.accept("search_path") and (cursor.accept("to") or cursor.accept("="))):
        return () if cursor.sees("default") else _names(cursor)
    return None


def _path_of_call(cursor: Cursor) -> tuple[str, ...] | None:
    """Return the path of ``set_config('search_path', 'app, public', false)``."""
    cursor.accept("pg_catalog", ".")
    if not cursor.accept("set_config", "(") or content_of(cursor.take()) != "search_path" or not cursor.accept(","):
        return None
    path = content_of(cursor.take())
    return _names(Cursor(path)) if path is not None else None


def _names(cursor: Cursor) -> tuple[str, ...]:
    """Return the names and strings that follow in *cursor*."""
    found = []
    while token := cursor.take():
        if name := content_of(token) or name_of(token):
            found.append(name)
    return tuple(found)

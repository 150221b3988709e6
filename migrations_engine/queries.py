"""Reads the SQL files of packages: static SQL by name, as bytes, so that the driver sends it unchanged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import tuple_row

Rows: TypeAlias = Sequence[tuple[Any, ...]]  #: the result of one statement

_NAME: Final = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_FRAGMENT: Final = re.compile(r"\{\{(\w+)\}\}")


@cache
def load_queries(package: str, file: str = "queries.sql") -> Mapping[str, bytes]:
    """Return the statements of *file* in *package* by name.

    Each starts with a line ``-- name: its_name``. ``{{name}}`` includes a fragment of the engine's ``fragments.sql``.

    :raises KeyError: there is no such fragment
    """
    fragments = _read(__package__, "fragments.sql")
    statements = _read(package, file)
    return MappingProxyType(
        {name: _FRAGMENT.sub(lambda found: fragments[found[1]], text).encode() for name, text in statements.items()}
    )


def query_all(connection: psycopg.Connection[Any], statements: Sequence[bytes]) -> list[Rows]:
    """Run *statements*, each one or several, in one message, and return the rows of each result."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(b"\n;\n".join(statements))
        return [one.fetchall() if one.pgresult and one.pgresult.nfields else [] for one in cursor.results()]


def _read(package: str, file: str) -> dict[str, str]:
    _, *parts = _NAME.split(files(package).joinpath(file).read_text(encoding="utf-8"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}

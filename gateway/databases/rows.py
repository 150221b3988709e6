"""Rows of ``queries.sql`` as types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import class_row

from gateway.databases.stamps import ManagedDatabase, Stamp
from gateway.queries import load_queries

_QUERIES = load_queries("gateway.databases")


@dataclass(frozen=True, kw_only=True)
class DatabaseRow:
    """A database as the catalog has it."""

    oid: int
    name: str
    is_half_dropped: bool
    comment: str | None
    size_bytes: int | None = None

    @cached_property
    def stamp(self) -> Stamp | None:
        """What the comment says about the owner; None when it is no stamp."""
        return Stamp.from_text(self.comment)

    def managed(self, stamp: Stamp) -> ManagedDatabase:
        """Give this database as the one that *stamp* says it is."""
        return ManagedDatabase(
            name=self.name,
            oid=self.oid,
            owner=stamp.owner,
            created_at=stamp.created_at,
            adopted_at=stamp.adopted_at,
            size_bytes=self.size_bytes,
        )


def read_rows(session: psycopg.Connection[Any], query: str, parameters: Mapping[str, str]) -> list[DatabaseRow]:
    """Run one of the queries that give databases."""
    with session.cursor(row_factory=class_row(DatabaseRow)) as cursor:
        return cursor.execute(_QUERIES[query], parameters).fetchall()


def read_named(session: psycopg.Connection[Any], name: str) -> DatabaseRow | None:
    """The database of this name, or None."""
    rows = read_rows(session, "database_named", {"name": name})
    return rows[0] if rows else None

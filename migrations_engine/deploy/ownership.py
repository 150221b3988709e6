"""Explains missing privileges: finds the objects of other roles that a deploy may not change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import class_row

from migrations_engine.errors import EngineError
from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_INSUFFICIENT_PRIVILEGE: Final = "42501"
_NAMED_AT_MOST: Final = 5

E = TypeVar("E", bound=EngineError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignObject:
    """An object whose owner is another role."""

    type: str
    identity: str
    name: str
    owner: str  #: quoted
    command: str | None  #: makes the deploying role its owner; None for an extension, which cannot change its owner

    def __str__(self) -> str:
        return f"{self.type} {self.identity}"

    @property
    def advice(self) -> str:
        """Return a sentence about the owner and what to do."""
        way_out = f"run {self.command}" if self.command else "run that statement, because extensions keep their owner"
        return f"{self} belongs to the role {self.owner}; as that role or a superuser, {way_out}"


def with_owners(error: E, connection: psycopg.Connection[Any]) -> E:
    """Return *error*; if a privilege was missing, with the owners of the objects that it names.

    :param connection: in no transaction
    """
    server = error.server
    if server is None or error.sqlstate != _INSUFFICIENT_PRIVILEGE or connection.closed:
        return error
    with connection.cursor(row_factory=class_row(ForeignObject)) as cursor:
        found = cursor.execute(_QUERIES["objects_of_other_roles"]).fetchall()
    meant = [item for item in found if re.search(rf"(?<!\w){re.escape(item.name)}(?!\w)", server.message)]
    if meant:
        others = [str(item) for item in found if item not in meant and item.identity != DEFAULT_SCHEMA]
        more = f". These belong to other roles, too: {_some(others)}" if others else ""
        error.add_to_message(f". {'; '.join(item.advice for item in meant)}{more}")
    return error


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")

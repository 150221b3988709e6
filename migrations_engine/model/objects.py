"""Objects that are no relations: types, privileges and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from migrations_engine.model.relations import Column, qualified_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """An enum, domain, composite or range type."""

    label: str
    schema: str
    name: str
    kind: str
    values: tuple[str, ...] = ()  #: an enum's, in order
    base: str | None = None  #: what a domain restricts, or a range spans
    collation: str | None = None
    not_null: bool = False
    not_null_name: str | None = None  #: of a domain; PostgreSQL 17 and newer
    default: str | None = None
    checks: tuple[tuple[str, str], ...] = ()  #: a domain's, (name, definition)
    attributes: tuple[Column, ...] = ()
    details: tuple[str | None, ...] = ()

    @property
    def qualified(self) -> str:
        """The label with its schema, ``public`` too."""
        return qualified_label(self.schema, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUser:
    """Something that reads a column, so that PostgreSQL refuses to change the column's type under it."""

    relation: str
    column: str
    kind: str  #: ``view``, ``rule``, ``trigger``, ``policy``, ``generated column`` or ``function``
    name: str
    holder: str | None = None  #: label of the relation that it is or belongs to


@dataclass(frozen=True, slots=True, kw_only=True)
class Privilege:
    """What a role was granted on an object beyond what it has by default, or has by default and was revoked."""

    kind: str  #: ``TABLE`` (views too), ``SEQUENCE``, ``SCHEMA``, ``TYPE``; ``DEFAULT TABLES`` … of later objects
    label: str
    qualified: str  #: the label with its schema; of defaults the clauses that say whose and where
    column: str | None = None
    privilege: str
    grantee: str | None = None  #: None is PUBLIC, or the owner
    owner: bool = False  #: the grantee is the object's owner
    grantable: bool = False
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseObject:
    """An object that belongs to no relation and holds no rows, such as an operator, cast or event trigger."""

    kind: str  #: as ``pg_identify_object`` says: ``text search configuration``
    identity: str
    definition: str  #: the CREATE statement
    parts: tuple[tuple[str, str], ...] = ()  #: what is said about it afterwards, and what takes that back


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNames:
    """How a table or type is called at some time, and a table's columns by their number."""

    label: str
    schema: str
    name: str
    columns: Mapping[str, str]

    @property
    def qualified(self) -> str:
        """The label with its schema, ``public`` too."""
        return qualified_label(self.schema, self.label)


Names: TypeAlias = Mapping[str, ObjectNames]  #: by what an object keeps when it is renamed

"""Objects that are no relations: types, privileges and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from migrations_engine.model.relations import Column, SchemaObject

UNVALIDATED: Final = " NOT VALID"  #: at the end of the definition of a domain's check


@dataclass(frozen=True, slots=True, kw_only=True)
class Type(SchemaObject):
    """An enum, domain, composite or range type."""

    kind: str
    values: tuple[str, ...] = ()  #: an enum's, in order
    base: str | None = None  #: of a domain, or the subtype of a range
    collation: str | None = None
    not_null: bool = False
    not_null_name: str | None = None  #: of a domain; PostgreSQL 17 and newer
    default: str | None = None
    checks: tuple[tuple[str, str], ...] = ()  #: a domain's, (name, definition)
    attributes: tuple[Column, ...] = ()
    details: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUser:
    """An object that uses a column, so that PostgreSQL refuses to change the type of the column."""

    relation: str
    column: str
    kind: str  #: ``view``, ``rule``, ``trigger``, ``policy``, ``generated column`` or ``function``
    name: str
    holder: str | None = None  #: label of the relation that it is or belongs to


@dataclass(frozen=True, slots=True, kw_only=True)
class Privilege:
    """A privilege that a role has and would not have by default, or the other way round."""

    kind: str  #: ``TABLE`` (views too), ``SEQUENCE``, ``SCHEMA``, ``TYPE``; ``DEFAULT TABLES`` … of later objects
    label: str
    qualified: str  #: the label with its schema; of default privileges, the clauses FOR ROLE and IN SCHEMA
    column: str | None = None
    privilege: str
    grantee: str | None = None  #: None is PUBLIC, or the owner
    owner: bool = False  #: the grantee is the object's owner
    grantable: bool = False
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseObject:
    """An object that belongs to no relation and holds no rows, such as an operator, cast or event trigger."""

    kind: str  #: as ``pg_identify_object`` prints it: ``text search configuration``
    identity: str
    definition: str  #: the CREATE statement
    parts: tuple[tuple[str, str], ...] = ()  #: statements after the CREATE, and those that revert them


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutineState:
    """A function, procedure or aggregate."""

    identity: str  #: as ``pg_identify_object`` prints it
    digest: str | None  #: of its definition; None for an aggregate
    privileges: tuple[str, ...] = ()  #: that differ from the default ones: ``GRANT EXECUTE TO reader``
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNames(SchemaObject):
    """The name of a table or type at some time, and the names of its columns or values, and of its members."""

    columns: Mapping[str, str]  #: by number; the values of an enum by oid
    members: Mapping[str, str]  #: by kind and oid: constraints, indexes, triggers, rules, policies and statistics


Names: TypeAlias = Mapping[str, ObjectNames]  #: by kind and oid, which a rename does not change

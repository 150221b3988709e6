"""The catalog of a database as frozen values, for comparing two databases.

Every text that PostgreSQL deparsed (types, defaults, definitions) qualifies names outside ``pg_catalog`` with their
schema. A ``label`` is an object's name as PostgreSQL quotes it, without ``public.``; it identifies the object within
its kind and is shown in messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final, Self, TypeAlias

DEFAULT_SCHEMA: Final = "public"  #: where an unqualified name is taken to be; left out where people read
CATALOG_VERSION: Final = 2  #: raised when a catalog says more than before, so that what was remembered is read again
TABLE_KINDS: Final = frozenset({"table", "partitioned table", "foreign table"})  #: relations that can hold rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A sequence's definition, never its position."""

    label: str
    schema: str
    name: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    unlogged: bool = False
    owned_by: str | None = None  #: ``schema.table.column``, quoted, for a sequence that goes with its column

    @property
    def qualified(self) -> str:
        """The label with its schema, ``public`` too."""
        return _qualified(self.schema, self.label)

    @property
    def options(self) -> tuple[object, ...]:
        """Return the definition of the sequence without its name."""
        return (self.type, self.start, self.increment, self.minimum, self.maximum, self.cache, self.cycle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table or view, or an attribute of a composite type."""

    name: str
    type: str  #: as ``format_type`` spells it: ``character varying(20)``, ``public.mood[]``
    collation: str | None = None  #: only where it is not the type's own
    not_null: bool = False
    not_null_name: str | None = None  #: of the constraint that the table itself declares; PostgreSQL 18 and newer
    not_null_no_inherit: bool = False
    not_null_unvalidated: bool = False
    default: str | None = None  #: or the generation expression; None for serial, whose default is its own sequence
    identity: str | None = None  #: ``ALWAYS`` or ``BY DEFAULT``
    generated: str | None = None  #: ``STORED`` or ``VIRTUAL``
    inherited: bool = False  #: it comes from a parent table and follows it
    local: bool = False  #: inherited, and declared by the table itself, too
    storage: str | None = None  #: only where it is not the type's own
    compression: str | None = None
    statistics: int | None = None
    options: tuple[str, ...] = ()
    sequence: Sequence | None = None  #: of a serial or identity column

    @property
    def is_serial(self) -> bool:
        """Whether an integer with a sequence of its own, as ``serial`` makes it."""
        return self.sequence is not None and self.identity is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A primary key, unique, foreign key, check or exclusion constraint that the table itself declares."""

    name: str
    kind: str  #: ``pg_constraint.contype``: p, u, f, c or x
    definition: str  #: without NOT VALID
    unvalidated: bool = False
    columns: tuple[str, ...] = ()
    foreign_schema: str | None = None
    foreign_table: str | None = None
    foreign_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What hangs on a relation and holds no rows: an index, trigger, rule, policy or statistics object."""

    kind: str  #: ``index``, ``trigger``, ``rule``, ``policy`` or ``statistics``
    name: str
    definition: str  #: the whole CREATE statement; for an index only what follows the table's name
    schema: str | None = None  #: of a statistics object
    enabled: str = "O"  #: ``tgenabled`` or ``ev_enabled``
    unique: bool = False
    inherited: bool = False  #: a partition's part of an index of the partitioned table
    invalid: bool = False  #: an index that a failed CONCURRENTLY left behind
    keys: tuple[str, ...] = ()  #: what a unique index keeps unique
    predicate: str | None = None
    targets: tuple[str, ...] = ()  #: how much ANALYZE looks at: of an index ``column number=target``, else the target


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table, partitioned or foreign table, view or materialized view with everything that belongs to it."""

    label: str
    schema: str
    name: str
    kind: str
    unlogged: bool = False
    partition_key: str | None = None
    partition_bound: str | None = None
    parents: tuple[str, ...] = ()  #: labels of the tables it inherits from or is a partition of
    row_security: bool = False
    force_row_security: bool = False
    replica_identity: str | None = None
    clustered_on: str | None = None  #: name of the index that CLUSTER follows
    options: tuple[str, ...] = ()  #: of its TOAST table too, as ``toast.name=value``
    access_method: str | None = None
    of_type: str | None = None
    server: str | None = None
    definition: str | None = None  #: a view's query
    uses: tuple[str, ...] = ()  #: labels of the relations that a view reads
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    @property
    def qualified(self) -> str:
        """The label with its schema, ``public`` too."""
        return _qualified(self.schema, self.label)

    @property
    def is_table(self) -> bool:
        """Whether it can hold rows of its own."""
        return self.kind in TABLE_KINDS

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)


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
        return _qualified(self.schema, self.label)


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
        return _qualified(self.schema, self.label)


Names: TypeAlias = Mapping[str, ObjectNames]  #: by what an object keeps when it is renamed


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything the application has in one database, each tuple in a fixed order."""

    server_version: int = 0  #: ``server_version_num``
    schemas: tuple[str, ...] = ()  #: besides ``public``
    relations: tuple[Relation, ...] = ()
    sequences: tuple[Sequence, ...] = ()  #: those that are not a serial or identity column's own
    types: tuple[Type, ...] = ()
    comments: tuple[tuple[str, str, str], ...] = ()  #: (kind, identity, text) as ``pg_identify_object`` names things
    column_users: tuple[ColumnUser, ...] = ()
    privileges: tuple[Privilege, ...] = ()
    objects: tuple[DatabaseObject, ...] = ()
    uncovered: tuple[str, ...] = ()  #: objects that only their name is known of
    text: str | None = field(default=None, compare=False, repr=False)  #: the JSON it was read from, if it was

    @cached_property
    def relation_by_label(self) -> dict[str, Relation]:
        """Tables and views by label."""
        return {relation.label: relation for relation in self.relations}

    @cached_property
    def type_by_label(self) -> dict[str, Type]:
        """Types by label."""
        return {type_.label: type_ for type_ in self.types}

    def to_json(self) -> str:
        """Return the catalog as JSON; the server's own text if there is one, which is equal for equal content."""
        if self.text is not None:
            return self.text
        document = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "text"}
        return json.dumps(document, default=_present_fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` or the catalog query wrote."""
        document: dict[str, Any] = json.loads(text)
        return cls(
            server_version=document.get("server_version", 0),
            schemas=tuple(document.get("schemas") or ()),
            relations=tuple(_relation(entry) for entry in document.get("relations") or ()),
            sequences=tuple(Sequence(**entry) for entry in document.get("sequences") or ()),
            types=tuple(_type(entry) for entry in document.get("types") or ()),
            comments=tuple((kind, identity, words) for kind, identity, words in document.get("comments") or ()),
            column_users=tuple(_column_user(entry) for entry in document.get("column_users") or ()),
            privileges=tuple(Privilege(**entry) for entry in document.get("privileges") or ()),
            objects=tuple(_object(entry) for entry in document.get("objects") or ()),
            uncovered=tuple(document.get("uncovered") or ()),
            text=text,
        )

    def fingerprint(self) -> str:
        """SHA-256 of the JSON, in hexadecimal: equal when a database has not changed since it was read before."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _qualified(schema: str, label: str) -> str:
    return f"{DEFAULT_SCHEMA}.{label}" if schema == DEFAULT_SCHEMA else label


def _present_fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - the JSON encoder passes every value of an unknown type
    return {item.name: content for item in fields(value) if (content := getattr(value, item.name)) != item.default}


def _column_user(entry: Any) -> ColumnUser:  # noqa: ANN401 - the query writes a list, ``to_json`` an object
    if isinstance(entry, dict):
        return ColumnUser(**entry)
    relation, column, kind, name, holder = entry
    return ColumnUser(relation=relation, column=column, kind=kind, name=name, holder=holder)


def _with_tuples(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if name in entry:
            entry[name] = tuple(entry[name])
    return entry


def _column(entry: dict[str, Any]) -> Column:
    if "sequence" in entry:
        entry["sequence"] = Sequence(**entry["sequence"])
    return Column(**_with_tuples(entry, "options"))


def _relation(entry: dict[str, Any]) -> Relation:
    constraints = tuple(
        Constraint(**_with_tuples(found, "columns", "foreign_columns")) for found in entry.pop("constraints", ())
    )
    attachments = tuple(Attachment(**_with_tuples(found, "keys", "targets")) for found in entry.pop("attachments", ()))
    columns = tuple(_column(found) for found in entry.pop("columns", ()))
    return Relation(
        **_with_tuples(entry, "parents", "options", "uses"),
        columns=columns,
        constraints=constraints,
        attachments=attachments,
    )


def _type(entry: dict[str, Any]) -> Type:
    entry["checks"] = tuple((name, definition) for name, definition in entry.get("checks", ()))
    entry["attributes"] = tuple(_column(found) for found in entry.get("attributes", ()))
    return Type(**_with_tuples(entry, "values", "details"))


def _object(entry: dict[str, Any]) -> DatabaseObject:
    entry["parts"] = tuple((said, taken_back) for said, taken_back in entry.get("parts", ()))
    return DatabaseObject(**entry)

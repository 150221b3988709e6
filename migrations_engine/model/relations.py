"""Tables and views with everything that belongs to them, and sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

DEFAULT_SCHEMA: Final = "public"  #: the schema of unqualified names; left out in messages
TABLE_KINDS: Final = frozenset({"table", "partitioned table", "foreign table"})  #: relations that can hold rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaObject:
    """An object with a name of its own in a schema."""

    label: str  #: as PostgreSQL prints it, without ``public``
    schema: str
    name: str

    @property
    def address(self) -> tuple[str, str]:
        """The schema and the name."""
        return (self.schema, self.name)

    @property
    def qualified(self) -> str:
        """The label with its schema, ``public`` too."""
        return f"{DEFAULT_SCHEMA}.{self.label}" if self.schema == DEFAULT_SCHEMA else self.label

    def with_name_of(self, other: SchemaObject) -> Self:
        """Return the object with the name and schema of *other*."""
        return replace(self, label=other.label, schema=other.schema, name=other.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence(SchemaObject):
    """The definition of a sequence, without its position."""

    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    unlogged: bool = False
    owned_by: str | None = None  #: ``schema.table.column``, quoted, for a sequence that is dropped with its column

    @property
    def options(self) -> tuple[object, ...]:
        """Return the definition of the sequence without its name."""
        return (self.type, self.start, self.increment, self.minimum, self.maximum, self.cache, self.cycle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table or view, or an attribute of a composite type."""

    name: str
    type: str  #: as ``format_type`` prints it: ``character varying(20)``, ``public.mood[]``
    collation: str | None = None  #: only where it is not the type's own
    not_null: bool = False
    not_null_name: str | None = None  #: of the table's own constraint; PostgreSQL 18 and newer
    not_null_no_inherit: bool = False
    not_null_unvalidated: bool = False
    default: str | None = None  #: or the generation expression; None for a serial column
    identity: str | None = None  #: ``ALWAYS`` or ``BY DEFAULT``
    generated: str | None = None  #: ``STORED`` or ``VIRTUAL``
    inherited: bool = False  #: it belongs to a parent table
    local: bool = False  #: inherited, and declared by the table itself, too
    storage: str | None = None  #: only where it is not the type's own
    compression: str | None = None
    statistics: int | None = None
    options: tuple[str, ...] = ()
    sequence: Sequence | None = None  #: of a serial or identity column

    @property
    def is_serial(self) -> bool:
        """Return whether its default draws from its own sequence, as that of ``serial``."""
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
    """An object of a relation that holds no rows: an index, trigger, rule, policy or statistics object."""

    kind: str  #: ``index``, ``trigger``, ``rule``, ``policy`` or ``statistics``
    name: str
    definition: str  #: the whole CREATE statement; for an index only what follows the table's name
    schema: str | None = None  #: of a statistics object
    enabled: str = "O"  #: ``tgenabled`` or ``ev_enabled``
    unique: bool = False
    inherited: bool = False  #: a partition's part of an index of the partitioned table
    invalid: bool = False  #: an index of which CREATE INDEX CONCURRENTLY has failed
    keys: tuple[str, ...] = ()  #: columns and expressions of a unique index
    predicate: str | None = None
    targets: tuple[str, ...] = ()  #: statistics targets: of an index ``column number=target``, else the target


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation(SchemaObject):
    """A table, partitioned or foreign table, view or materialized view with everything that belongs to it."""

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
    def is_table(self) -> bool:
        """Return whether it can hold rows of its own."""
        return self.kind in TABLE_KINDS

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

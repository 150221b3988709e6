"""The catalog of a database as frozen values, for comparing two databases.

Every text that PostgreSQL deparsed (types, defaults, definitions) qualifies names outside ``pg_catalog`` with their
schema. A ``label`` is an object's name as PostgreSQL quotes it, without ``public.``; it identifies the object within
its kind and is shown in messages.
"""

from migrations_engine.model.catalog import CATALOG_VERSION, Catalog
from migrations_engine.model.objects import (
    UNVALIDATED,
    ColumnUser,
    DatabaseObject,
    Names,
    ObjectNames,
    Privilege,
    RoutineState,
    Type,
)
from migrations_engine.model.relations import (
    DEFAULT_SCHEMA,
    TABLE_KINDS,
    Attachment,
    Column,
    Constraint,
    Relation,
    SchemaObject,
    Sequence,
)

__all__ = [
    "CATALOG_VERSION",
    "DEFAULT_SCHEMA",
    "TABLE_KINDS",
    "UNVALIDATED",
    "Attachment",
    "Catalog",
    "Column",
    "ColumnUser",
    "Constraint",
    "DatabaseObject",
    "Names",
    "ObjectNames",
    "Privilege",
    "Relation",
    "RoutineState",
    "SchemaObject",
    "Sequence",
    "Type",
]

"""Pairs of schemas with the expected changes in each direction, by subject."""

from .behaviour import BEHAVIOUR, OBJECTS
from .case import Case
from .column_types import TYPES
from .columns import COLUMNS
from .details import DETAILS
from .named_attributes import NAMED_ATTRIBUTES
from .partitions import OTHERS, PARTITIONS
from .privileges import PRIVILEGES
from .server_objects import SERVER_OBJECTS
from .tables import CONSTRAINTS, INDEXES, TABLES

CASES = [*TYPES, *COLUMNS, *CONSTRAINTS, *INDEXES, *BEHAVIOUR, *TABLES, *OBJECTS]
OBJECT_CASES = [*NAMED_ATTRIBUTES, *SERVER_OBJECTS, *PRIVILEGES, *DETAILS, *PARTITIONS, *OTHERS]

__all__ = ["CASES", "OBJECT_CASES", "Case"]

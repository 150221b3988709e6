"""Reads the catalogs of a database, and changes nothing."""

from migrations_engine.catalog.marks import (
    MARK_RESULTS,
    READ_MARK,
    Mark,
    changed_catalogs,
    complete_mark,
    read_mark,
    shape_statements,
)
from migrations_engine.catalog.reader import (
    count_rows_at_risk,
    digest_of_routines,
    read_catalog,
    read_initial_privileges,
    read_names,
    read_routines,
    repeat_row_counts,
)

__all__ = [
    "MARK_RESULTS",
    "READ_MARK",
    "Mark",
    "changed_catalogs",
    "complete_mark",
    "count_rows_at_risk",
    "digest_of_routines",
    "read_catalog",
    "read_initial_privileges",
    "read_mark",
    "read_names",
    "read_routines",
    "repeat_row_counts",
    "shape_statements",
]

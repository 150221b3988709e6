"""The differences between two catalogs. Pure functions that accept every catalog."""

from migrations_engine.diff.additions import (
    before_new_tables,
    was_dropped,
    with_additions,
    with_changes,
    with_new_tables,
)
from migrations_engine.diff.catalog_diff import CatalogDiff, diff_catalogs
from migrations_engine.diff.comments import is_on, parts_without, spellings
from migrations_engine.diff.difference import Difference, Subject, Verdict, safe
from migrations_engine.diff.expression import replayable, without_casts
from migrations_engine.diff.lagging import with_lagging
from migrations_engine.diff.objects import change_type
from migrations_engine.diff.printed import as_printed, recast
from migrations_engine.diff.renaming import Renames, without_renamed_away
from migrations_engine.diff.sources import Sources
from migrations_engine.diff.target import target_catalog
from migrations_engine.diff.target_names import names_of_members
from migrations_engine.diff.type_alterations import columns_around_type
from migrations_engine.diff.type_change import classify_type_change
from migrations_engine.diff.use_order import labels_by_use

__all__ = [
    "CatalogDiff",
    "Difference",
    "Renames",
    "Sources",
    "Subject",
    "Verdict",
    "as_printed",
    "before_new_tables",
    "change_type",
    "classify_type_change",
    "columns_around_type",
    "diff_catalogs",
    "is_on",
    "labels_by_use",
    "names_of_members",
    "parts_without",
    "recast",
    "replayable",
    "safe",
    "spellings",
    "target_catalog",
    "was_dropped",
    "with_additions",
    "with_changes",
    "with_lagging",
    "with_new_tables",
    "without_casts",
    "without_renamed_away",
]

"""The files of ``migrations/``."""

from migrations_engine.deploy.migrations.history import pending_migrations
from migrations_engine.deploy.migrations.renamed_names import RenamedNames
from migrations_engine.deploy.migrations.renames import (
    names_given_by,
    rename_of,
    with_earlier_values,
    with_renamed_values,
)
from migrations_engine.deploy.migrations.runner import (
    MigrationRunner,
    TransactionGroup,
    group_by_transaction,
    runs_outside_transaction,
)
from migrations_engine.deploy.migrations.unseeded_changes import unseeded_changes

__all__ = [
    "MigrationRunner",
    "RenamedNames",
    "TransactionGroup",
    "group_by_transaction",
    "names_given_by",
    "pending_migrations",
    "rename_of",
    "runs_outside_transaction",
    "unseeded_changes",
    "with_earlier_values",
    "with_renamed_values",
]

"""The files of ``migrations/``."""

from migrations_engine.deploy.migrations.history import pending_migrations
from migrations_engine.deploy.migrations.renames import MEMBER, rename_of
from migrations_engine.deploy.migrations.runner import (
    MigrationRunner,
    TransactionGroup,
    group_by_transaction,
    runs_outside_transaction,
)

__all__ = [
    "MEMBER",
    "MigrationRunner",
    "TransactionGroup",
    "group_by_transaction",
    "pending_migrations",
    "rename_of",
    "runs_outside_transaction",
]

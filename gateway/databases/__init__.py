"""Databases and their owners: stamps in comments, listing, creation, adoption and drop."""

from gateway.databases.catalog import Connections
from gateway.databases.directory import DatabaseDirectory, missing_database
from gateway.databases.kept_copies import KeptCopies, KeptCopy
from gateway.databases.lifecycle import DatabaseLifecycle
from gateway.databases.roles import PlatformRoles
from gateway.databases.stamps import ManagedDatabase, Stamp
from gateway.databases.templates import TemplateUse
from gateway.databases.written_rows import WrittenRows, read_mark

__all__ = [
    "Connections",
    "DatabaseDirectory",
    "DatabaseLifecycle",
    "KeptCopies",
    "KeptCopy",
    "ManagedDatabase",
    "PlatformRoles",
    "Stamp",
    "TemplateUse",
    "WrittenRows",
    "missing_database",
    "read_mark",
]

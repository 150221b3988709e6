"""Databases and their owners: the stamp in each database's comment, listing, making, adopting and dropping."""

from gateway.databases.connections import Connections
from gateway.databases.directory import DatabaseDirectory, facts_of
from gateway.databases.maker import DatabaseMaker
from gateway.databases.stamps import ManagedDatabase, Stamp

__all__ = [
    "Connections",
    "DatabaseDirectory",
    "DatabaseMaker",
    "ManagedDatabase",
    "Stamp",
    "facts_of",
]

"""Connections to PostgreSQL: one pool per database, one budget for all workers of the machine."""

from gateway.pools.connection import CountedConnection
from gateway.pools.connection_registry import ConnectionRegistry, Lease
from gateway.pools.occupancy import Occupancy, PoolStatistics
from gateway.pools.options import PoolOptions
from gateway.pools.table import database_key

__all__ = [
    "ConnectionRegistry",
    "CountedConnection",
    "Lease",
    "Occupancy",
    "PoolOptions",
    "PoolStatistics",
    "database_key",
]

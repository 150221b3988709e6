"""``pg_catalog`` → model; SELECT only."""

from migrations_engine.catalog.snapshot import read_catalog

__all__ = ["read_catalog"]

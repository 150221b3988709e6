"""DDL for safe differences, a module for each kind of object."""

from migrations_engine.deploy.ddl.alterations import Alteration, alterations

__all__ = ["Alteration", "alterations"]

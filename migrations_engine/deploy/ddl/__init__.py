"""DDL for safe differences, a module for each kind of object."""

from migrations_engine.deploy.ddl.alterations import Alteration, alterations
from migrations_engine.deploy.ddl.objects import ADDED_FOR_OTHERS

__all__ = ["ADDED_FOR_OTHERS", "Alteration", "alterations"]

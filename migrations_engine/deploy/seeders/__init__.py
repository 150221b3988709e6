"""The files of ``seeders/``, and the rows that they define."""

from migrations_engine.deploy.seeders.reserved_numbers import reserve_numbers
from migrations_engine.deploy.seeders.runner import Seeders, with_earlier

__all__ = ["Seeders", "reserve_numbers", "with_earlier"]

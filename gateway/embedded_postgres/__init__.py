"""A PostgreSQL server for the demo, development and tests, run from the programs of a Python package or the machine."""

from gateway.embedded_postgres.programs import (
    DEFAULT_VERSION,
    PACKAGES,
    EmbeddedPostgresError,
    Programs,
    packaged_programs,
    programs_in,
)
from gateway.embedded_postgres.server import EmbeddedPostgres

__all__ = [
    "DEFAULT_VERSION",
    "PACKAGES",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "Programs",
    "packaged_programs",
    "programs_in",
]

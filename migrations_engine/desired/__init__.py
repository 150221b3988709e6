"""The catalogs that a schema makes: it is loaded into a scratch database and read back, once per content."""

from migrations_engine.desired.desired_schema import DesiredSchema, DesiredSchemas
from migrations_engine.desired.disagreements import declaring_files, disagreeing, disagreements
from migrations_engine.desired.loading import load_desired_schema
from migrations_engine.desired.scratch_databases import NAME_PREFIX, ScratchDatabases, scratch_databases_beside

__all__ = [
    "NAME_PREFIX",
    "DesiredSchema",
    "DesiredSchemas",
    "ScratchDatabases",
    "declaring_files",
    "disagreeing",
    "disagreements",
    "load_desired_schema",
    "scratch_databases_beside",
]

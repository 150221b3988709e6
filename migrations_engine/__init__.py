"""The schema engine: a psycopg connection and a schema's files in, a deploy and its report out.

It knows no HTTP, no pool and no environment. Everything a caller needs is named here.
"""

from migrations_engine.desired.desired_schema import DesiredSchemas
from migrations_engine.desired.scratch_databases import NAME_PREFIX as SCRATCH_NAME_PREFIX
from migrations_engine.desired.scratch_databases import ScratchDatabases
from migrations_engine.engine import deploy_schema
from migrations_engine.errors import EngineError, MigrationFailed, SchemaExtractionFailed
from migrations_engine.inspection import Inspection, describe_drift, inspect_database
from migrations_engine.options import DeployOptions
from migrations_engine.proven_deploys import ProvenDeploys
from migrations_engine.report import (
    Change,
    DeployReport,
    PlannedStatement,
    SchemaValidation,
    SeederResult,
    SeederValidation,
    Verification,
)
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.archive import read_archive
from migrations_engine.source.first_rows import RANDOM_FUNCTION, first_rows
from migrations_engine.source.folder import read_folder
from migrations_engine.source.layout import ArchiveLimits
from migrations_engine.source.server_statements import CheckedSchemas
from migrations_engine.source.statements import split as split_statements
from migrations_engine.tracking import claim_copy

__all__ = [
    "RANDOM_FUNCTION",
    "SCRATCH_NAME_PREFIX",
    "ArchiveLimits",
    "Change",
    "CheckedSchemas",
    "DeployOptions",
    "DeployReport",
    "DesiredSchemas",
    "EngineError",
    "Inspection",
    "MigrationFailed",
    "PlannedStatement",
    "ProvenDeploys",
    "Schema",
    "SchemaExtractionFailed",
    "SchemaFile",
    "SchemaValidation",
    "ScratchDatabases",
    "SeederResult",
    "SeederValidation",
    "Verification",
    "claim_copy",
    "deploy_schema",
    "describe_drift",
    "first_rows",
    "inspect_database",
    "read_archive",
    "read_folder",
    "split_statements",
]

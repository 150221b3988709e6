"""The tracking tables ``_stonescriptdb_gateway_*`` of a database, with the changelog, and the deploy lock."""

from migrations_engine.tracking.database_comment import READ_COMMENT, DatabaseComment
from migrations_engine.tracking.lock import Probe, lock_kept, lock_statement, read_probe, take_deploy_lock
from migrations_engine.tracking.recording import Recording, RowCounts
from migrations_engine.tracking.records import ChangelogEntry, Records, claim_copy, note_statement
from migrations_engine.tracking.state import (
    LAST_DEPLOY_RESULTS,
    READ_LAST_DEPLOY,
    READ_NOTE,
    READ_RECORDS,
    AppliedMigration,
    DeployedFunction,
    DeployState,
    LastDeploy,
    is_tracked,
    read_last_deploy,
    read_note,
    read_records,
    read_state,
)

__all__ = [
    "LAST_DEPLOY_RESULTS",
    "READ_COMMENT",
    "READ_LAST_DEPLOY",
    "READ_NOTE",
    "READ_RECORDS",
    "AppliedMigration",
    "ChangelogEntry",
    "DatabaseComment",
    "DeployState",
    "DeployedFunction",
    "LastDeploy",
    "Probe",
    "Recording",
    "Records",
    "RowCounts",
    "claim_copy",
    "is_tracked",
    "lock_kept",
    "lock_statement",
    "note_statement",
    "read_last_deploy",
    "read_note",
    "read_probe",
    "read_records",
    "read_state",
    "take_deploy_lock",
]

"""The records of earlier deploys, read in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import psycopg

from migrations_engine.queries import Rows, load_queries, query_all

_QUERIES: Final = load_queries(__package__)
READ_NOTE: Final = _QUERIES["note"]  #: as :func:`read_note`; refused in a database of an earlier gateway
READ_RECORDS: Final = _QUERIES["records_digest"]
READ_LAST_DEPLOY: Final = _QUERIES["last_deploy"]  #: see :meth:`LastDeploy.of_results`
LAST_DEPLOY_RESULTS: Final = 3  #: of these statements


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedMigration:
    """A migration that ran, whole or, outside a transaction, up to a statement."""

    file: str  #: its last known path
    checksum: str  #: of its exact content
    folded_checksum: str | None  #: without comments and white space; None if an earlier gateway applied it
    statements_done: int | None  #: None if it ran whole

    @property
    def checksums(self) -> tuple[str, ...]:
        return (self.checksum,) if self.folded_checksum is None else (self.checksum, self.folded_checksum)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFunction:
    """A routine that a file of ``functions/`` has created; without identity if the file has created none."""

    identity: str  #: as ``pg_identify_object`` prints it, every name qualified: ``public.f(integer,public.status)``
    checksum: str  #: folded checksum of the file
    file: str
    fingerprint: str  #: a digest of its row in pg_proc
    intact: bool  #: it is as it was deployed
    exists: bool  #: a routine of that identity exists


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployState:
    """The records of earlier deploys to one database."""

    migrations: Mapping[str, AppliedMigration] = field(default_factory=dict)  #: by the path of the file
    functions: tuple[DeployedFunction, ...] = ()
    left_behind: tuple[str, ...] = ()  #: names of functions that an earlier gateway deployed, as it has written them
    extensions: Mapping[str, str] = field(default_factory=dict)  #: installed ones, with their versions
    schema_checksum: str | None = None  #: of the schema deployed last; None if this gateway has deployed none
    last: Mapping[str, Any] = field(default_factory=dict)  #: the note of the last deploy


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDeploy:
    """The schema that the database has, when it was deployed, and the last request that changed anything."""

    checksum: str | None = None  #: of the schema
    deployed_at: datetime | None = None
    request_id: str | None = None
    migrations: tuple[tuple[Any, ...], ...] = ()  #: that have been applied, each with what identifies it
    fingerprint: str | None = None  #: of the catalog that the deploy left
    mark: Mapping[str, str] | None = None  #: of that catalog
    differences: tuple[str, ...] = ()  #: which it left, to a new database of the schema

    @classmethod
    def of_results(cls, results: Sequence[Rows]) -> LastDeploy:
        """Return the last deploy of the results of READ_LAST_DEPLOY, which are empty if there was none."""
        deploys, changes, migrations = results
        if not deploys:
            return cls()
        ((checksum, deployed_at, note),) = deploys
        note = note or {}
        return cls(
            checksum=checksum,
            deployed_at=deployed_at,
            request_id=changes[0][0] if changes else None,
            migrations=tuple(sorted(migrations)),
            fingerprint=note.get("fingerprint"),
            mark=note.get("mark"),
            differences=tuple(note.get("differences", ())),
        )


def is_tracked(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the tracking tables exist, in their present form."""
    row = connection.execute(_QUERIES["is_tracked"]).fetchone()
    return bool(row and row[0])


def read_note(connection: psycopg.Connection[Any]) -> tuple[str | None, Mapping[str, Any]]:
    """Read the checksum of the schema that was deployed last, and the note of that deploy."""
    row = connection.execute(_QUERIES["note_of_any_version"]).fetchone()
    return (row[0], row[1] or {}) if row else (None, {})


def read_records(connection: psycopg.Connection[Any]) -> str | None:
    """Return a digest of the records of earlier deploys without the note; None if there are none."""
    ((digest,),) = connection.execute(READ_RECORDS).fetchall()
    return cast("str | None", digest)


def read_last_deploy(connection: psycopg.Connection[Any]) -> LastDeploy:
    """Read when and by which request the database became what it is; the tracking tables must be there."""
    return LastDeploy.of_results(query_all(connection, [READ_LAST_DEPLOY]))


def read_state(connection: psycopg.Connection[Any]) -> DeployState:
    """Read the tracking tables, which must exist."""
    row = connection.execute(_QUERIES["state"]).fetchone()
    assert row is not None
    state: dict[str, Any] = row[0]
    deployed = state["deployed"] or {}
    return DeployState(
        migrations={row["file"]: AppliedMigration(**row) for row in state["migrations"]},
        functions=tuple(DeployedFunction(**f) for f in state["functions"]),
        left_behind=tuple(state["left_behind"]),
        extensions=state["extensions"],
        schema_checksum=deployed.get("checksum"),
        last=deployed.get("definition") or {},
    )

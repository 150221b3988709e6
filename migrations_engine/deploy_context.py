"""The state of the database when a deploy has the lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from migrations_engine.catalog import digest_of_routines, read_catalog, read_routines
from migrations_engine.deploy.extensions import wanted_extension
from migrations_engine.model import Catalog
from migrations_engine.options import DeployOptions
from migrations_engine.schema import Schema
from migrations_engine.tracking import (
    DatabaseComment,
    DeployState,
    Records,
    read_probe,
    read_state,
    take_deploy_lock,
)


def take_lock(connection: psycopg.Connection[Any], options: DeployOptions) -> bool:
    """Take the deploy lock for the open transaction, and return whether the database has a tracking table."""
    return take_deploy_lock(
        connection,
        search_path=options.search_path,
        lock_timeout_ms=options.lock_timeout_ms,
        wait_seconds=options.wait_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployContext:
    """What a deploy that has the lock starts from: its task, the catalog and the records of earlier deploys."""

    connection: psycopg.Connection[Any]
    schema: Schema
    options: DeployOptions
    server_version: int
    comment: DatabaseComment
    before: Catalog  #: of the database as the deploy found it
    state: DeployState

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions) -> DeployContext:
        """Read the catalog and the records. The lock must be held."""
        probe = read_probe(connection)
        before = Catalog() if probe.empty else read_catalog(connection)
        if not probe.tracked:
            Records(connection).create_tables()
        return cls(
            connection=connection,
            schema=schema,
            options=options,
            server_version=connection.info.server_version,
            comment=DatabaseComment.found(connection, probe.database_comment, options.database_comment),
            before=before,
            state=DeployState() if probe.empty else read_state(connection),
        )

    @property
    def is_new(self) -> bool:
        """Return whether the database is empty and nothing was deployed to it."""
        before, state = self.before, self.state
        return not (state.schema_checksum or state.migrations or before.relations or before.types or before.sequences)

    @property
    def is_unchanged(self) -> bool:
        """Return whether the same schema was deployed last and nothing has changed since then."""
        extensions = {wanted_extension(file).name for file in self.schema.extensions}
        return (
            not self.options.add_seeds
            and self.state.schema_checksum == self.schema.checksum
            and all(function.intact for function in self.state.functions)
            and extensions <= self.state.extensions.keys()
            and self.state.last.get("fingerprint") == self.before.fingerprint()
            and self.state.last.get("routines") == digest_of_routines(read_routines(self.connection))
        )

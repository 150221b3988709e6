"""The state of the database when a deploy has the lock, and the report if there is nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from migrations_engine.catalog import digest_of_routines, read_catalog, read_routines
from migrations_engine.deploy.extensions import wanted_extension
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, MigrationFailed
from migrations_engine.model import Catalog
from migrations_engine.options import DeployOptions
from migrations_engine.report import DeployReport, SchemaValidation, SeederResult, SeederValidation, Verification
from migrations_engine.schema import Schema
from migrations_engine.tracking import (
    DatabaseComment,
    DeployState,
    Records,
    read_probe,
    read_state,
    take_deploy_lock,
)
from migrations_engine.verification import verify_seeders


def take_lock(connection: psycopg.Connection[Any], options: DeployOptions) -> bool:
    """Take the deploy lock for the open transaction, and return whether the database has a tracking table."""
    return take_deploy_lock(
        connection,
        search_path=options.search_path,
        lock_timeout_ms=options.lock_timeout_ms,
        wait_seconds=options.wait_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The state of a deploy that has the lock: its task, the present catalog and the records of earlier deploys."""

    connection: psycopg.Connection[Any]
    schema: Schema
    options: DeployOptions
    server_version: int
    comment: DatabaseComment
    there: Catalog
    state: DeployState

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions) -> Opening:
        """Read the catalog and the records. The lock must be held."""
        probe = read_probe(connection)
        there = Catalog() if probe.empty else read_catalog(connection)
        if not probe.tracked:
            Records(connection).create_tables()
        return cls(
            connection=connection,
            schema=schema,
            options=options,
            server_version=connection.info.server_version,
            comment=DatabaseComment.found(connection, probe.database_comment, options.database_comment),
            there=there,
            state=DeployState() if probe.empty else read_state(connection),
        )

    @property
    def is_new(self) -> bool:
        """Return whether the database is empty and nothing was deployed to it."""
        there = self.there
        return not (
            self.state.schema_checksum or self.state.migrations or there.relations or there.types or there.sequences
        )

    @property
    def is_unchanged(self) -> bool:
        """Return whether the same schema was deployed last and nothing has changed since then."""
        extensions = {wanted_extension(file).name for file in self.schema.extensions}
        return (
            not self.options.add_seeds
            and self.state.schema_checksum == self.schema.checksum
            and all(function.intact for function in self.state.functions)
            and extensions <= self.state.extensions.keys()
            and self.state.last.get("fingerprint") == self.there.fingerprint()
            and self.state.last.get("routines") == digest_of_routines(read_routines(self.connection))
        )


def unchanged_report(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, last: Mapping[str, Any]
) -> DeployReport:
    """Return the report on an unchanged database. The last deploy verified it, so only seeded rows are checked."""
    functions = int(last["functions_deployed"])
    validations: tuple[SeederValidation, ...] = ()
    results: tuple[SeederResult, ...] = ()
    if options.purpose == "migrate":
        session = DeploySession(connection, search_path=options.search_path)
        validations = Seeders(session, schema.seeders).validate()
    else:
        results = tuple(SeederResult(table=t, inserted=0, skipped=n) for t, n in sorted(last["seeded"].items()))
    return DeployReport(
        functions_deployed=functions,
        functions_skipped=functions,
        seeders=results,
        seeder_validations=validations,
        verification=passed(verify_seeders(validations), SchemaValidation()),
        warnings=(*schema.warnings, *last.get("warnings", ())),
        differences=tuple(last.get("differences", ())),
        dry_run=options.dry_run,
    )


def unfinished_report(
    session: DeploySession, schema: Schema, validation: SchemaValidation, failure: EngineError
) -> DeployReport:
    """Return the report of a dry run that ended with *failure*, the use of a new enum value, with its plan so far."""
    left = (
        f"{failure.message}; a deploy commits new enum values before all else, which a dry run cannot, so what follows "
        "was not tried"
    )
    return DeployReport(
        schema_validation=validation,
        satisfied_statements=tuple(session.satisfied),
        warnings=(*schema.warnings, *session.warnings, left),
        plan=tuple(session.plan.statements) if session.plan is not None else (),
        dry_run=True,
    )


def passed(verification: Verification, validation: SchemaValidation) -> Verification:
    """Return *verification* if it has passed.

    :raises MigrationFailed: it has not
    """
    if not verification.passed:
        advice = (
            "" if verification.seeders_verified else ". To add the missing rows, repeat the request with seed=insert"
        )
        raise MigrationFailed(
            f"the finished database differs from the schema: {'; '.join(verification.error_log)}{advice}",
            validation=validation,
            verification=verification,
        )
    return verification

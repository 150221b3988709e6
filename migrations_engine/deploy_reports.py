"""The reports of deploys that change nothing, or end before all steps, and the check of the verification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, MigrationFailed
from migrations_engine.options import DeployOptions
from migrations_engine.report import DeployReport, SchemaValidation, SeederResult, SeederValidation, Verification
from migrations_engine.schema import Schema
from migrations_engine.verification import verify_seeders


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

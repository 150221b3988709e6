"""Deploys a schema to one database: in a transaction under a lock, and again after a lock timeout."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import psycopg

from migrations_engine.catalog import read_mark
from migrations_engine.deploy.blockers import LockWait
from migrations_engine.deploy.migrations import with_renamed_values
from migrations_engine.deploy.ownership import with_owners
from migrations_engine.deploy.session import LOCK_NOT_AVAILABLE
from migrations_engine.deploy_context import DeployContext, take_lock
from migrations_engine.deploy_reports import unchanged_report
from migrations_engine.desired import scratch_databases_beside
from migrations_engine.errors import DeployInterrupted, EngineError, MigrationFailed, ServerMessage
from migrations_engine.options import DeployOptions
from migrations_engine.replay import repeat, starting_point
from migrations_engine.report import DeployReport
from migrations_engine.schema import Schema
from migrations_engine.source.homes import with_homes
from migrations_engine.tracking import Records, lock_kept, read_note
from migrations_engine.whole_deploy import WholeDeploy

_UNSAFE_NEW_ENUM_VALUE: Final = "55P04"


def deploy_schema(connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions) -> DeployReport:
    """Deploy *schema* to the database of *connection*, all or nothing.

    :param connection: of this deploy alone; it is switched to autocommit, and its session is not restored
    :raises EngineError: nothing was changed (migrations that run outside a transaction excepted, which are recorded),
        and the same call can be repeated
    """
    schema = with_homes(schema)
    connection.autocommit = True
    connection.prepare_threshold = None
    warnings: list[str] = []
    committed: list[str] = []  # a note about the migrations that ran before one outside a transaction
    beside = options.scratch or scratch_databases_beside(connection)
    lock_wait = LockWait(
        connection, options.lock_timeout_ms, connect=lambda: beside.connect(beside.maintenance_database)
    )
    while True:
        try:
            with lock_wait.attempt() as timeout_ms:
                return _attempt(connection, schema, replace(options, lock_timeout_ms=timeout_ms), warnings, committed)
        except EngineError as exc:
            if exc.sqlstate == _UNSAFE_NEW_ENUM_VALUE and not warnings and not options.dry_run:
                warnings += _commit_enum_values(connection, schema, options, exc)
            elif exc.sqlstate != LOCK_NOT_AVAILABLE:
                raise _explained(exc, connection, schema, [*warnings, *committed]) from None
            elif not lock_wait.goes_on():
                notes = [*warnings, *committed]
                raise _with_notes(lock_wait.explained(exc, changed=bool(notes)), notes) from exc
        except psycopg.Error as exc:
            server = ServerMessage.of(exc)
            if connection.closed:
                raise DeployInterrupted.of(server) from exc
            message = f"PostgreSQL refused a statement of the deploy: {server.message}"
            # without a variable, which would hold the error's traceback, and with it the schema, in a cycle
            raise _explained(
                MigrationFailed(message, server=server), connection, schema, [*warnings, *committed]
            ) from exc


def _attempt(
    connection: psycopg.Connection[Any],
    schema: Schema,
    options: DeployOptions,
    warnings: list[str],
    committed: list[str],
) -> DeployReport:
    if (repeated := repeat(connection, schema, options)) is not None:
        return repeated
    with ExitStack() as lock:  # held between transactions too, where migrations run outside of one
        with connection.transaction(force_rollback=options.dry_run):
            deploy = _begin(connection, schema, options, warnings)
            if isinstance(deploy, DeployReport):
                _before_commit(connection, options)
                return deploy
            if options.dry_run:
                return _tried(deploy)
            deploy.declare()
            first, *rest = deploy.groups
            deploy.run_migrations(first)
            if rest:
                lock.enter_context(lock_kept(connection))
            else:
                report = deploy.finish()
                _before_commit(connection, options)
        if not rest:
            deploy.let_repeat()
            return report
        for group in rest:
            if group.outside is not None:
                committed[:] = [
                    f"what precedes {group.outside.label}, which runs outside a transaction, has been committed"
                ]
            deploy.run_outside(group)
            with connection.transaction():
                deploy.run_migrations(group)
                if group is rest[-1]:
                    return deploy.finish()
    raise AssertionError


def _tried(deploy: WholeDeploy) -> DeployReport:
    """Return the report of a dry run, which has one group of migrations.

    It ends at the use of an enum value that is new. A deploy would commit that value before, so this is no failure.
    """
    try:
        deploy.declare()
        deploy.run_migrations(deploy.groups[0])
        return deploy.finish()
    except EngineError as exc:
        if exc.sqlstate != _UNSAFE_NEW_ENUM_VALUE:
            raise
        return deploy.report_up_to(exc)


def _before_commit(connection: psycopg.Connection[Any], options: DeployOptions) -> None:
    if options.before_commit is not None:
        options.before_commit(connection)


def _begin(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, warnings: list[str]
) -> WholeDeploy | DeployReport:
    """Take the lock. Return the deploy to run, or the report if there is nothing to do."""
    has_tables = take_lock(connection, options)
    checksum, note = read_note(connection) if has_tables else (None, {})
    start = None
    if checksum == schema.checksum:
        if not options.add_seeds and note.get("mark") == read_mark(connection):
            return unchanged_report(connection, schema, options, note)
    elif checksum is not None and options.proven is not None:
        start = starting_point(connection, schema, options, checksum, note)
    context = DeployContext.of(connection, schema, options)
    if context.is_unchanged:
        Records(connection).mark(read_mark(connection))  # then the next deploy need not compare
        return unchanged_report(connection, schema, options, context.state.last)
    return WholeDeploy(context, warnings, start)


def _commit_enum_values(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, reason: EngineError
) -> list[str]:
    """Add the new enum values in a transaction of their own, and return a warning about it.

    PostgreSQL refuses the use of a value before the transaction that added it has committed.

    :raises EngineError: *reason*, if there is no value to add
    """
    with connection.transaction():
        take_lock(connection, options)
        context = DeployContext.of(connection, schema, options)
        if not (added := WholeDeploy(context, [], None).add_enum_values()):
            raise reason
    values = ", ".join(f"{label}.{value}" for label, value in added)
    return [f"new enum values were committed before the rest of the deploy, which already uses them: {values}"]


def _explained(
    error: EngineError, connection: psycopg.Connection[Any], schema: Schema, notes: Sequence[str]
) -> EngineError:
    return _with_notes(with_renamed_values(with_owners(error, connection), schema), notes)


def _with_notes(error: EngineError, notes: Sequence[str]) -> EngineError:
    """Return *error*, with a message about the parts of the deploy that were committed."""
    if notes:
        error.add_to_message(f" ({'; '.join(notes)}; this stays, and a later deploy goes on from there)")
    return error

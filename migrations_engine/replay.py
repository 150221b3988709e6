"""A deploy repeated in a database that is equal to one where it has succeeded.

The comparison and the plan cost many times what the statements do, and databases of one schema are mostly alike. So the
first database of a starting point gets the whole deploy, and the others get the statements that it sent.

Invariants:

1. The starting point is read under the deploy's lock. It is known only for a database that is as its last deploy left
   it.
2. What depends on rows is decided in each database: a deploy that counted, seeded or refused rows is never repeated,
   and the rows that seeders define are looked for in each database.
3. A repeated deploy commits only if the catalogs are then what they were in the first database. Otherwise it is undone
   and the whole deploy runs, which also words the error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import psycopg

from migrations_engine.catalog import read_catalog, read_mark, read_shape
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import LOCK_NOT_AVAILABLE, DeploySession
from migrations_engine.errors import EngineError, MigrationFailed
from migrations_engine.opening import is_untouched
from migrations_engine.options import DeployOptions
from migrations_engine.proven_deploys import ProvenDeploy
from migrations_engine.report import DeployReport
from migrations_engine.schema import Schema
from migrations_engine.tracking import DatabaseComment, Probe, Records, read_starting_point, read_state


def starting_point(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, note: Mapping[str, Any]
) -> str | None:
    """Return a text that is equal for databases in which a deploy of *schema* sends the same statements.

    None if the database is not as its last deploy, which wrote *note*, left it, or if the deploy cannot be repeated.
    """
    if options.dry_run or options.add_seeds or options.purpose != "migrate" or not _is_as_deployed(connection, note):
        return None
    parts = [schema.checksum, str(options.force), read_starting_point(connection)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def repeat(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, probe: Probe, proven: ProvenDeploy
) -> DeployReport | None:
    """Do what *proven* did, in the transaction that is open on *connection*, and return the report.

    Return None when that does not lead to the same result; then nothing has changed.

    :raises EngineError: a lock could not be had, or the connection is lost
    """
    session = DeploySession(connection, search_path=options.search_path)
    comment = DatabaseComment(connection, probe.database_comment, options.database_comment)
    try:
        with connection.transaction() as savepoint:
            connection.execute(proven.script)
            validations = Seeders(session, schema.seeders).validate()
            is_same = validations == proven.report.seeder_validations and read_shape(connection) == proven.shape
            if not is_same:
                raise psycopg.Rollback(savepoint)
            Records(connection).mark(read_mark(connection))
            comment.check()
    except psycopg.Error as exc:
        if connection.closed or exc.sqlstate == LOCK_NOT_AVAILABLE:
            raise session.failure(exc, MigrationFailed, what="the deploy") from exc
        return None
    except EngineError:
        return None
    return proven.report if is_same else None


def _is_as_deployed(connection: psycopg.Connection[Any], note: Mapping[str, Any]) -> bool:
    if is_untouched(connection, note):
        return True
    functions = read_state(connection).functions  # something was touched, which need not have changed it
    return note.get("fingerprint") == read_catalog(connection).fingerprint() and all(one.intact for one in functions)

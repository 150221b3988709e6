"""Repeats a deploy in a database that is equal to one in which it has succeeded.

The comparison and the plan cost many times what the statements do, and databases of one schema are mostly alike. So the
first database of a starting point gets the whole deploy, and the others get the statements that it sent.

Invariants:

1. The starting point is read under the deploy's lock. It is known only for a database that is as its last deploy left
   it.
2. Decisions that depend on rows are made in each database: the rows at risk are counted between the same statements,
   and must be as many where their number has decided about later ones; the rows that seeders define are checked. A
   deploy that seeded rows, or in which PostgreSQL refused a statement, is never repeated.
3. A repeated deploy commits only if it has changed the same catalogs as in the first database, and if these then have
   the same contents. Otherwise it is rolled back and the whole deploy runs, which also raises any error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from migrations_engine.catalog import (
    MARK_RESULTS,
    READ_MARK,
    Mark,
    changed_catalogs,
    complete_mark,
    digest_of_routines,
    read_catalog,
    read_mark,
    read_routines,
    repeat_row_counts,
)
from migrations_engine.counted_rows import ROW_COUNT_TIMEOUT_MS
from migrations_engine.deploy.seeders import Seeders
from migrations_engine.deploy.session import LOCK_NOT_AVAILABLE, DeploySession
from migrations_engine.errors import EngineError, MigrationFailed
from migrations_engine.options import DeployOptions
from migrations_engine.proven_deploys import ProvenDeploy
from migrations_engine.queries import query_all
from migrations_engine.report import DeployReport, RowNumbers
from migrations_engine.schema import Schema
from migrations_engine.tracking import (
    READ_COMMENT,
    READ_NOTE,
    READ_RECORDS,
    lock_statement,
    note_statement,
    read_records,
    read_state,
)

_BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingPoint:
    """The state of a database before a deploy.

    :ivar key: equal for databases in which a deploy of the same schema sends the same statements
    :ivar mark: of this database's catalogs
    """

    key: str
    mark: Mark


def starting_point(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions, earlier: str, note: Mapping[str, Any]
) -> StartingPoint | None:
    """Return the starting point of a deploy that has the lock; None if it is unknown or the deploy cannot be repeated.

    :param earlier: the checksum of the schema that was deployed last
    :param note: the note of that deploy; nothing may have changed since
    """
    if not _is_repeatable(options) or not _is_readable(note):
        return None
    mark = read_mark(connection)
    if not _is_as_deployed(connection, note, mark):
        return None
    return StartingPoint(key=_key(schema, options, earlier, note, read_records(connection)), mark=mark)


def repeat(connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions) -> DeployReport | None:
    """Repeat a proven deploy of *schema* in a transaction, and return the report.

    Return None if none is known for the starting point of this database, or if its result differs here. Then nothing
    has changed.

    :raises EngineError: a lock was not available, or the connection is lost
    """
    if not options.proven or not _is_repeatable(options):
        return None
    session = DeploySession(connection, search_path=options.search_path)
    report = None
    try:
        report = _repeat(session, schema, options)
    except psycopg.Error as exc:
        if connection.closed or exc.sqlstate == LOCK_NOT_AVAILABLE:
            raise session.failure(exc, MigrationFailed, what="the deploy") from exc
    except EngineError:
        if connection.closed:
            raise
    finally:
        if report is None:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
    return report


def _repeat(session: DeploySession, schema: Schema, options: DeployOptions) -> DeployReport | None:
    connection = session.connection
    found = _begin(connection, schema, options)
    if found is None:
        return None
    start, proven, comment = found
    counts = _count_rows(connection, proven)
    if counts is None:
        return None
    results = query_all(connection, [proven.script, READ_COMMENT, *proven.shape_statements, READ_MARK])
    ((comment_then,),), *shape = results[-MARK_RESULTS - len(proven.shape) - 1 : -MARK_RESULTS]
    mark = complete_mark(connection, results[-MARK_RESULTS:])
    if changed_catalogs(start.mark, mark) != proven.changed or shape != proven.shape or comment_then != comment:
        return None
    report = proven.report(counts)
    if schema.seeders and Seeders(session, schema.seeders).validate() != report.seeder_validations:
        return None
    note = note_statement(connection, schema.checksum, {**proven.note, "mark": mark})
    if options.before_commit is not None:
        query_all(connection, [note])
        options.before_commit(connection)
        query_all(connection, [b"COMMIT"])
    else:
        query_all(connection, [note, b"COMMIT"])
    return report


def _count_rows(connection: psycopg.Connection[Any], proven: ProvenDeploy) -> RowNumbers | None:
    """Run the statements before the last script, and return the numbers of rows at risk.

    None if other statements follow for these numbers.
    """
    numbers: dict[Hashable, int] = {}
    for script, counts in proven.counted:
        if script:
            query_all(connection, [script])
        found = repeat_row_counts(connection, counts.queries, ROW_COUNT_TIMEOUT_MS)
        if any(required not in (None, number) for required, number in zip(counts.required, found, strict=True)):
            return None
        numbers |= zip(counts.subjects, found, strict=True)
    return numbers


def _begin(
    connection: psycopg.Connection[Any], schema: Schema, options: DeployOptions
) -> tuple[StartingPoint, ProvenDeploy, str | None] | None:
    """Begin the transaction, and return the starting point, its proven deploy, and the comment of the database.

    None if no deploy is known for the starting point.
    """
    lock = lock_statement(connection, search_path=options.search_path, lock_timeout_ms=options.lock_timeout_ms)
    results = query_all(connection, [_BEGIN, lock, READ_COMMENT, READ_NOTE, READ_RECORDS, READ_MARK])
    _, ((has_lock, *_),), ((comment,),), notes, ((records,),), *marks = results
    if not has_lock or not notes or options.database_comment not in (None, comment):
        return None
    ((earlier, note),) = notes
    mark = complete_mark(connection, marks)
    if earlier == schema.checksum or not _is_readable(note) or not _is_as_deployed(connection, note, mark):
        return None
    start = StartingPoint(key=_key(schema, options, earlier, note, records), mark=mark)
    proven = options.proven.get(start.key) if options.proven else None
    return (start, proven, comment) if proven is not None else None


def _is_repeatable(options: DeployOptions) -> bool:
    """Return whether a deploy with *options* has the same result in all databases with the same starting point."""
    return options.purpose == "migrate" and not options.dry_run and not options.add_seeds


def _is_readable(note: Mapping[str, Any]) -> bool:
    """Return whether *note* has a mark of this version; otherwise the tracking tables may lack columns."""
    return isinstance(note.get("mark"), dict)


def _is_as_deployed(connection: psycopg.Connection[Any], note: Mapping[str, Any], mark: Mark) -> bool:
    """Return whether the objects are as the deploy of *note* left them, even if some were touched since."""
    if mark == note["mark"]:
        return True
    return (
        note.get("fingerprint") == read_catalog(connection).fingerprint()
        and note.get("routines") == digest_of_routines(read_routines(connection))
        and all(one.intact for one in read_state(connection).functions)
    )


def _key(schema: Schema, options: DeployOptions, earlier: str, note: Mapping[str, Any], records: str | None) -> str:
    noted = json.dumps({**note, "mark": None}, sort_keys=True)
    parts = [schema.checksum, str(options.force), earlier, noted, str(records)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()

"""Migrations of many databases: ``/v2/migrate``, their undo, the status of databases, and the log of deploys."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final

import orjson
from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from gateway.api.errors import answer_failure
from gateway.api.guard import caller_of
from gateway.api.request_ids import request_id_of
from gateway.api.requests import adding_facts, current_services, load, read_json, single_values
from gateway.api.responses import ok, to_json
from gateway.api.v1.call import PEER
from gateway.api.v1.responses import MigrateAnswer, MigratedDatabaseShape, migration_failure
from gateway.api.v2.requests import DatabasesQuery, MigrateRequest, UndoBody
from gateway.api.v2.responses import LoggedDeployShape, PlannedGroupShape, SchemaStatusShape, UndoneDatabaseShape
from gateway.errors import SchemaDeployError
from gateway.naming import check_name
from gateway.operations.fleet_status import fleet_status
from gateway.operations.migrate_databases import StoredMigration, migrate_stored, prepare_stored
from gateway.operations.migration_result import PlatformMigration
from gateway.operations.plan_migration import plan_migration
from gateway.operations.roll_out import RolloutRules
from gateway.operations.undo_migration import undo_migration
from gateway.services import Services
from gateway.steps import Peer

blueprint: Final = Blueprint("migrations", __name__)
_LINES: Final = "application/x-ndjson"
_GONE: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL
_ANSWER_TO_PROBE_MS: Final = 200  #: for the client's machine to report that it has disconnected


@blueprint.post("/v2/migrate")
def migrate() -> ResponseReturnValue:
    """Migrate one database, or all databases of a stored schema, to its current version."""
    return _migrate(MigrateRequest(request_id_of(request.environ)))


@blueprint.post("/v2/migrate-all")
def migrate_all() -> ResponseReturnValue:
    """Migrate all databases of a schema."""
    return _migrate(MigrateRequest(request_id_of(request.environ), exclude=("database_id", "uuid", "database_ids")))


@blueprint.post("/v2/undo")
def undo() -> ResponseReturnValue:
    """Restore databases from the copies that a migration has kept."""
    services = current_services()
    environ = request.environ
    wanted = load(UndoBody(), read_json(environ, services.settings.max_request_bytes), caller_of(environ))
    facts = {"platform": wanted.platform, "schema_name": wanted.schema_name}
    with adding_facts(**facts):
        found = undo_migration(services, wanted)
        databases = UndoneDatabaseShape(many=True).dump(found)
        failed = [(one.database, one.error) for one in found if one.error is not None]
        if failed:
            name, error = failed[0]
            message = f"{len(failed)} of {len(found)} databases not restored, first {name}: {error.message}"
            raise SchemaDeployError("migration_failed", message, **{**error.facts, "databases": databases})
    return ok({"status": "completed", **facts, "databases": databases})


@blueprint.get("/platform/<platform>/status")
def status(platform: str) -> ResponseReturnValue:
    """Return the state of every database of a platform, or of one of its schemas, and the groups of identical ones."""
    services = current_services()
    check_name(platform, field="platform")
    query = single_values(request.args.items(multi=True))
    schema = load(DatabasesQuery(), query, caller_of(request.environ))["schema"]
    with adding_facts(platform=platform, schema_name=schema):
        found = fleet_status(services, platform, schema)
    return ok({"platform": platform, "schemas": SchemaStatusShape(many=True).dump(found)})


@blueprint.get("/admin/deploys")
def deploys() -> ResponseReturnValue:
    """List the running deploys and the last ones that have ended, the newest first."""
    found = current_services().deploy_log.deploys()
    return ok({"deploys": LoggedDeployShape(many=True).dump(found), "count": len(found)})


def _migrate(body: MigrateRequest) -> ResponseReturnValue:
    services = current_services()
    environ = request.environ
    wanted, detached = load(body, read_json(environ, services.settings.max_request_bytes), caller_of(environ))
    with adding_facts(platform=wanted.platform, schema_name=wanted.schema_name):
        migration = prepare_stored(services, wanted)
        if wanted.dry_run:
            return ok(_plan(services, migration))
        is_wanted = _always if detached else _client_waits(environ.get(PEER))
        if _LINES in environ.get("HTTP_ACCEPT", ""):
            lines = _lines(services, migration, is_wanted, request_id_of(environ))
            return Response(lines, mimetype=_LINES)
        result = migrate_stored(services, migration, RolloutRules(is_wanted=is_wanted))
        if result.failure is not None:
            raise migration_failure(result, result.failure)
    return ok(_answer(migration, result))


def _plan(services: Services, migration: StoredMigration) -> dict[str, Any]:
    planned = plan_migration(services, migration.databases, migration.schema, migration.wanted)
    groups = PlannedGroupShape(many=True).dump(planned.groups)
    more = {"groups": groups, "estimated_ms": planned.estimated_ms}
    if planned.migration.failure is not None:
        failure = migration_failure(planned.migration, planned.migration.failure)
        failure.add_facts(**more)
        raise failure
    return {**_answer(migration, planned.migration), **more}


def _answer(migration: StoredMigration, result: PlatformMigration) -> dict[str, Any]:
    wanted = migration.wanted
    answer = {"platform": wanted.platform, "schema_name": wanted.schema_name, **MigrateAnswer().dump(result)}
    return {**answer, "databases_skipped": list(result.databases_skipped)}


def _lines(
    services: Services, migration: StoredMigration, is_wanted: Callable[[], bool], request_id: str
) -> Iterator[bytes]:
    """Yield a line for each database when it is done, then the summary.

    The migration runs in a thread of its own. After the client's disconnect this generator is closed at the next
    line: running deploys end, and no further ones start unless the migration is detached.
    """
    lines: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    closed = Event()

    def finished(database: Any) -> None:  # noqa: ANN401 - a MigratedDatabase
        lines.put({"event": "database", **MigratedDatabaseShape().dump(database)})

    def run() -> None:
        rules = RolloutRules(
            is_wanted=lambda: is_wanted is _always or (not closed.is_set() and is_wanted()), finished=finished
        )
        try:
            summary = _summary(services, migration, migrate_stored(services, migration, rules), request_id)
        except Exception as exc:  # noqa: BLE001 - it becomes the last line, and is logged
            summary = {"status": "failed", **orjson.loads(answer_failure(exc, request_id, services.events).body)}
        summary.pop("databases", None)
        lines.put({"event": "summary", **summary})
        lines.put(None)

    lines.put({"event": "begin", "total": len(migration.databases) + len(migration.left)})
    thread = Thread(target=run, name="migration")
    thread.start()
    try:
        while (line := lines.get()) is not None:
            yield to_json(line) + b"\n"
    finally:
        closed.set()
        thread.join()


def _summary(
    services: Services, migration: StoredMigration, result: PlatformMigration, request_id: str
) -> dict[str, Any]:
    if result.failure is None:
        return _answer(migration, result)
    answer = answer_failure(migration_failure(result, result.failure), request_id, services.events)
    failed: dict[str, Any] = orjson.loads(answer.body)
    return {"status": "failed", **failed}


def _always() -> bool:
    return True


def _client_waits(client: Peer | None) -> Callable[[], bool]:
    """Return a function that returns whether *client* still waits for the answer."""
    if client is None:
        return _always

    def waits() -> bool:
        poll = select.poll()
        poll.register(client.fileno(), client.hang_up)
        events = poll.poll(0)
        if events and not events[0][1] & _GONE:  # it has ended its sending, or disconnected
            client.probe()
            poll.modify(client.fileno(), 0)  # errors and hang-ups are always reported
            events = poll.poll(_ANSWER_TO_PROBE_MS)
        return not events

    return waits

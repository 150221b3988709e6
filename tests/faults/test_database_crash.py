"""PostgreSQL lost at every statement that creates, copies, renames or drops a database: the same request then works."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from gateway.api.errors import status_of
from gateway.errors import DatabaseAlreadyExists, DatabaseNotFound, GatewayError
from gateway.naming import schema_database
from gateway.operations.create_database import create_database
from gateway.operations.migrate_databases import StoredSchemaRequest, migrate_stored, prepare_stored
from gateway.operations.reconcile import reconcile
from gateway.operations.roll_out import RolloutRules
from gateway.operations.stored_schemas import StoreRequest, store_schema
from gateway.operations.undo_migration import UndoRequest, undo_migration
from gateway.services import Services, build_services
from gateway.settings import Settings
from tests.support.running_gateway import make_archive
from tests.support.waiting import wait_until

NOTES = {
    "tables/notes.sql": "CREATE TABLE notes (id int PRIMARY KEY, body text);",
    "seeders/notes.sql": "INSERT INTO notes (id, body) VALUES (1, 'kept');",
}
WITHOUT_BODY = {
    "tables/notes.sql": "CREATE TABLE notes (id int PRIMARY KEY);",
    "migrations/1.sql": "ALTER TABLE notes DROP body;",
}
MOST = 11  #: more than the statements about databases in one request
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'stonescriptdb-gateway')"


class CrashingServer:
    """The server of the test, which is lost at one of the statements about databases."""

    def __init__(self, own_server, monkeypatch) -> None:
        self.own = own_server
        self.crashes = False
        self.seen = 0
        self.lost_at = -1
        execute = psycopg.Cursor.execute

        def counting(cursor, query, *arguments, **options):
            text = query.as_string(cursor) if isinstance(query, psycopg.sql.Composable) else ""
            if text.startswith(("CREATE DATABASE", "ALTER DATABASE", "DROP DATABASE", "COMMENT ON DATABASE")):
                self.seen += 1
                if self.seen == self.lost_at + 1:
                    self.lose()
            return execute(cursor, query, *arguments, **options)

        monkeypatch.setattr(psycopg.Cursor, "execute", counting)

    def is_lost_at(self, number: int, act: Callable[[], object]) -> bool:
        """Do *act*, lose the server before one of its statements, and repeat *act* if that made it fail.

        Return False if *act* has no such statement.
        """
        self.seen, self.lost_at = 0, number
        try:
            act()
        except GatewayError as exc:
            assert status_of(exc) == 503, exc.text
            wait_until(lambda: succeeds(act), pause_seconds=0.1)
        was_lost, self.lost_at = self.lost_at < 0, -1
        return was_lost

    def lose(self) -> None:
        """End the gateway's sessions; with ``crashes`` as PostgreSQL does it, which then recovers."""
        self.lost_at = -1
        with self.own.observe() as connection:
            pids = {pid for (pid,) in connection.execute(SESSIONS)}
            if self.crashes:
                os.kill(min(pids), signal.SIGKILL)
            else:
                connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [list(pids)])
        wait_until(lambda: self.has_ended(pids))

    def has_ended(self, pids: set[int]) -> bool:
        with suppress(psycopg.OperationalError), self.own.observe() as connection:
            return pids.isdisjoint(pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity"))
        return False


def succeeds(act: Callable[[], object]) -> bool:
    """Repeat a request as a client does, until PostgreSQL answers and no other answer than 503 is left."""
    try:
        act()
    except (DatabaseAlreadyExists, CopyNotFound):  # the first one has been done, but for its answer
        return True
    except GatewayError as exc:
        if status_of(exc) != 503:
            raise
        return False
    return True


@pytest.fixture
def server(own_server, monkeypatch) -> CrashingServer:
    return CrashingServer(own_server, monkeypatch)


@pytest.fixture
def services(own_server, tmp_path) -> Iterator[Services]:
    settings = dataclasses.replace(Settings.from_environment({}, None), conninfo=own_server.url, data_dir=tmp_path)
    services = build_services(settings)
    services.open()
    yield services
    services.close()


@pytest.fixture
def platform(services, own_server) -> Iterator[str]:
    """A platform with the schema ``s``, of which there is a template."""
    services.platforms.register("crashed")
    store(services, NOTES)
    create(services, "first")
    yield "crashed"
    with psycopg.connect(own_server.superuser_url, autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'crashed%'").fetchall():
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def store(services: Services, files) -> None:
    archive = io.BytesIO(make_archive(files))
    request = StoreRequest(platform="crashed", schema_name="s", archive=archive, sent_by=None, request_id="r")
    store_schema(services, request)


def create(services: Services, name: str) -> None:
    create_database(services, schema_database("crashed", "s", name), "r")


def migrate(services: Services, name: str) -> None:
    wanted = StoredSchemaRequest(platform="crashed", schema_name="s", only=(name,), undo=True, request_id="r")
    result = migrate_stored(services, prepare_stored(services, wanted), RolloutRules())
    if result.failure is not None:
        raise result.failure


def undo(services: Services, name: str) -> None:
    # The counters of PostgreSQL start again after a crash, so rows may have been written.
    try:
        [done] = undo_migration(services, UndoRequest(platform="crashed", schema_name="s", only=(name,), force=True))
    except DatabaseNotFound as exc:
        raise CopyNotFound from exc
    if done.error is not None:
        raise done.error


class CopyNotFound(Exception):
    """There is no copy to put back."""


def rows_of(own_server, name: str):
    with own_server.observe(f"crashed_s_{name}") as connection:
        return connection.execute("SELECT * FROM notes").fetchall()


def remains(own_server) -> list[str]:
    """The databases of the gateway besides templates and copies that can be put back or expire."""
    query = """SELECT datname FROM pg_database WHERE datname ~ '^_stonescriptdb_gateway_(new|undo)_'
                  AND coalesce(shobj_description(oid, 'pg_database'), '') !~ 'stonescriptdb_gateway_undo'"""
    with own_server.observe() as connection:
        return [name for (name,) in connection.execute(query)]


def test_a_creation_is_repeated(server, services, platform, own_server) -> None:
    server.crashes = True
    for number in range(MOST):
        if not server.is_lost_at(number, lambda name=f"d{number}": create(services, name)):
            break
        assert rows_of(own_server, f"d{number}") == [(1, "kept")]
        assert remains(own_server) == []
    assert number == 3  # created, renamed, stamped


def test_a_migration_that_keeps_a_copy_is_repeated(server, services, platform, own_server) -> None:
    for number in range(MOST):
        create(services, f"d{number}")
    store(services, WITHOUT_BODY)
    for number in range(MOST):
        if not server.is_lost_at(number, lambda name=f"d{number}": migrate(services, name)):
            break
        assert rows_of(own_server, f"d{number}") == [(1,)]
    assert 4 <= number < MOST - 1, number  # copied, renamed, commented on before the migration and after it
    reconcile(services)
    assert remains(own_server) == []


def test_an_undo_is_repeated(server, services, platform, own_server) -> None:
    for number in range(MOST):
        create(services, f"d{number}")
    store(services, WITHOUT_BODY)
    for number in range(MOST):
        migrate(services, f"d{number}")
        if not server.is_lost_at(number, lambda name=f"d{number}": undo(services, name)):
            break
        assert rows_of(own_server, f"d{number}") == [(1, "kept")]
    assert 8 <= number < MOST - 1, number  # renamed, opened, stamped, given its properties, dropped
    reconcile(services)
    assert remains(own_server) == []

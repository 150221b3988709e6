"""Creating, adopting and dropping databases: complete and stamped, or not at all, also with concurrent requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.databases import DatabaseDirectory, DatabaseLifecycle, TemplateUse, catalog
from gateway.databases.name_locks import try_lock
from gateway.errors import (
    ConnectionFailed,
    DatabaseAlreadyExists,
    DatabaseNameConflict,
    DatabaseNotFound,
    GatewayError,
    SchemaDeployError,
)
from gateway.naming import RESERVED_PREFIX, tenant_database
from tests.support.waiting import wait_until

TEMPORARY = f"{RESERVED_PREFIX}new_"


@pytest.fixture
def directory(connections) -> DatabaseDirectory:
    return DatabaseDirectory(connections, maintenance_database="postgres")


@pytest.fixture
def maker(connections) -> DatabaseLifecycle:
    return DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=30)


@pytest.fixture
def existing(admin, platform):
    """A database of the platform's main name, made by hand, with a table, a row and a comment."""
    name = f"{platform}_main"
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS 'the old shop'").format(sql.Identifier(name)))
    return name


def nothing(connection: psycopg.Connection) -> None:
    """What prepares a database that needs nothing."""


def names_in(connection: psycopg.Connection) -> str:
    return connection.execute("SELECT current_database()").fetchone()[0]


def test_a_database_is_prepared_under_a_temporary_name_and_then_published(maker, directory, platform) -> None:
    owner = tenant_database(platform, "b")

    def prepare(connection: psycopg.Connection) -> str:
        with pytest.raises(DatabaseNotFound):
            directory.find(owner)
        connection.execute("CREATE TABLE kept (id int)")
        connection.commit()
        return names_in(connection)

    database, prepared_in = maker.create(owner, prepare)
    assert prepared_in.startswith(TEMPORARY)
    assert database == directory.find(owner)
    assert database.created_at is not None
    assert database.adopted_at is None


def test_only_the_publication_of_a_database_waits_for_the_disk(maker, connections, platform) -> None:
    query = "SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'"
    _, while_prepared = maker.create(tenant_database(platform), lambda connection: connection.execute(query).fetchone())
    assert while_prepared == ("off", "session")
    with connections.dedicated(f"{platform}_main") as connection, connections.dedicated("postgres") as publishing:
        assert [one.execute(query).fetchone()[1] for one in (connection, publishing)].count("session") == 0


def test_a_database_is_in_utf8(maker, connections, platform) -> None:
    maker.create(tenant_database(platform), nothing)
    with connections.lease(f"{platform}_main") as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_a_failing_preparation_leaves_nothing(maker, platform, databases_named) -> None:
    def fail(connection: psycopg.Connection) -> None:
        connection.execute("CREATE TABLE lost (id int)")
        connection.commit()
        raise ValueError("not this time")

    with pytest.raises(ValueError, match="not this time"):
        maker.create(tenant_database(platform), fail)
    assert databases_named(platform) == []
    assert databases_named(TEMPORARY) == []


def test_a_connection_that_is_lost_beside_a_template_is_reported_as_such(
    connections, platform, databases_named
) -> None:
    maker = DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=30, most_templates=1)

    def cut(connection: psycopg.Connection, _: object) -> Mapping[str, str]:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return {}

    use = TemplateUse(content=platform, family=None, note=lambda *_: {}, claim=cut)
    with pytest.raises(ConnectionFailed):
        maker.create(tenant_database(platform, "a"), nothing, template=replace(use, note=cut))
    maker.create(tenant_database(platform, "b"), nothing, template=use)
    with pytest.raises(ConnectionFailed):
        maker.create(tenant_database(platform, "c"), nothing, template=use)
    assert databases_named(platform) == [f"{platform}_b"]
    assert databases_named(TEMPORARY) == []


def test_an_unpublished_database_returns_its_result_and_is_dropped(maker, platform, databases_named) -> None:
    published, name = maker.create(tenant_database(platform), names_in, publish=False)
    assert published is None
    assert name.startswith(TEMPORARY)
    assert databases_named(platform) == databases_named(TEMPORARY) == []


def test_what_exists_is_not_made_again(maker, admin, platform) -> None:
    maker.create(tenant_database(platform, "clinic-001"), nothing)
    with pytest.raises(DatabaseAlreadyExists):
        maker.create(tenant_database(platform, "clinic-001"), nothing)
    with pytest.raises(DatabaseNameConflict):
        maker.create(tenant_database(platform, "clinic_001"), nothing)


def test_of_eight_concurrent_creators_one_succeeds_and_the_others_find_it(connections, platform) -> None:
    barrier = threading.Barrier(8)
    workers = [DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=60) for _ in range(4)]

    def create(number: int) -> str:
        barrier.wait()
        try:
            workers[number % 4].create(tenant_database(platform), nothing)
        except DatabaseAlreadyExists:
            return "there already"
        return "made"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(create, range(8)))
    assert outcomes == ["made"] + ["there already"] * 7


@pytest.mark.parametrize("same_process", [True, False])
def test_waiting_for_another_maker_has_a_limit(connections, platform, same_process) -> None:
    owner = tenant_database(platform)
    maker = DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=0.2)
    other = maker if same_process else DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=0.2)

    def meanwhile(connection: psycopg.Connection) -> BaseException | None:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(other.create, owner, nothing).exception()

    _, refused = maker.create(owner, meanwhile)
    assert isinstance(refused, SchemaDeployError)
    assert refused.engine_code == "migration_failed"


def test_a_database_made_behind_the_lock_is_seen_when_publishing(maker, admin, platform, databases_named) -> None:
    owner = tenant_database(platform)

    def overtaken(connection: psycopg.Connection) -> None:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(owner.database_name)))

    with pytest.raises(DatabaseNameConflict):
        maker.create(owner, overtaken)
    assert databases_named(TEMPORARY) == []


def test_leftovers_of_dead_makers_are_removed_and_those_of_living_ones_are_not(
    maker, admin, postgres_url, platform, databases_named
) -> None:
    (oid,) = admin.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    dead, living, elsewhere = f"{TEMPORARY}{oid}_dead", f"{TEMPORARY}{oid}_living", f"{TEMPORARY}1_elsewhere"
    for name in (dead, living, elsewhere):
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        with psycopg.connect(postgres_url, autocommit=True) as session:
            assert try_lock(session, living)
            maker.create(tenant_database(platform), nothing)
            assert databases_named(TEMPORARY) == sorted([living, elsewhere])
        maker.create(tenant_database(platform, "second"), nothing)
        assert databases_named(TEMPORARY) == [elsewhere]
    finally:
        for name in (dead, living, elsewhere):
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def test_a_refusal_of_the_server_has_its_message_as_cause(connections, superuser, platform, postgres_url) -> None:
    superuser.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(platform)))
    try:
        powerless = type(connections)(psycopg.conninfo.make_conninfo(postgres_url, user=platform, password="x"))
        maker = DatabaseLifecycle(powerless, maintenance_database="postgres", wait_seconds=5)
        with pytest.raises(GatewayError) as raised:
            maker.create(tenant_database(platform), nothing)
        assert raised.value.code == "internal_error"
        assert raised.value.facts["cause"] == "permission denied to create database"
    finally:
        superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(platform)))


def test_adoption_stamps_after_success_and_keeps_the_comment(maker, directory, existing, platform, admin) -> None:
    owner = tenant_database(platform)

    def fail(connection: psycopg.Connection) -> None:
        raise ValueError("not this time")

    with pytest.raises(ValueError, match="not this time"):
        maker.adopt(owner, fail)
    maker.adopt(owner, nothing, publish=False)
    assert existing in directory.unstamped()

    assert maker.adopt(owner, names_in) == existing
    found = directory.find(owner)
    assert found.created_at is None
    assert found.adopted_at is not None
    query = "SELECT shobj_description(oid, 'pg_database')::json ->> 'comment' FROM pg_database WHERE datname = %s"
    assert admin.execute(query, [existing]).fetchone() == ("the old shop",)
    with pytest.raises(DatabaseAlreadyExists):
        maker.adopt(owner, nothing)


def test_a_database_that_was_changed_after_it_was_looked_up_is_not_released(maker, directory, platform) -> None:
    owner = tenant_database(platform)
    maker.create(owner, nothing)
    found = directory.find(owner)
    for changed in (replace(found, stamp="another"), replace(found, oid=found.oid + 1)):
        with pytest.raises(DatabaseNotFound, match="was changed meanwhile"):
            maker.release(changed)
    maker.release(directory.find(owner))
    assert directory.unstamped().count(found.name) == 1


def test_what_is_stamped_for_another_cannot_be_adopted(maker, platform) -> None:
    maker.create(tenant_database(platform, "clinic-001"), nothing)
    with pytest.raises(DatabaseNameConflict):
        maker.adopt(tenant_database(platform, "clinic_001"), nothing)
    with pytest.raises(DatabaseNotFound):
        maker.adopt(tenant_database(platform), nothing)


def test_the_maintenance_database_cannot_be_adopted(connections, existing, platform, directory) -> None:
    maker = DatabaseLifecycle(connections, maintenance_database=existing, wait_seconds=5)
    with pytest.raises(DatabaseNameConflict):
        maker.adopt(tenant_database(platform), nothing)


def test_drop_terminates_sessions_and_only_the_owner_may_drop(maker, connections, platform, databases_named) -> None:
    owner = tenant_database(platform, "clinic-001")
    maker.create(owner, nothing)
    with pytest.raises(DatabaseNameConflict):
        maker.drop(tenant_database(platform, "clinic_001"))
    with connections.lease(owner.database_name) as connection:
        maker.drop(owner)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert connections.forgotten == [owner.database_name]
    assert databases_named(platform) == []
    with pytest.raises(DatabaseNotFound):
        maker.drop(owner)


def test_a_session_in_template1_blocks_nothing(maker, postgres_url, platform) -> None:
    owner = tenant_database(platform, "b")

    with psycopg.connect(postgres_url, dbname="template1"):
        made, _ = maker.create(owner, nothing)

    assert made is not None
    assert made.name == owner.database_name


def test_a_configured_template_is_copied_and_one_in_use_is_named(connections, admin, postgres_url, platform) -> None:
    template = f"{platform}_template"
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(template)))
    maker = DatabaseLifecycle(
        connections, maintenance_database="postgres", wait_seconds=30, new_database_template=template
    )
    owner = tenant_database(platform, "b")

    with psycopg.connect(postgres_url, dbname=template) as session:
        session.execute("CREATE TABLE given (id int)")
        session.commit()
        with pytest.raises(ConnectionFailed, match=f"template database {template} while a session is connected"):
            maker.create(owner, nothing)
    _, found = maker.create(owner, lambda c: c.execute("SELECT to_regclass('given')::text").fetchone())

    assert found == ("given",)


@pytest.fixture
def eager_autovacuum(superuser):
    """Let autovacuum visit databases each second, and return a function that waits until it works on table t."""

    def be_there(database: str) -> None:
        query = "SELECT FROM pg_stat_activity WHERE datname = %s AND query ~ '^autovacuum: VACUUM .*public.t'"
        wait_until(lambda: superuser.execute(query, [database]).fetchone() is not None)

    superuser.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    superuser.execute("SELECT pg_reload_conf()")
    yield be_there
    superuser.execute("ALTER SYSTEM RESET autovacuum_naptime")
    superuser.execute("SELECT pg_reload_conf()")


def test_a_database_is_dropped_although_autovacuum_is_in_it(admin, existing, postgres_url, eager_autovacuum) -> None:
    """And although there is a session of the gateway's role, which a drop without force does not end."""
    session = psycopg.connect(make_conninfo(postgres_url, dbname=existing), autocommit=True)
    slowly = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 0"
    session.execute(f"CREATE TABLE t WITH ({slowly}) AS SELECT repeat('x', 500) AS a FROM generate_series(1, 20000)")
    session.execute("DELETE FROM t")
    eager_autovacuum(existing)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(existing)))
    catalog.drop_database(admin, existing)
    assert admin.execute("SELECT FROM pg_database WHERE datname = %s", [existing]).fetchone() is None
    session.close()


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("SET TRANSACTION READ ONLY; CREATE TABLE t ()", "25006"),  # as on a standby
        ("DO $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$", "53100"),
        ("DO $$ BEGIN RAISE EXCEPTION 'too many clients' USING ERRCODE = '53300'; END $$", "53300"),
    ],
)
def test_what_the_server_cannot_do_now_is_to_be_tried_again(connection, statement, sqlstate) -> None:
    with (
        pytest.raises(ConnectionFailed, match="cannot make a database now") as failure,
        catalog.refusals("make a database", database="x"),
    ):
        connection.execute(statement)
    assert (failure.value.facts["sqlstate"], failure.value.facts["database"]) == (sqlstate, "x")
    assert failure.value.facts["cause"]


def test_a_database_in_use_is_reported(connection) -> None:
    """PostgreSQL reports a table in use at once; for a database it waits five seconds first."""
    connection.execute("CREATE TABLE t ()")
    connection.execute("DECLARE c CURSOR FOR SELECT * FROM t")
    message = "cannot drop a database while others are connected to it; end their sessions and try again"
    with pytest.raises(ConnectionFailed, match=message) as refused, catalog.refusals("drop a database", database="d"):
        connection.execute("DROP TABLE t")
    assert refused.value.facts["sqlstate"] == "55006"

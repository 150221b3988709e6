"""Finding databases by their stamp, on a real server."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from gateway.databases import DatabaseDirectory, DatabaseLifecycle
from gateway.databases.stamps import Stamp
from gateway.errors import DatabaseNameConflict, DatabaseNotFound, DatabaseNotRecorded, PoolExhausted
from gateway.naming import DatabaseOwner, schema_database, tenant_database
from tests.gateway.conftest import PlainConnections


@pytest.fixture
def directory(connections) -> DatabaseDirectory:
    return DatabaseDirectory(connections, maintenance_database="postgres")


@pytest.fixture
def make(connections):
    maker = DatabaseLifecycle(connections, maintenance_database="postgres", wait_seconds=30)

    def make(owner: DatabaseOwner) -> DatabaseOwner:
        maker.create(owner, lambda connection: None)
        return owner

    return make


def comment_on(admin: psycopg.Connection, name: str, comment: str | None) -> None:
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(comment)))


def test_a_stamped_database_is_found_by_its_owner_alone(directory, make, platform) -> None:
    owner = make(tenant_database(platform, "clinic-001"))
    assert directory.find(owner).owner == owner
    for folded_alike in (tenant_database(platform, "clinic_001"), tenant_database(f"{platform}_clinic", "001")):
        assert folded_alike.database_name == owner.database_name
        for find in (directory.find, directory.find_for_call):
            with pytest.raises(DatabaseNameConflict) as raised:
                find(folded_alike)
            assert "clinic-001" not in str(raised.value) + str(raised.value.facts)


def test_a_missing_database_is_not_found_and_found_as_soon_as_it_is_there(directory, make, platform) -> None:
    owner = tenant_database(platform)
    with pytest.raises(DatabaseNotFound) as raised:
        directory.find_for_call(owner)
    assert raised.value.facts == {"database": f"{platform}_main", "platform": platform}
    make(owner)
    assert directory.find_for_call(owner).name == f"{platform}_main"


def test_an_unstamped_database_is_a_conflict_like_any_other(directory, admin, platform) -> None:
    owner = tenant_database(platform)
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(owner.database_name)))
    with pytest.raises(DatabaseNotRecorded) as unrecorded:
        directory.find_for_call(owner)
    comment_on(admin, owner.database_name, Stamp(owner=tenant_database(platform, "other")).to_text())
    with pytest.raises(DatabaseNameConflict) as foreign:
        directory.find_for_call(owner)
    assert unrecorded.value.code == foreign.value.code == "database_name_conflict"
    assert unrecorded.value.message == foreign.value.message
    assert unrecorded.value.facts == foreign.value.facts


def test_a_call_reaches_a_v2_database_by_both_of_its_names(directory, make, platform) -> None:
    owner = make(schema_database(platform, "tenant_db", "7"))
    as_tenant = tenant_database(platform, "tenant_db_7")
    assert directory.find_for_call(owner) == directory.find_for_call(as_tenant) == directory.find(owner)
    with pytest.raises(DatabaseNameConflict):
        directory.find(as_tenant)


def test_a_platform_has_the_databases_with_its_stamp_not_those_with_its_prefix(directory, make, platform) -> None:
    mine = [tenant_database(platform), tenant_database(platform, "app_main"), schema_database(platform, "s", "1")]
    others = [tenant_database(f"{platform}_app", "x"), tenant_database(f"{platform}2")]
    for owner in (*mine, *others):
        make(owner)
    found = directory.of_platform(platform)
    assert {database.owner for database in found} == set(mine)
    assert [database.name for database in found] == sorted(database.name for database in found)
    assert all(database.size_bytes is None and database.created_at is not None for database in found)
    assert all(database.size_bytes > 1_000_000 for database in directory.of_platform(platform, sizes=True))
    assert {database.owner for database in directory.all()} >= {*mine, *others}
    assert directory.of_platform(f"{platform}nothing") == ()


def test_a_comment_that_resembles_a_stamp_does_not_fail_a_listing(directory, admin, make, platform) -> None:
    owner = make(tenant_database(platform))
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"{platform}_damaged")))
    comment_on(admin, f"{platform}_damaged", Stamp(owner=tenant_database(platform, "damaged")).to_text()[:-4])
    assert [database.owner for database in directory.of_platform(platform)] == [owner]


def test_databases_without_a_stamp_can_be_adopted(directory, admin, make, platform) -> None:
    make(tenant_database(platform))
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"{platform}_old")))
    names = directory.unstamped()
    assert f"{platform}_old" in names
    assert not {f"{platform}_main", "postgres", "template1", "template0"} & set(names)


def test_a_caller_with_a_connection_does_not_wait_for_another_to_look_up_its_database(
    connections, make, platform
) -> None:
    class Exhausted(PlainConnections):
        def lease(self, database: str, *, wait_timeout_seconds: float | None = None):
            if wait_timeout_seconds == 0:
                raise PoolExhausted("none is free")
            return super().lease(database)

    directory = DatabaseDirectory(Exhausted(connections.conninfo), maintenance_database="postgres")
    database = directory.find(make(tenant_database(platform)))
    with connections.lease(database.name) as connection:
        assert directory.is_open_on(connection, database)


def test_a_database_recreated_by_another_client_is_not_taken_for_the_cached_one(
    directory, admin, connections, make, platform
) -> None:
    first = make(tenant_database(platform, "clinic-001"))
    remembered = directory.find_for_call(first)
    with connections.lease(remembered.name) as connection:
        assert directory.is_open_on(connection, remembered)

    admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(remembered.name)))
    second = make(tenant_database(platform, "clinic_001"))
    assert second.database_name == remembered.name
    with connections.lease(remembered.name) as connection:
        assert directory.find_for_call(first) == remembered
        assert not directory.is_open_on(connection, remembered)
    directory.forget(first)
    with pytest.raises(DatabaseNameConflict):
        directory.find_for_call(first)

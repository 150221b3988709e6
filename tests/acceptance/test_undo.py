"""Migrations that keep copies, and databases put back to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.schemas import SHOP
from tests.support.running_gateway import Gateway, make_archive
from tests.support.structure import structure_of
from tests.support.waiting import wait_until

COPIES = "_stonescriptdb_gateway_undo_"
NOTES = {**SHOP, "tables/notes.sql": "CREATE TABLE notes (id int, body text);"}
WITHOUT_BODY = {
    **SHOP,
    "tables/notes.sql": NOTES["tables/notes.sql"],
    "migrations/1.sql": "ALTER TABLE notes DROP body;",
}


@pytest.fixture
def fleet(gateway: Gateway, platform: str, connect) -> str:
    """A platform with two databases that have a note each, migrated to lose its text, with copies kept."""
    gateway.post_json("/platform/register", {"platform": platform})
    store(gateway, platform, NOTES)
    for name in ("a", "b"):
        body = {"platform": platform, "schema_name": "shop", "database_id": name}
        assert gateway.post_json("/database/create", body).status == 201
        with connect(name) as connection:
            connection.execute("INSERT INTO notes VALUES (1, 'kept')")
    store(gateway, platform, WITHOUT_BODY)
    migrated = migrate(gateway, platform, undo="keep")
    assert migrated.status == 200, migrated.json
    return platform


@pytest.fixture
def connect(postgres_url, platform):
    """Connect to a database by its id."""

    def connect(database_id: str) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(postgres_url, dbname=f"{platform}_shop_{database_id}"), autocommit=True)

    return connect


def store(gateway: Gateway, platform: str, files) -> None:
    gateway.post_form(f"/platform/{platform}/schema", {"schema_name": "shop", "schema": make_archive(files)})


def migrate(gateway: Gateway, platform: str, **more):
    return gateway.post_json("/v2/migrate", {"platform": platform, "schema_name": "shop", **more})


def undo(gateway: Gateway, platform: str, **more):
    return gateway.post_json("/v2/undo", {"platform": platform, "schema_name": "shop", **more})


def copies(admin: psycopg.Connection, platform: str) -> int:
    query = """SELECT count(*) FROM pg_database WHERE starts_with(datname, %s) AND NOT datallowconn
                AND strpos(coalesce(shobj_description(oid, 'pg_database'), ''), %s) > 0"""
    return admin.execute(query, [COPIES, platform]).fetchone()[0]


def test_an_undone_migration_restores_lost_data(gateway, fleet, admin, connect, postgres_url) -> None:
    assert copies(admin, fleet) == 2
    assert gateway.get(f"/admin/databases?platform={fleet}").json["count"] == 2
    assert gateway.call(fleet, "count_users", tenant_id="shop_a").status == 200
    undone = undo(gateway, fleet)
    assert undone.status == 200, undone.json
    assert all(one["kept_at"].endswith("Z") for one in undone.json["databases"])
    assert [(one["database"], one["status"]) for one in undone.json["databases"]] == [
        (f"{fleet}_shop_{name}", "restored") for name in "ab"
    ]
    for name in "ab":
        with connect(name) as connection:
            assert connection.execute("SELECT * FROM notes").fetchall() == [(1, "kept")]
        assert gateway.call(fleet, "count_users", tenant_id=f"shop_{name}").json["rows"] == [{"count_users": 2}]
    assert copies(admin, fleet) == 0
    listed = gateway.get(f"/platform/{fleet}/databases").json["databases"]
    assert [one["id"] for one in listed] == ["a", "b"]
    states = gateway.get(f"/platform/{fleet}/status").json["schemas"][0]["databases"]
    assert [one["state"] for one in states] == ["behind", "behind"]
    assert undo(gateway, fleet).status == 404
    again = migrate(gateway, fleet)
    assert again.json["migrations_applied"] == 2
    structures = [structure_of(make_conninfo(postgres_url, dbname=f"{fleet}_shop_{name}")) for name in "ab"]
    assert structures[0] == structures[1]


def test_rows_written_since_are_not_lost_by_mistake(gateway, fleet, connect) -> None:
    gateway.call(fleet, "add_user", ["Edith"], tenant_id="shop_a")
    refused = undo(gateway, fleet)
    assert (refused.status, refused.json["error"]) == (409, "migration_failed")
    assert [one["status"] for one in refused.json["databases"]] == ["failed", "restored"]
    assert "have been written since" in refused.json["databases"][0]["message"]
    assert gateway.call(fleet, "count_users", tenant_id="shop_a").json["rows"] == [{"count_users": 3}]
    assert undo(gateway, fleet, database_id="a", force=True).status == 200
    assert gateway.call(fleet, "count_users", tenant_id="shop_a").json["rows"] == [{"count_users": 2}]


def test_sequences_and_large_objects_written_since_are_not_lost_by_mistake(gateway, fleet, connect) -> None:
    assert migrate(gateway, fleet).status == 200  # which changes nothing, and so is no reason to refuse
    with connect("a") as connection, connect("b") as other:
        connection.execute("SELECT nextval('users_id_seq')")
        other.execute("SELECT lo_create(0)")
    refused = undo(gateway, fleet)
    assert (refused.status, [one["status"] for one in refused.json["databases"]]) == (409, ["failed", "failed"])
    assert undo(gateway, fleet, force=True).status == 200


def test_what_has_no_copy_is_named(gateway, fleet) -> None:
    missing = undo(gateway, fleet, only=["a", "x", "y"])
    assert (missing.status, missing.json["error"]) == (404, "database_not_found")
    assert "of the databases 'x', 'y'" in missing.json["message"]
    assert undo(gateway, fleet, schema_name="nosuch").json["error"] == "schema_not_found"
    assert undo(gateway, "nosuch").json["error"] == "platform_not_found"


def test_a_later_deploy_is_not_undone_by_mistake(gateway, fleet) -> None:
    store(gateway, fleet, {**WITHOUT_BODY, "migrations/2.sql": "ALTER TABLE notes ADD COLUMN later int;"})
    assert migrate(gateway, fleet, only=["a"]).status == 200
    refused = undo(gateway, fleet)
    assert (refused.status, [one["status"] for one in refused.json["databases"]]) == (409, ["failed", "restored"])
    assert "deployed to again" in refused.json["databases"][0]["message"]


PROPERTIES = """
    SELECT ARRAY(SELECT acl::text FROM unnest(datacl) AS acl ORDER BY 1), datconnlimit, pg_get_userbyid(datdba),
           ARRAY(SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0)
      FROM pg_database AS d WHERE datname = %s"""


def test_an_undone_database_has_its_settings_and_privileges(gateway, fleet, admin, superuser) -> None:
    name = f"{fleet}_shop_a"
    for statement in (
        f'ALTER DATABASE {name} SET search_path = "$user", public, "Odd, one"',
        f"ALTER DATABASE {name} SET work_mem = '7MB'",
        f"ALTER DATABASE {name} SET application_name = 'it''s'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 50",
        f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO pg_monitor WITH GRANT OPTION",
    ):
        admin.execute(statement)
    before = admin.execute(PROPERTIES, [name]).fetchone()
    superuser.execute(f"ALTER DATABASE {name} SET log_statement = 'ddl'")
    undone = undo(gateway, fleet)
    assert (undone.status, undone.json["databases"][1]["message"]) == (200, None)
    assert "without the setting log_statement (permission denied" in undone.json["databases"][0]["message"]
    assert admin.execute(PROPERTIES, [name]).fetchone() == before
    assert gateway.call(fleet, "count_users", tenant_id="shop_a").status == 200


def test_an_unchanged_or_failed_migration_leaves_no_copy(gateway, fleet, admin) -> None:
    migrate(gateway, fleet, undo="keep")
    assert copies(admin, fleet) == 2
    store(gateway, fleet, {**WITHOUT_BODY, "migrations/2.sql": "SELECT 1/0;"})
    assert migrate(gateway, fleet, undo="keep").status == 409
    assert copies(admin, fleet) == 2
    store(gateway, fleet, {**WITHOUT_BODY, "migrations/2.sql": "UPDATE notes SET id = 2;"})
    assert migrate(gateway, fleet, undo="keep", dry_run=True).status == 200
    assert migrate(gateway, fleet, undo="keep", only=["a"]).status == 200
    assert copies(admin, fleet) == 2  # the newer one of a has replaced the older
    assert migrate(gateway, fleet, undo="drop").status == 400


def test_copies_are_limited_by_space(start_gateway, platform, admin) -> None:
    small = start_gateway(UNDO_COPIES_MAX_BYTES="1000", WORKERS="1")
    small.post_json("/platform/register", {"platform": platform})
    store(small, platform, SHOP)
    small.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": "a"})
    store(small, platform, NOTES | {"migrations/1.sql": "UPDATE users SET name = name;"})
    refused = migrate(small, platform, undo="keep")
    assert (refused.status, refused.json["error"]) == (409, "migration_failed")
    assert "UNDO_COPIES_MAX_BYTES" in refused.json["message"]
    assert copies(admin, platform) == 0
    assert migrate(small, platform).json["tables_created"] == 1


def test_copies_made_at_the_same_time_are_limited_together(start_gateway, platform, admin) -> None:
    query = "SELECT coalesce(sum(pg_database_size(oid)), 0) FROM pg_database WHERE starts_with(datname, %s)"
    ((taken,),) = admin.execute(query, [COPIES]).fetchall()  # by other tests
    small = start_gateway(UNDO_COPIES_MAX_BYTES=str(taken + 20_000_000), WORKERS="1")  # two databases and a half
    small.post_json("/platform/register", {"platform": platform})
    store(small, platform, SHOP)
    for name in "abcde":
        small.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": name})
    store(small, platform, NOTES | {"migrations/1.sql": "UPDATE users SET name = name;"})
    refused = migrate(small, platform, undo="keep", continue_on_error=True)
    assert (len(refused.json["databases_updated"]), len(refused.json["databases_failed"])) == (2, 3)
    assert copies(admin, platform) == 2


#: Waits, where a copy of the database is kept, until another session has written.
WAIT_FOR_A_NOTE = f"""DO $$ BEGIN
    FOR i IN 1..1000 LOOP
        EXIT WHEN EXISTS (SELECT FROM notes WHERE id = 2) OR NOT EXISTS (
            SELECT FROM pg_database AS d JOIN pg_database AS own ON starts_with(d.datname, '{COPIES}' || own.oid || '_')
             WHERE own.datname = current_database());
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$"""


def test_rows_written_while_the_migration_runs_are_not_lost_by_mistake(gateway, platform, admin, connect) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    store(gateway, platform, NOTES)
    gateway.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": "a"})
    store(gateway, platform, NOTES | {"migrations/1.sql": f"INSERT INTO notes VALUES (1, 'own'); {WAIT_FOR_A_NOTE}"})
    with ThreadPoolExecutor() as threads:
        migrated = threads.submit(migrate, gateway, platform, undo="keep")
        wait_until(lambda: copies(admin, platform) == 1)
        with connect("a") as connection:
            connection.execute("INSERT INTO notes VALUES (2, 'late')")
        assert migrated.result().status == 200
    refused = undo(gateway, platform)
    assert (refused.status, refused.json["databases"][0]["status"]) == (409, "failed")
    with connect("a") as connection:
        assert connection.execute("SELECT body FROM notes ORDER BY id").fetchall() == [("own",), ("late",)]
    assert undo(gateway, platform, force=True).status == 200


def test_a_migration_that_writes_drops_and_rewrites_tables_is_undone(gateway, platform, connect) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    before = NOTES | {"tables/logs.sql": "CREATE TABLE logs (id int);"}
    store(gateway, platform, before)
    gateway.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": "a"})
    with connect("a") as connection:
        connection.execute("INSERT INTO notes VALUES (1, 'kept'); INSERT INTO logs VALUES (1)")
    changes = {
        "tables/logs.sql": "CREATE TABLE logs (id bigint);",
        "migrations/1.sql": "UPDATE logs SET id = 2; UPDATE notes SET id = 2; DROP TABLE notes;",
        "migrations/2.sql": "CREATE TABLE other AS SELECT 1 AS id; ALTER TABLE logs ALTER id TYPE bigint;",
    }
    store(gateway, platform, {**SHOP, **changes})
    assert migrate(gateway, platform, undo="keep").status == 200
    assert undo(gateway, platform).status == 200
    with connect("a") as connection:
        assert connection.execute("SELECT body FROM notes").fetchall() == [("kept",)]


def test_only_what_loses_or_rewrites_is_copied(gateway, platform, admin) -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    store(gateway, platform, NOTES)
    gateway.post_json("/database/create", {"platform": platform, "schema_name": "shop", "database_id": "a"})
    files = dict(NOTES)
    for number, (statement, kept) in enumerate(
        [("ALTER TABLE notes ADD COLUMN more int", 0), ("ALTER TABLE notes ALTER more TYPE bigint", 1)]
    ):
        files[f"migrations/{number}.sql"] = statement
        store(gateway, platform, files)
        assert migrate(gateway, platform, undo="keep").status == 200
        assert copies(admin, platform) == kept

"""Each platform works as a role of its own, which can log in to its databases alone."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.databases import PlatformRoles
from migrations_engine.queries import load_queries
from tests.acceptance.platform_roles.walls import MINE, MY_DATABASE, ROLE, RUN, SCHEMA, VICTIM, VICTIMS, call, key
from tests.support.running_gateway import Gateway, make_archive

SECRETS_WITHOUT_TEXT = "CREATE TABLE secrets (id serial PRIMARY KEY);\n"
LOSE_TEXT = "ALTER TABLE secrets DROP COLUMN what;\n"


def test_each_platform_is_a_role_that_owns_its_databases_alone(walled: Gateway, superuser: psycopg.Connection) -> None:
    for platform, database in ((MINE, MY_DATABASE), (VICTIM, VICTIMS)):
        assert call(walled, platform, "whoami").json["rows"] == [{"whoami": ROLE(platform)}]
        owner, privileges = superuser.execute(
            "SELECT datdba::regrole::text, datacl::text[] FROM pg_database WHERE datname = %s", [database]
        ).fetchone()
        assert owner == ROLE(platform)
        assert [privilege.partition("=")[0] for privilege in privileges] == [ROLE(platform)]
        flags = superuser.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = %s",
            [owner],
        ).fetchone()
        assert flags == (False,) * 5


def test_a_role_cannot_log_in_to_another_s_database(
    walled: Gateway, superuser_url: str, superuser: psycopg.Connection, gateway_role: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(make_conninfo(superuser_url, user=ROLE(MINE), dbname=MY_DATABASE))
    roles = PlatformRoles(walled.data_dir / ".platform-roles", maintenance_database="postgres")
    assert (walled.data_dir / ".platform-roles").stat().st_mode & 0o077 == 0
    as_me = make_conninfo(superuser_url, user=ROLE(MINE), password=roles.password_of(ROLE(MINE)))
    with psycopg.connect(make_conninfo(as_me, dbname=MY_DATABASE)):
        pass
    for path, files in (
        ("/register", SCHEMA),
        ("/migrate", {**SCHEMA, "tables/more.sql": "CREATE TABLE more (i int);\n"}),
    ):
        form = {"platform": VICTIM, "tenant_id": "t1", "schema": make_archive(files)}  # read in a scratch database
        assert walled.post_form(path, form, key(VICTIM)).status == 200
    theirs = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = ANY (%s) ORDER BY 1"
    found = [name for (name,) in superuser.execute(theirs, [[ROLE(VICTIM), gateway_role]])]
    assert VICTIMS in found
    assert any(name.startswith("_stonescriptdb_gateway_scratch") for name in found)
    for database in found:
        with pytest.raises(psycopg.OperationalError, match=r"permission denied|not currently accepting"):
            psycopg.connect(make_conninfo(as_me, dbname=database))


def test_everything_else_works_as_without_platform_roles(walled: Gateway, superuser: psycopg.Connection) -> None:
    body = {"platform": MINE, "tenant_id": "copy", "template": MY_DATABASE}
    assert walled.post_json("/admin/create-tenant-db", body, key(MINE)).status == 201
    assert call(walled, MINE, "count_secrets", tenant_id="copy").json["rows"] == [{"count_secrets": 1}]
    again = walled.post_form("/migrate", {"platform": MINE, "schema": make_archive(SCHEMA)}, key(MINE))
    assert again.status == 200, again.json
    assert again.json["verification"]["passed"]
    asked = {"platform": MINE, "query": "INSERT INTO secrets (what) SELECT session_user RETURNING what"}
    assert walled.post_json("/query", asked, key(MINE)).json["rows"] == [{"what": ROLE(MINE)}]
    assert walled.post_json("/platform/register", {"platform": MINE}, key(MINE)).status == 201
    form = {"schema_name": "store", "schema": make_archive(SCHEMA)}
    assert walled.post_form(f"/platform/{MINE}/schema", form, key(MINE)).status == 201
    for number in range(2):  # the second is a copy of what the first has left as a template
        made = {"platform": MINE, "schema_name": "store", "database_id": f"s{number}"}
        answer = walled.post_json("/database/create", made, key(MINE))
        assert answer.status == 201, answer.json
        address = {"schema_name": "store", "database_id": f"s{number}"}
        assert call(walled, MINE, "whoami", **address).json["rows"] == [{"whoami": ROLE(MINE)}]
        assert call(walled, MINE, "run", "INSERT INTO secrets (what) VALUES ('x')", **address).status == 200
    migration = "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY i ON secrets (what);\n"
    concurrently = {**SCHEMA, "migrations/1.sql": migration}
    form = {"platform": MINE, "tenant_id": "main", "schema": make_archive(concurrently)}
    answer = walled.post_form("/migrate", form, key(MINE))
    assert answer.status == 200, answer.json
    left = superuser.execute(  # without autovacuum, whose workers have no role
        "SELECT usename FROM pg_stat_activity WHERE datname LIKE %s AND backend_type = 'client backend'",
        [f"mine\\_{RUN}%"],
    ).fetchall()
    assert {name for (name,) in left} <= {ROLE(MINE)}


def test_an_undone_migration_gives_the_database_back_to_its_platform(walled: Gateway, superuser, url: str) -> None:
    """The copy is kept, and put back, behind the same wall as the database."""
    here = {"platform": MINE, "schema_name": "kept"}

    def post(path: str, **more: str):
        answer = walled.post_json(path, {**here, **more}, key(MINE))
        assert answer.status in (200, 201), answer.json
        return answer.json

    def store(files: dict[str, str]) -> None:
        form = {"schema_name": "kept", "schema": make_archive({**SCHEMA, **files})}
        assert walled.post_form(f"/platform/{MINE}/schema", form, key(MINE)).status == 201

    walled.post_json("/platform/register", {"platform": MINE}, key(MINE))
    store({})
    post("/database/create", database_id="u")
    store({"tables/secrets.sql": SECRETS_WITHOUT_TEXT, "seeders/secrets.sql": "", "migrations/1.sql": LOSE_TEXT})
    post("/v2/migrate", undo="keep")
    copies_of_mine = (
        "SELECT datname FROM pg_database WHERE starts_with(datname, '_stonescriptdb_gateway_undo_')"
        " AND NOT datallowconn AND strpos(shobj_description(oid, 'pg_database'), %s) > 0"
    )
    copies = [name for (name,) in superuser.execute(copies_of_mine, [MINE]).fetchall()]
    assert len(copies) == 1
    roles = PlatformRoles(walled.data_dir / ".platform-roles", maintenance_database="postgres")
    for role in (MINE, VICTIM):
        login = {"user": ROLE(role), "password": roles.password_of(ROLE(role)), "dbname": copies[0]}
        with pytest.raises(psycopg.OperationalError, match=r"not currently accepting|permission denied"):
            psycopg.connect(make_conninfo(url, **login))
    post("/v2/undo")
    address = {"schema_name": "kept", "database_id": "u"}
    assert call(walled, MINE, "whoami", **address).json["rows"] == [{"whoami": ROLE(MINE)}]
    text = call(walled, MINE, "run", "UPDATE secrets SET what = 'mine again'", **address)
    assert text.status == 200, text.json
    (privileges,) = superuser.execute(
        "SELECT datacl::text[] FROM pg_database WHERE datname = %s", [f"mine_{RUN}_kept_u"]
    ).fetchone()
    assert [privilege.partition("=")[0] for privilege in privileges] == [ROLE(MINE)]


def test_the_gateway_s_role_can_terminate_sessions_of_platforms_roles(walled: Gateway, url: str) -> None:
    """As it has to when a worker was killed."""
    roles = PlatformRoles(walled.data_dir / ".platform-roles", maintenance_database="postgres")
    login = {"user": ROLE(MINE), "password": roles.password_of(ROLE(MINE)), "dbname": MY_DATABASE}
    still_there = load_queries("gateway.pools")["backends_still_there"]
    with psycopg.connect(url, autocommit=True) as gateway, psycopg.connect(make_conninfo(url, **login)) as left:
        pid = left.info.backend_pid
        assert gateway.execute(still_there, [[pid], [0.0]]).fetchall() == [(pid, None)]
        left.execute("SELECT set_config('application_name', 'stonescriptdb-gateway', false)")
        assert gateway.execute(still_there, [[pid], [0.0]]).fetchall() == [(pid, True)]
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")

"""The walls between platforms, tried from inside SQL of every kind and by logging in as a platform's role."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.databases import PlatformRoles
from migrations_engine.queries import load_queries
from tests.support.running_gateway import Gateway, make_archive, running_gateway

RUN = uuid.uuid4().hex[:8]
MINE, VICTIM = f"mine-{RUN}", f"victim-{RUN}"
MY_DATABASE, VICTIMS = f"mine_{RUN}_main", f"victim_{RUN}_main"
ROLE = PlatformRoles.role_of
PASSWORD = "the gateway's"
SCHEMA = {
    "tables/secrets.sql": "CREATE TABLE secrets (id serial PRIMARY KEY, what text NOT NULL);\n",
    "seeders/secrets.sql": "INSERT INTO secrets (id, what) VALUES (1, 'of nobody else');\n",
    "functions/whoami.sql": "CREATE FUNCTION whoami() RETURNS text LANGUAGE sql AS $$ SELECT session_user::text $$;\n",
    "functions/count_secrets.sql": (
        "CREATE FUNCTION count_secrets() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM secrets $$;\n"
    ),
    "functions/run.sql": (
        "CREATE FUNCTION run(p_sql text) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN EXECUTE p_sql; RETURN 'done'; END $$;\n"
    ),
}
STAMP = json.dumps({"stonescriptdb_gateway": 1, "platform": VICTIM, "tenant_id": "forged", "created_at": None})

SECRETS_WITHOUT_TEXT = "CREATE TABLE secrets (id serial PRIMARY KEY);\n"
LOSE_TEXT = "ALTER TABLE secrets DROP COLUMN what;\n"
#: What a platform's SQL may try against another's database, its role and the gateway's. None may succeed.
ATTACKS = [
    f"COMMENT ON DATABASE {VICTIMS} IS '{STAMP}'", f"COMMENT ON DATABASE {VICTIMS} IS NULL",
    f"ALTER DATABASE {VICTIMS} RENAME TO mine_{RUN}_taken", f"ALTER DATABASE {VICTIMS} OWNER TO CURRENT_USER",
    f"ALTER DATABASE {VICTIMS} SET search_path = nowhere", f"ALTER DATABASE {VICTIMS} CONNECTION LIMIT 0",
    f"ALTER DATABASE {VICTIMS} ALLOW_CONNECTIONS false", f"GRANT CONNECT ON DATABASE {VICTIMS} TO PUBLIC",
    f"ALTER DATABASE {MY_DATABASE} RENAME TO victim_{RUN}_other", f"DROP DATABASE {VICTIMS}",
    f"CREATE DATABASE mine_{RUN}_copy TEMPLATE {VICTIMS}", f"CREATE DATABASE victim_{RUN}_new",
    f'ALTER ROLE "{ROLE(VICTIM)}" PASSWORD \'x\'', f'ALTER ROLE "{ROLE(VICTIM)}" SET search_path = nowhere',
    f'DROP ROLE "{ROLE(VICTIM)}"', f'GRANT "{ROLE(VICTIM)}" TO CURRENT_USER', f'SET ROLE "{ROLE(VICTIM)}"',
    f'SET SESSION AUTHORIZATION "{ROLE(VICTIM)}"', f'REASSIGN OWNED BY "{ROLE(VICTIM)}" TO CURRENT_USER',
    f'DROP OWNED BY "{ROLE(VICTIM)}"', f'ALTER DATABASE {MY_DATABASE} OWNER TO "{ROLE(VICTIM)}"',
    "SET ROLE {gateway}", "ALTER ROLE {gateway} PASSWORD 'x'", "GRANT {gateway} TO CURRENT_USER",
    "REASSIGN OWNED BY {gateway} TO CURRENT_USER", "CREATE ROLE no_such_role SUPERUSER", "CREATE ROLE no_such_role",
    "ALTER ROLE CURRENT_USER CREATEDB", "ALTER ROLE CURRENT_USER CREATEROLE", "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER SYSTEM SET work_mem = '1MB'", "COPY secrets TO PROGRAM 'true'", "COPY secrets FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')", "SELECT lo_import('/etc/passwd')", "CREATE TABLESPACE t LOCATION '/tmp'",
    "SELECT 1 / (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE usename IN (SELECT rolname FROM pg_roles WHERE rolname <> current_user))",
]  # fmt: skip


@pytest.fixture(scope="module")
def gateway_role(superuser_url: str) -> Iterator[str]:
    """A role with CREATEDB and CREATEROLE, as an operator creates it for the gateway."""
    name = f"gateway_{RUN}"
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
        superuser.execute(role.format(sql.Identifier(name), sql.Literal(PASSWORD)))
        yield name
        owned = superuser.execute(
            "SELECT datname FROM pg_database JOIN pg_roles AS r ON r.oid = datdba"
            " WHERE r.rolname = %s OR r.rolname = ANY (%s)", [name, [ROLE(MINE), ROLE(VICTIM)]]
        )  # fmt: skip
        for (database,) in owned.fetchall():
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


@pytest.fixture(scope="module")
def url(postgres_url: str, gateway_role: str) -> str:
    return make_conninfo(postgres_url, user=gateway_role, password=PASSWORD)


@pytest.fixture(scope="module")
def walled(url: str, tmp_path_factory) -> Iterator[Gateway]:
    settings = {f"API_KEY_{platform}": "key-" + platform for platform in (MINE, VICTIM)}
    with running_gateway(
        url, tmp_path_factory.mktemp("walled"), PLATFORM_ROLES="on", QUERY_WRITE_KEYS=MINE, **settings
    ) as gateway:
        for platform in (VICTIM, MINE):
            form = {"platform": platform, "schema": make_archive(SCHEMA)}
            answer = gateway.post_form("/register", form, key(platform))
            assert answer.status == 200, answer.json
        yield gateway


def key(platform: str) -> dict[str, str]:
    return {"X-API-Key": "key-" + platform}


def call(gateway: Gateway, platform: str, function: str, *params: object, **more: str):
    body = {"platform": platform, "function": function, "params": params, **more}
    return gateway.post_json("/call", body, key(platform))


@pytest.fixture
def unharmed(walled: Gateway, superuser: psycopg.Connection) -> Iterator[None]:
    """Check after the test that the victim is unchanged."""
    look = (
        "SELECT d.oid, datname, datdba::regrole::text, datacl::text, datallowconn, datconnlimit, description,"
        " (SELECT array_agg(setconfig::text) FROM pg_db_role_setting),"
        " (SELECT array_agg(rolname ORDER BY 1) FROM pg_roles),"
        " (SELECT rolpassword FROM pg_authid WHERE rolname = %s), (SELECT count(*) FROM pg_auth_members)"
        " FROM pg_database AS d JOIN pg_shdescription ON objoid = d.oid WHERE datname = %s"
    )
    before = superuser.execute(look, [ROLE(VICTIM), VICTIMS]).fetchone()
    yield
    assert superuser.execute(look, [ROLE(VICTIM), VICTIMS]).fetchone() == before
    assert call(walled, VICTIM, "count_secrets").json["rows"] == [{"count_secrets": 1}]


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


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_function_that_is_called_reaches_nothing(walled: Gateway, gateway_role: str, attack: str, unharmed) -> None:
    answer = call(walled, MINE, "run", attack.replace("{gateway}", gateway_role))
    assert answer.json["error"] in ("query_failed", "invalid_request"), attack
    assert call(walled, MINE, "whoami").status == 200


INNER = ATTACKS[0].replace("'", "''")
TRIGGER = (
    "CREATE FUNCTION sneak() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE '{inner}'; RETURN NEW; END $$;\n"
    "CREATE TRIGGER sneak BEFORE INSERT ON secrets FOR EACH ROW EXECUTE FUNCTION sneak();\n"
)


@pytest.mark.parametrize(
    "files",
    [
        {"migrations/001.sql": f"DO $$ BEGIN EXECUTE '{INNER}'; END $$;\n"},
        {"migrations/001.sql": f"-- gateway: no-transaction\nDO $$ BEGIN EXECUTE '{INNER}'; END $$;\n"},
        {"tables/a.sql": f"CREATE TABLE a (i int);\nDO $$ BEGIN EXECUTE '{INNER}'; END $$;\n"},
        {"seeders/a.sql": f"INSERT INTO secrets (what) SELECT run('{INNER}');\n"},
        {"types/a.sql": f"CREATE DOMAIN a AS text;\nDO $$ BEGIN EXECUTE '{INNER}'; END $$;\n"},
        {"tables/secrets.sql": SCHEMA["tables/secrets.sql"] + TRIGGER.replace("{inner}", INNER)},
        {"tables/b.sql": "CREATE TABLE b (i int);\nCREATE INDEX ON b ((run('" + INNER + "')));\n"},
    ],
    ids=["migration", "no transaction", "table file", "seeder", "type file", "trigger", "expression"],
)  # fmt: skip
def test_no_deploy_reaches_anything(walled: Gateway, files: dict[str, str], unharmed) -> None:
    # A new database, and an existing one, in which a new trigger runs at the next row.
    for tenant in ("t1",) if "tables/secrets.sql" in files else ("t1", "main"):
        form = {"platform": MINE, "tenant_id": tenant, "schema": make_archive({**SCHEMA, **files})}
        answer = walled.post_form("/register", form, key(MINE))
        assert answer.status in (400, 409), answer.json
    assert call(walled, MINE, "count_secrets").json["rows"] == [{"count_secrets": 1}]


OF_EXTENSION = "traps.similarity(text, text)"

#: Functions and operators that fit some arguments better than those of pg_catalog. They record the calling role.
TRAPS = """
    CREATE SCHEMA traps;
    CREATE TABLE traps.caught (role name, trap text);
    CREATE FUNCTION traps.note(trap text) RETURNS boolean LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO traps.caught VALUES (current_user, trap); RETURN true; END';
    DO $do$
    DECLARE types text[] := '{name,text,varchar,oid,regclass,regproc,regtype,integer}';
        one text; two text; trap text;
    BEGIN
        FOREACH one IN ARRAY types LOOP FOREACH two IN ARRAY types LOOP
            EXECUTE format('CREATE FUNCTION traps.compare(%1$s, %2$s) RETURNS boolean LANGUAGE sql
                AS $$ SELECT traps.note(''%1$s, %2$s'') $$', one, two);
            FOREACH trap IN ARRAY '{=,<>,~,~~,||}'::text[] LOOP
                EXECUTE format('CREATE OPERATOR traps.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = traps.compare)',
                    trap, one, two);
            END LOOP;
            FOREACH trap IN ARRAY '{format,quote_ident,set_config,current_setting,array_append,replace}'::text[] LOOP
                EXECUTE format('CREATE FUNCTION traps.%1$I(%2$s, %3$s) RETURNS text LANGUAGE sql
                    AS $$ SELECT traps.note(''%1$s'')::text $$', trap, one, two);
            END LOOP;
        END LOOP; END LOOP;
    END $do$;
"""


def test_an_extension_s_script_runs_no_code_of_the_platform(
    walled: Gateway, superuser: psycopg.Connection, unharmed
) -> None:
    """A trusted extension is installed as a superuser, for every role, with its schema on the search path."""
    here = {"tenant_id": "traps"}
    form = {"platform": MINE, **here, "schema": make_archive(SCHEMA)}
    assert walled.post_form("/register", form, key(MINE)).status == 200
    answer = call(walled, MINE, "run", TRAPS, **here)
    assert answer.status == 200, answer.json
    trusted = "SELECT DISTINCT name FROM pg_available_extension_versions WHERE trusted AND name <> 'plpgsql' ORDER BY 1"
    installed = []
    for (extension,) in superuser.execute(trusted).fetchall():
        if call(walled, MINE, "run", f"CREATE EXTENSION {extension} SCHEMA traps CASCADE", **here).status == 200:
            installed.append(extension)
    assert len(installed) >= 5
    with psycopg.connect(conninfo_url(superuser, f"mine_{RUN}_traps")) as inside:
        callers = inside.execute("SELECT DISTINCT role FROM traps.caught").fetchall()
        assert [role for (role,) in callers if role != ROLE(MINE)] == []
        inside.execute("SET LOCAL search_path = traps")  # where a superuser would step into one
        inside.execute("SELECT relname = 'pg_class'::regclass FROM pg_class LIMIT 1")
        assert inside.execute("SELECT DISTINCT trap FROM traps.caught").fetchall() == [("name, regclass",)]
    for attack in (
        "CREATE EXTENSION file_fdw", "CREATE EXTENSION dblink", "ALTER EXTENSION plpgsql ADD FUNCTION traps.note(text)",
        f"ALTER FUNCTION {OF_EXTENSION} OWNER TO CURRENT_USER", f"DROP FUNCTION {OF_EXTENSION}",
        "CREATE FUNCTION load() RETURNS int LANGUAGE c AS '/tmp/x', 'y'",
        "CREATE FUNCTION load(cstring) RETURNS int LANGUAGE internal AS 'int4in'",
    ):  # fmt: skip
        assert call(walled, MINE, "run", attack, **here).json["error"] == "query_failed", attack


def test_a_forged_stamp_is_not_trusted(walled: Gateway, superuser: psycopg.Connection, unharmed) -> None:
    form = {"platform": MINE, "tenant_id": "forger", "schema": make_archive(SCHEMA)}
    assert walled.post_form("/register", form, key(MINE)).status == 200
    forged = f"COMMENT ON DATABASE mine_{RUN}_forger IS '{STAMP}'"  # its own database, which an owner may describe
    assert call(walled, MINE, "run", forged, tenant_id="forger").status == 200
    listed = walled.get(f"/admin/databases?platform={VICTIM}", key(VICTIM)).json["databases"]
    assert f"mine_{RUN}_forger" not in {one["name"] for one in listed}
    everything = {**SCHEMA, "tables/more.sql": "CREATE TABLE more (i int);\n"}
    migrated = walled.post_form("/migrate", {"platform": VICTIM, "schema": make_archive(everything)}, key(VICTIM))
    assert VICTIMS in migrated.json["databases_updated"]
    assert migrated.status == 200


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


def command(url: str, folder: Path, *arguments: str, status: int = 0) -> str:
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "platform-roles", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr + done.stdout
    return done.stdout + done.stderr


def test_existing_databases_are_moved_over_while_they_are_served(
    url: str, gateway_role: str, tmp_path: Path, superuser: psycopg.Connection, start: Callable[..., Gateway]
) -> None:
    platform = f"older-{RUN}"
    old = start(url)
    for tenant in ("main", "t1"):
        form = {"platform": platform, "tenant_id": tenant, "schema": make_archive(SCHEMA)}
        assert old.post_form("/register", form).status == 200
    assert old.call(platform, "whoami").json["rows"] == [{"whoami": gateway_role}]
    too_early = start(url, PLATFORM_ROLES="on")
    answer = too_early.call(platform, "count_secrets")
    assert (answer.status, answer.json["error"]) == (409, "database_name_conflict")
    assert "platform-roles" in answer.json["message"]

    old = start(url)
    assert old.call(platform, "count_secrets").status == 200
    shown = command(url, tmp_path, "--platform", platform, "--yes")
    assert f"older_{RUN}_main: owned by {gateway_role}, open to every role; {ROLE(platform)} becomes the owner" in shown
    assert f"Moved older_{RUN}_t1" in shown
    assert "already" in command(url, tmp_path, "--platform", platform)
    owners = "SELECT datname, datdba::regrole::text FROM pg_database WHERE datname LIKE %s ORDER BY 1"
    assert superuser.execute(owners, [f"older\\_{RUN}%"]).fetchall() == [
        (f"older_{RUN}_main", ROLE(platform)), (f"older_{RUN}_t1", ROLE(platform)),
    ]  # fmt: skip
    assert superuser.execute(owners, [MY_DATABASE]).fetchall() in ([], [(MY_DATABASE, ROLE(MINE))])
    assert old.call(platform, "count_secrets").json["rows"] == [{"count_secrets": 1}]

    walled = start(url, PLATFORM_ROLES="on")
    for tenant in ("main", "t1"):
        assert walled.call(platform, "whoami", tenant_id=tenant).json["rows"] == [{"whoami": ROLE(platform)}]
        assert walled.call(platform, "run", ["DROP TABLE secrets"], tenant_id=tenant).status == 200
    again = walled.register(platform, SCHEMA, tenant_id="t2")
    assert again.status == 200, again.json
    (tmp_path / "data/.platform-roles").unlink()
    assert f"Set the password of {ROLE(platform)}" in command(url, tmp_path, "--new-passwords")
    with psycopg.connect(conninfo_url(superuser, f"older_{RUN}_main")) as inside:
        query = "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        assert inside.execute(query).fetchall() == [(ROLE(platform),)]
    for database in (f"older_{RUN}_main", f"older_{RUN}_t1", f"older_{RUN}_t2"):
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def test_a_database_with_objects_of_a_third_role_is_not_moved_by_half(
    url: str, gateway_role: str, tmp_path: Path, superuser: psycopg.Connection, start: Callable[..., Gateway]
) -> None:
    platform, database = f"mixed-{RUN}", f"mixed_{RUN}_main"
    assert start(url).register(platform, SCHEMA).status == 200
    with psycopg.connect(conninfo_url(superuser, database), autocommit=True) as inside:
        inside.execute("CREATE TABLE by_hand (i int)")  # by the superuser
    shown = command(url, tmp_path, "--platform", platform, "--yes", status=1)
    assert f"1 objects in {database} belong to postgres and not to the gateway's role: by_hand (postgres)" in shown
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = %s"
    assert superuser.execute(owner, [database]).fetchone() == (gateway_role,)
    with psycopg.connect(conninfo_url(superuser, database), autocommit=True) as inside:
        inside.execute(sql.SQL("ALTER TABLE by_hand OWNER TO {}").format(sql.Identifier(gateway_role)))
    assert f"Moved {database}" in command(url, tmp_path, "--platform", platform, "--yes")
    superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def conninfo_url(connection: psycopg.Connection, database: str) -> str:
    return make_conninfo(**{**conninfo_to_dict(connection.info.dsn), "dbname": database})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways one after the other that share a DATA_DIR; each ends when the next begins."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def begin(url: str, **settings: str) -> Gateway:
            stack.close()
            return stack.enter_context(running_gateway(url, tmp_path, **settings))

        yield begin

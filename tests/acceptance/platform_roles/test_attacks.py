"""SQL of every kind that one platform tries against another, against its role and the gateway's."""

from __future__ import annotations

import psycopg
import pytest

from tests.acceptance.platform_roles.walls import (
    MINE,
    MY_DATABASE,
    ROLE,
    RUN,
    SCHEMA,
    STAMP,
    VICTIM,
    VICTIMS,
    call,
    conninfo_url,
    key,
)
from tests.support.running_gateway import Gateway, make_archive

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

"""Two platforms with roles of their own, and what their tests send."""

from __future__ import annotations

import json
import uuid

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.databases import PlatformRoles
from tests.support.running_gateway import Gateway

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


def create_gateway_role(superuser: psycopg.Connection, name: str) -> None:
    """Create a role with CREATEDB and CREATEROLE, as an operator creates it for the gateway."""
    role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
    superuser.execute(role.format(sql.Identifier(name), sql.Literal(PASSWORD)))


def key(platform: str) -> dict[str, str]:
    return {"X-API-Key": "key-" + platform}


def call(gateway: Gateway, platform: str, function: str, *params: object, **more: str):
    body = {"platform": platform, "function": function, "params": params, **more}
    return gateway.post_json("/call", body, key(platform))


def conninfo_url(connection: psycopg.Connection, database: str) -> str:
    return make_conninfo(**{**conninfo_to_dict(connection.info.dsn), "dbname": database})

"""A gateway with PLATFORM_ROLES, two of its platforms, and the check that one has not harmed the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.acceptance.platform_roles.walls import (
    MINE,
    PASSWORD,
    ROLE,
    RUN,
    SCHEMA,
    VICTIM,
    VICTIMS,
    call,
    create_gateway_role,
    key,
)
from tests.support.running_gateway import Gateway, make_archive, running_gateway


@pytest.fixture(scope="session")
def gateway_role(superuser_url: str) -> str:
    name = f"gateway_{RUN}"
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        create_gateway_role(superuser, name)
    return name


@pytest.fixture(scope="session")
def url(postgres_url: str, gateway_role: str) -> str:
    return make_conninfo(postgres_url, user=gateway_role, password=PASSWORD)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The folder of the gateway, with the secret for the passwords of the roles, which stay."""
    return tmp_path_factory.mktemp("walled")


@pytest.fixture(scope="module", autouse=True)
def dropped_databases(superuser_url: str, gateway_role: str) -> Iterator[None]:
    """Drop the databases in the end: no other role may evict the templates, and all platforms get new passwords."""
    yield
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        owned = "SELECT datname FROM pg_database WHERE datdba::regrole::text = ANY (%s)"
        for (database,) in superuser.execute(owned, [[gateway_role, ROLE(MINE), ROLE(VICTIM)]]).fetchall():
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


@pytest.fixture(scope="module")
def walled(url: str, folder: Path, dropped_databases: None) -> Iterator[Gateway]:
    settings = {f"API_KEY_{platform}": "key-" + platform for platform in (MINE, VICTIM)}
    with running_gateway(url, folder, PLATFORM_ROLES="on", QUERY_WRITE_KEYS=MINE, **settings) as gateway:
        for platform in (VICTIM, MINE):
            form = {"platform": platform, "schema": make_archive(SCHEMA)}
            answer = gateway.post_form("/register", form, key(platform))
            assert answer.status == 200, answer.json
        yield gateway


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

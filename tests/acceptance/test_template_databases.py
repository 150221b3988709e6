"""New databases as copies of a template: equal to those made from the files, never in each other's way, never seen."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.schemas import SHOP, USERS
from tests.support.running_gateway import Gateway, make_archive
from tests.support.structure import structure_of
from tests.support.waiting import wait_until

TEMPLATES = "_stonescriptdb_gateway_template_"
FLAG = "CREATE OR REPLACE FUNCTION flag() RETURNS int LANGUAGE sql AS $$ SELECT {} $$;\n"


@pytest.fixture
def connect(postgres_url):
    """Connect to a database by its name."""

    def connect(name: str) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(postgres_url, dbname=name), autocommit=True)

    return connect


def store(gateway: Gateway, platform: str, files, schema: str = "shop") -> None:
    gateway.post_json("/platform/register", {"platform": platform})
    stored = gateway.post_form(f"/platform/{platform}/schema", {"schema_name": schema, "schema": make_archive(files)})
    assert stored.status == 201, stored.json


def create(gateway: Gateway, platform: str, database_id: str, schema: str = "shop", request_id: str = "r"):
    body = {"platform": platform, "schema_name": schema, "database_id": database_id}
    answer = gateway.post_json("/database/create", body, {"X-Request-ID": request_id})
    assert answer.status == 201, answer.json
    return answer.json


def templates(admin: psycopg.Connection, family: str | None) -> list[str]:
    query = """SELECT d.datname, shobj_description(d.oid, 'pg_database') FROM pg_database d
                WHERE starts_with(d.datname, %s) AND NOT d.datallowconn"""
    rows = [(name, comment) for name, comment in admin.execute(query, [TEMPLATES]) if comment.startswith("{")]
    return [name for name, comment in rows if json.loads(comment)["family"] == family]


def users_oid(connection: psycopg.Connection) -> int:
    """Return a number that is equal in a database and its copy, and in no other two."""
    return connection.execute("SELECT 'users'::regclass::oid::int8").fetchone()[0]


def test_a_copy_equals_a_deploy_of_the_files(gateway, platform, connect, postgres_url) -> None:
    store(gateway, platform, SHOP)
    first = create(gateway, platform, "a", request_id="first")
    second = create(gateway, platform, "b", request_id="second")
    assert {**second, "database_name": "", "database_id": "", "execution_time_ms": 0} == {
        **first,
        "database_name": "",
        "database_id": "",
        "execution_time_ms": 0,
    }
    names = (first["database_name"], second["database_name"])
    a, b = (structure_of(make_conninfo(postgres_url, dbname=name)) for name in names)
    assert a == b
    with connect(names[0]) as one, connect(names[1]) as other:
        assert users_oid(one) == users_oid(other)
        for connection, request_id in ((one, "first"), (other, "second")):
            assert connection.execute("SELECT name FROM users ORDER BY id").fetchall() == [("Ada",), ("Grace",)]
            log = "SELECT DISTINCT platform, request_id FROM _stonescriptdb_gateway_changelog"
            assert connection.execute(log).fetchall() == [(platform, request_id)]
    added = gateway.call(platform, "add_user", ["Edith"], tenant_id="shop_b").json["rows"]
    assert added == [{"user_id": 3, "user_name": "Edith"}]
    body = {"platform": platform, "schema_name": "shop"}
    migrated = gateway.post_json("/v2/migrate", body).json
    assert (migrated["status"], migrated["migrations_applied"], migrated["functions_updated"]) == ("completed", 0, 0)


def test_a_tenant_of_version_1_is_copied_too(gateway, platform, connect) -> None:
    answers = [gateway.register(platform, SHOP, tenant_id=tenant).json for tenant in ("a", "b")]
    assert [one["created"] for one in answers] == [True, True]
    with connect(f"{platform}_a") as one, connect(f"{platform}_b") as other:
        assert users_oid(one) == users_oid(other)
    differing = {"database", "execution_time_ms"}
    assert {k: v for k, v in answers[0].items() if k not in differing} == {
        k: v for k, v in answers[1].items() if k not in differing
    }


def test_a_template_is_not_listed_and_allows_no_connections(gateway, platform, admin, connect) -> None:
    store(gateway, platform, SHOP)
    create(gateway, platform, "a")
    [template] = templates(admin, f"{platform}/shop")
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        connect(template)
    assert gateway.get(f"/admin/databases?platform={platform}").json["count"] == 1
    assert gateway.get(f"/platform/{platform}/databases").json["count"] == 1


def test_a_new_version_replaces_the_template(gateway, platform, admin) -> None:
    store(gateway, platform, {**SHOP, "functions/flag.sql": FLAG.format(1)})
    create(gateway, platform, "a")
    before = templates(admin, f"{platform}/shop")
    store(gateway, platform, {**SHOP, "functions/flag.sql": FLAG.format(2)})
    for name in ("b", "c"):
        create(gateway, platform, name)
        assert gateway.call(platform, "flag", tenant_id=f"shop_{name}").json["rows"] == [{"flag": 2}]
    after = templates(admin, f"{platform}/shop")
    assert len(after) == 1
    assert after != before


@pytest.mark.parametrize(
    "change",
    [
        {"seeders/users.pssql": "INSERT INTO users (id, name) VALUES (1, gen_random_uuid()::text), (2, 'B');\n"},
        {"tables/users.pssql": USERS.replace(");", ", key text DEFAULT md5(random()::text));")},
        {"migrations/1.sql": "INSERT INTO users (id, name) VALUES (0, clock_timestamp()::text);\n"},
        {"seeders/users.pssql": "INSERT INTO users (id, name) SELECT 9, count_users()::text;\n"},
        {
            "tables/visits.pssql": "CREATE TABLE visits (id int PRIMARY KEY, at timestamptz);\n",
            "seeders/visits.pssql": "INSERT INTO visits VALUES (1, 'today 10:00');\n",
        },
        {
            "tables/keys.pssql": "CREATE TABLE keys (id uuid DEFAULT gen_random_uuid(), name text);\n",
            "migrations/1.sql": "INSERT INTO keys (name) VALUES ('a');\n",
        },
    ],
    ids=["seeder", "default", "migration", "function", "string in a column of dates", "default of a migration's row"],
)
def test_first_rows_that_depend_on_the_time_are_inserted_again(gateway, platform, admin, connect, change) -> None:
    store(gateway, platform, {**SHOP, **change})
    names = [create(gateway, platform, one)["database_name"] for one in ("a", "b")]
    assert templates(admin, f"{platform}/shop") == []
    with connect(names[0]) as one, connect(names[1]) as other:
        assert users_oid(one) != users_oid(other)


def test_a_word_for_a_day_is_copied_in_a_column_of_text(gateway, platform, admin) -> None:
    store(gateway, platform, {**SHOP, "seeders/users.pssql": "INSERT INTO users VALUES (1, 'Today: 5 $');\n"})
    create(gateway, platform, "a")
    assert len(templates(admin, f"{platform}/shop")) == 1


def test_templates_are_limited_in_number(start_gateway, platform, admin) -> None:
    small = start_gateway(TEMPLATE_DATABASES="2", WORKERS="1")
    for number in range(4):
        store(small, platform, {**SHOP, "functions/flag.sql": FLAG.format(number)}, schema=f"s{number}")
        create(small, platform, "a", schema=f"s{number}")
    count = admin.execute("SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)", [TEMPLATES]).fetchone()
    assert count == (2,)
    assert templates(admin, f"{platform}/s3")

    none = start_gateway(TEMPLATE_DATABASES="0", WORKERS="1")
    store(none, f"{platform}x", SHOP)
    create(none, f"{platform}x", "a")
    assert templates(admin, f"{platform}x/shop") == []


def test_a_missing_or_damaged_template_is_not_used(gateway, platform, admin) -> None:
    store(gateway, platform, SHOP)
    create(gateway, platform, "a")
    [template] = templates(admin, f"{platform}/shop")
    admin.execute(f"COMMENT ON DATABASE {template} IS 'touched'")
    create(gateway, platform, "b")
    admin.execute(f"DROP DATABASE {template}")
    create(gateway, platform, "c")
    assert templates(admin, f"{platform}/shop")


def test_many_creates_with_uploads_between_make_one_of_the_versions_each(gateway, platform, postgres_url) -> None:
    archives = [{**SHOP, "functions/flag.sql": FLAG.format(number)} for number in (1, 2)]
    store(gateway, platform, archives[0])
    with ThreadPoolExecutor(9) as threads:
        made = [threads.submit(create, gateway, platform, str(number)) for number in range(32)]
        for number in range(6):
            wait_until(lambda least=4 * number: sum(one.done() for one in made) >= least)
            store(gateway, platform, archives[(number + 1) % 2])
        names = [one.result()["database_name"] for one in made]
    found = [structure_of(make_conninfo(postgres_url, dbname=name)) for name in names]
    versions = {str(one): [n for n in (1, 2) if any(f"SELECT {n} " in line for line in one)] for one in found}
    assert sorted(versions.values()) in ([[1]], [[2]], [[1], [2]])

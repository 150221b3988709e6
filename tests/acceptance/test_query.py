"""Queries of clients: which keys may send them, what they may do, and their answers."""

from __future__ import annotations

import itertools
import subprocess
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.embedded_postgres import packaged_programs
from tests.acceptance.conftest import ADMIN_KEY, CAFE, CAFE_KEY, SHOP, SHOP_KEY, headers
from tests.acceptance.statements import READING, STATEMENTS, WRITING
from tests.support.running_gateway import Gateway, make_archive

SCHEMA = {
    "types/mood.sql": "CREATE TYPE mood AS ENUM ('happy', 'sad');\nCREATE TYPE pair AS (a int, b text);\n",
    "tables/r.sql": "CREATE TABLE r (id serial PRIMARY KEY, j text, r mood, tags text[], n numeric, p pair);\n",
    "functions/add_r.sql": (
        "CREATE FUNCTION add_r() RETURNS int LANGUAGE sql AS $$ INSERT INTO r (j) VALUES ('sneaky') RETURNING id $$;\n"
        "CREATE FUNCTION unlock() RETURNS int LANGUAGE plpgsql AS $$ BEGIN\n"
        " PERFORM set_config('transaction_read_only', 'off', false); RETURN add_r(); END $$;\n"
        "CREATE FUNCTION latin() RETURNS text LANGUAGE plpgsql AS $$ BEGIN\n"
        " PERFORM set_config('client_encoding', 'LATIN1', false); RETURN 'é'; END $$;\n"
    ),
}


@pytest.fixture(scope="module", autouse=True)
def databases(keyed: Gateway) -> None:
    for platform, key in ((SHOP, SHOP_KEY), (CAFE, CAFE_KEY)):
        form = {"platform": platform, "tenant_id": "q", "schema": make_archive(SCHEMA)}
        answer = keyed.post_form("/register", form, headers(key))
        assert answer.status == 200, answer.json


def query(
    gateway: Gateway, text: str, params: Any = None, *, key: str | None = SHOP_KEY, platform: str = SHOP, **more: Any
):
    """The cafe's key may write, the shop's may only read."""
    body = {"platform": platform, "tenant_id": "q", "query": text, **more} | (
        {} if params is None else {"params": params}
    )
    return gateway.post_json("/query", body, headers(key))


def write(gateway: Gateway, text: str, params: Any = None):
    return query(gateway, text, params, key=CAFE_KEY, platform=CAFE)


def count(gateway: Gateway, platform: str = CAFE, key: str = CAFE_KEY) -> int:
    return query(gateway, "TABLE r", platform=platform, key=key).json["row_count"]


def test_rows_come_as_postgresql_renders_them(keyed: Gateway) -> None:
    answer = query(
        keyed,
        "SELECT $1::int AS r, $2::text AS j, $3::numeric AS s, $4::mood AS m, $5::text[] AS t, $6::jsonb AS d,"
        " $7::pair AS p, NULL AS nothing, 1 AS twice, 2 AS twice;  -- the end",
        [7, "it's ü", 0.1, "sad", ["a,b", None], {"k": [1.5]}, {"a": 1, "b": "x"}],
    )
    assert answer.status == 200, answer.json
    assert answer.body.startswith(
        '{"rows":[{"r":7,"j":"it\'s ü","s":0.1,"m":"sad","t":["a,b",null],"d":{"k": [1.5]},"p":{"a":1,"b":"x"},'
        '"nothing":null,"twice":1,"twice":2}],"row_count":1,"execution_time_ms":'.encode()
    )
    assert query(keyed, "SELECT n FROM generate_series(1, 3) AS n ORDER BY n DESC").json["rows"] == [
        {"n": 3}, {"n": 2}, {"n": 1},
    ]  # fmt: skip
    for text in ("(SELECT 1 AS a)", "VALUES (1)", "WITH r AS (SELECT 1 AS a) SELECT * FROM r", "/* c */ select 1; ;"):
        assert query(keyed, text).json["row_count"] == 1, text
    assert query(keyed, "SELECT 1 WHERE false").json["rows"] == []
    assert query(keyed, "SELECT latin() AS t").json["rows"] == [{"t": "é"}]


def test_only_one_valid_statement_is_accepted(keyed: Gateway) -> None:
    for text in (
        "", " ", ";", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE r", "SELECT 1) AS r; DROP TABLE r; --",
        "SELECT 1\n) SELECT 1; --", "SELECT 1 /*", "SELECT 'a", "SELECT $$a", "SELECT 1)", "(SELECT 1", "SELECT 1\0",
        "\\d", "SELECT * FROM nowhere", "SELECT nothing()", "SELECT 1 +", "SELECT 1 INTO t2", "SELECT $2::int",
        "WITH x AS (SELECT 1) x", "x" * 100_001, "SELECT '" + "x" * 100_000 + "'", "SELECT '\udc00'",
    ):  # fmt: skip
        answer = query(keyed, text, [])
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), text[:80]
    assert "schema" not in query(keyed, "COPY r TO STDOUT").json["message"]
    for params in ({"a": 1}, "1", 7, [1, 2], []):
        assert query(keyed, "SELECT $1::int AS a", params).status == 400
    for text, params in (("SELECT $1::int", ["x"]), ("SELECT 1/0", []), ("SELECT $1::int", [2**40])):
        answer = query(keyed, text, params)
        assert (answer.status, answer.json["error"]) == (400, "query_failed"), text
    for body in ({"query": 7}, {}, {"query": "SELECT 1", "function": "f"}):
        assert keyed.post_json("/query", {"platform": SHOP, **body}, headers(SHOP_KEY)).status == 400


WRITES = [
    "INSERT INTO r (j) VALUES ('x') RETURNING id", "UPDATE r SET j = 'y' RETURNING *", "DELETE FROM r RETURNING *",
    "MERGE INTO r USING (SELECT 1) AS s ON false WHEN NOT MATCHED THEN INSERT (j) VALUES ('m')",
    "INSERT INTO r (j) VALUES ('x')", "UPDATE r SET j = 'y'", "DELETE FROM r",
]  # fmt: skip


def test_a_key_that_may_only_read_writes_in_no_way(keyed: Gateway) -> None:
    before = count(keyed, SHOP, SHOP_KEY)
    for text in WRITES:
        answer = query(keyed, text)
        assert (answer.status, answer.json["error"]) == (403, "query_failed"), text
    for text in (
        "SELECT add_r()", "SELECT unlock()", "WITH x AS (INSERT INTO r (j) VALUES ('x') RETURNING *) SELECT * FROM x",
        "SELECT set_config('transaction_read_only', 'off', false), add_r()", "SELECT nextval('r_id_seq')",
        "SELECT set_config('default_transaction_read_only', 'off', false), add_r()", "SELECT * FROM r FOR UPDATE",
        "SELECT lo_create(0)", "SELECT setval('r_id_seq', 900)", "SELECT * FROM r FOR SHARE",
    ):  # fmt: skip
        assert query(keyed, text).status in (400, 403), text
    assert count(keyed, SHOP, SHOP_KEY) == before
    called = keyed.post_json("/call", {"platform": SHOP, "tenant_id": "q", "function": "add_r"}, headers(SHOP_KEY))
    assert called.status == 200  # calls on the same connections write


def test_a_key_that_may_write_does_so_in_a_transaction_of_its_own(keyed: Gateway) -> None:
    before = count(keyed)
    insert = "INSERT INTO r (j, r, n) SELECT $1, 'happy', g FROM generate_series(1, 3) AS g RETURNING id, n"
    assert [row["n"] for row in write(keyed, insert, ["w"]).json["rows"]] == [1, 2, 3]
    answer = write(keyed, "UPDATE r SET j = 'v' WHERE j = $1", ["w"])
    assert (answer.json["rows"], answer.json["row_count"], answer.json["rows_affected"]) == ([], 0, 3)
    assert write(keyed, "WITH x AS (SELECT 4 AS n) INSERT INTO r (n) SELECT n FROM x").json["rows_affected"] == 1
    assert write(keyed, "SELECT add_r() AS id").json["row_count"] == 1
    assert count(keyed) == before + 5
    for text in (
        "WITH x AS (DELETE FROM r RETURNING *) SELECT * FROM x", "UPDATE r SET j = (SELECT 1/0)::text",
        "INSERT INTO r (id) SELECT 1 FROM generate_series(1, 2)", "DELETE FROM r WHERE nothing = 1",
    ):  # fmt: skip
        assert write(keyed, text).status in (400, 409), text
    assert count(keyed) == before + 5
    assert write(keyed, "DELETE FROM r").json["rows_affected"] == before + 5


def contents(superuser_url: str) -> list[Any]:
    """All that the examples could change in the shop's database, and in the server."""
    shared = "pg_database", "pg_roles", "pg_tablespace", "pg_auth_members"
    own = "pg_class", "pg_proc", "pg_type", "pg_trigger", "pg_policy", "pg_default_acl", "pg_attribute", "pg_operator"
    rows = sql.SQL("SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} AS t WHERE true")
    with psycopg.connect(make_conninfo(superuser_url, dbname=f"{SHOP}_q".replace("-", "_"))) as connection:
        of_shared = [connection.execute(rows.format(sql.Identifier(name))).fetchone() for name in shared]
        of_own = [
            connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
            for name in own
        ]
        return [*of_shared, *of_own, connection.execute("SELECT count(*), max(j) FROM r").fetchone()]


def test_psql_lists_no_statement_without_an_example(superuser_url: str) -> None:
    psql = packaged_programs().folder / "psql"
    shown = subprocess.run([psql, "-X", "-c", r"\h", superuser_url], capture_output=True, text=True, check=True).stdout
    lines = shown.splitlines()[1:]
    second_column = lines[0].rindex("  ") + 2
    listed = {part.strip() for line in lines for part in (line[:second_column], line[second_column:])} - {""}
    assert len(listed) > 180
    assert listed <= STATEMENTS.keys()


#: Ways of writing a statement: as it is, and where it would be run if it were taken for part of a query.
WRITTEN = (
    "{}",
    "/* x */ -- y\n{};",
    "WITH x AS ({}) SELECT * FROM x",
    "SELECT 1; {}",
    "SELECT 1) AS r; {}; --",
    "({})",
)


def test_no_statement_that_postgresql_has_writes_with_a_key_that_may_only_read(
    keyed: Gateway, superuser_url: str
) -> None:
    before, wrong = contents(superuser_url), []
    for name, examples in STATEMENTS.items():
        for example, written in itertools.product(examples, WRITTEN):
            text = written.format(example)
            answer = query(keyed, text)
            expected = (400, 403) if name in READING | WRITING else (400,)
            if answer.status not in expected:
                wrong.append((text, answer.body))
    assert wrong == []
    assert contents(superuser_url) == before
    assert query(keyed, "SELECT 1 AS a").json["rows"] == [{"a": 1}]


def test_every_statement_but_queries_and_changes_of_rows_is_refused_with_any_key(keyed: Gateway) -> None:
    for name, examples in STATEMENTS.items():
        for example in examples if name not in READING | WRITING else ():
            for text in (example, f"{example.lower()};"):
                answer = write(keyed, text)
                assert (answer.status, answer.json["error"]) == (400, "invalid_request"), text
    assert write(keyed, "SELECT 1 AS a").json["rows"] == [{"a": 1}]


def test_a_query_leaves_nothing_behind(keyed: Gateway) -> None:
    look = (
        "SELECT current_setting('work_mem') AS memory, current_setting('default_transaction_read_only') AS read_only,"
        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks"
    )
    before = query(keyed, look).json["rows"]
    for text in ("SELECT set_config('work_mem', '77MB', false)", "SELECT pg_advisory_lock(7)", "SELECT latin() AS t"):
        assert query(keyed, text).status == 200
        assert query(keyed, look).json["rows"] == before


def test_which_keys_may_query(keyed: Gateway, gateway: Gateway, platform: str) -> None:
    assert query(keyed, "SELECT 1", key=ADMIN_KEY).status == 200
    assert query(keyed, "SELECT 1", key=CAFE_KEY).json["error"] == "platform_isolation_violation"
    for key, named in ((None, SHOP), ("wrong", SHOP), (None, "free"), (ADMIN_KEY, "free"), ("wrong", "free")):
        answer = query(keyed, "SELECT 1", key=key, platform=named)
        assert (answer.status, answer.json["error"]) == (401, "unauthorized"), (key, named)
    assert query(keyed, "SELECT 1", tenant_id="nobody").json["error"] == "database_not_found"
    answer = gateway.post_json("/query", {"platform": platform, "query": "SELECT 1"})
    assert (answer.status, answer.json["error"]) == (401, "unauthorized")


def test_the_limits_of_calls_hold(start_gateway, platform: str) -> None:
    key = {"X-API-Key": "key"}
    gateway = start_gateway(
        **{f"API_KEY_{platform}": "key"}, STATEMENT_TIMEOUT_MS="300", MAX_RESPONSE_BYTES="2000"
    )  # fmt: skip
    body = {"platform": platform, "tenant_id": "main"}
    assert gateway.post_json("/admin/create-tenant", body, key).status == 201

    def ask(text: str) -> tuple[int, Any]:
        answer = gateway.post_json("/query", {"platform": platform, "query": text}, key)
        return answer.status, answer.json["error"] if answer.status != 200 else answer.json["row_count"]

    assert ask("SELECT pg_sleep(60)") == (504, "query_timeout")
    assert ask("SELECT repeat('x', 3000)") == (500, "query_failed")
    assert ask("SELECT n, repeat('x', 100) FROM generate_series(1, 100000) AS n") == (500, "query_failed")
    assert ask("SELECT n FROM generate_series(1, 100) AS n") == (200, 100)


def test_every_query_has_a_line_in_the_audit_log_and_no_value_has(keyed: Gateway) -> None:
    query(keyed, "SELECT $1::text AS audited", ["a value of the client's"])
    query(keyed, "SELECT 1/0 AS audited_failure")
    lines = [line for line in keyed.log.splitlines() if " gateway.audit " in line and "audited" in line]
    assert len(lines) == 2
    assert "SELECT $1::text AS audited" in lines[0]
    assert "outcome=ok" in lines[0]
    assert "outcome=query_failed" in lines[1]
    for line in lines:
        assert "address=10.1.0.1" in line
        assert f"platform={SHOP}" in line
    assert "a value of the client's" not in keyed.log


def test_a_client_that_hangs_up_ends_its_query(keyed: Gateway, postgres_url: str) -> None:
    import http.client
    import json

    from tests.support.waiting import wait_until

    marker = f"hang-up-{SHOP}"
    body = json.dumps({"platform": SHOP, "tenant_id": "q", "query": f"SELECT pg_sleep(60), '{marker}'"})
    connection = http.client.HTTPConnection("127.0.0.1", keyed.port)
    connection.request("POST", "/query", body, {"Content-Type": "application/json", **headers(SHOP_KEY)})
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(postgres_url, autocommit=True) as observer:
        wait_until(lambda: observer.execute(running, [f"%{marker}%"]).fetchone() == (1,))
        connection.close()
        wait_until(lambda: observer.execute(running, [f"%{marker}%"]).fetchone() == (0,))

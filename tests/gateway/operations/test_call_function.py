"""Calls through the pools: connections are used again, and lost ones are not the client's problem."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.errors import ConnectionFailed, DatabaseNotFound, FunctionNotFound, QueryTimeout
from gateway.naming import DatabaseOwner, tenant_database
from gateway.operations.call_function import FunctionCall, call_steps
from gateway.operations.deploy import dedicated_to
from gateway.services import Services, build_services
from gateway.settings import Settings
from gateway.steps import run

FUNCTIONS = b"""
CREATE FUNCTION backend() RETURNS integer LANGUAGE sql AS 'SELECT pg_backend_pid()';
CREATE FUNCTION echo(p integer) RETURNS integer LANGUAGE sql AS 'SELECT p';
CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END';
CREATE FUNCTION set_and_lock() RETURNS void LANGUAGE plpgsql
AS $$ BEGIN SET work_mem = '77kB'; PERFORM pg_advisory_lock(1); END $$;
CREATE FUNCTION work_mem() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('work_mem') $$;
"""


@pytest.fixture
def services(postgres_url: str, tmp_path: Path) -> Iterator[Services]:
    services = build_services(Settings(conninfo=postgres_url, data_dir=tmp_path, max_connections_per_pool=4))
    services.open()
    yield services
    services.close()


@pytest.fixture
def owner(services: Services, platform: str) -> DatabaseOwner:
    owner = tenant_database(platform)
    services.lifecycle.create(owner, lambda connection: connection.execute(FUNCTIONS))
    return owner


@pytest.fixture
def call(services: Services, owner: DatabaseOwner) -> Callable[..., Any]:
    def call(function: str, *params: object) -> Any:
        wanted = FunctionCall(owner=owner, function=function, params=list(params))
        (row,) = json.loads(run(call_steps(services, wanted)).rows)
        return row[function]

    return call


def at_once(count: int, do: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        try:
            results[number] = do(number)
        except Exception as exc:  # noqa: BLE001 - the test looks at it
            results[number] = exc

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_session_is_used_again_and_clean(call):
    backend = call("backend")
    for _ in range(5):
        call("set_and_lock")
        assert call("work_mem") != "77kB"
    assert call("backend") == backend


def test_every_caller_gets_its_own_answer(call):
    assert at_once(12, lambda number: [call("echo", number * 1000 + n) for n in range(20)]) == [
        [number * 1000 + n for n in range(20)] for number in range(12)
    ]


def test_idle_connections_that_the_server_ended_cost_no_error(call, admin, owner):
    backends = set(at_once(4, lambda _: (call("nap", 0.2), call("backend"))[1]))
    assert len(backends) > 1
    end_backends(admin, owner)
    assert at_once(4, lambda number: call("echo", number)) == [0, 1, 2, 3]
    assert call("backend") not in backends


def end_backends(admin: psycopg.Connection, owner: DatabaseOwner) -> None:
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
    assert admin.execute(query, [owner.database_name]).rowcount > 0


def test_a_call_whose_database_refuses_connections_tries_once(call, admin, owner, caplog):
    admin.execute(f'ALTER DATABASE "{owner.database_name}" ALLOW_CONNECTIONS false')
    with pytest.raises(ConnectionFailed, match="refuses the connection"):
        call("echo", 1)
    assert [record.levelname for record in caplog.records if "refuses connections" in record.message] == ["WARNING"]
    admin.execute(f'ALTER DATABASE "{owner.database_name}" ALLOW_CONNECTIONS true')
    assert call("echo", 1) == 1


def test_a_connection_that_ends_during_the_call_is_reported(call, admin, owner, postgres_url):
    backend = call("backend")

    def end_it_when_busy() -> None:
        with psycopg.connect(make_conninfo(postgres_url), autocommit=True) as watcher:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
            while not watcher.execute(query, [backend]).fetchall():
                pass

    ender = threading.Thread(target=end_it_when_busy)
    ender.start()
    with pytest.raises(ConnectionFailed) as failure:
        call("nap", 20)
    ender.join()
    assert "password" not in failure.value.message
    assert call("backend") != backend


def test_a_function_recreated_by_another_client(call, owner, postgres_url):
    assert call("echo", 1) == 1
    with psycopg.connect(make_conninfo(postgres_url, dbname=owner.database_name), autocommit=True) as other:
        other.execute(
            "DROP FUNCTION echo; CREATE FUNCTION echo(p text) RETURNS text LANGUAGE sql AS $$ SELECT p || '!' $$"
        )
    assert call("echo", 1) == "1!"


def test_what_does_not_exist(services, owner, call):
    with pytest.raises(FunctionNotFound):
        call("no_such_function")
    missing = FunctionCall(owner=tenant_database(owner.platform, "nobody"), function="echo", params=[1])
    with pytest.raises(DatabaseNotFound):
        run(call_steps(services, missing))


def test_after_a_database_is_recreated_its_new_functions_are_called(services, owner, call):
    assert call("echo", 1) == 1
    services.registry.forget(owner.database_name)
    services.lifecycle.drop(owner)
    services.lifecycle.create(
        owner,
        lambda connection: connection.execute(
            "CREATE FUNCTION echo(p text) RETURNS text LANGUAGE sql AS $$ SELECT 'new' $$"
        ),
    )
    assert call("echo", 1) == "new"


def test_a_deploy_through_the_gateway_is_noticed_at_once(services, owner, call):
    assert call("nap", 0.1) == 1
    with dedicated_to(services, services.directory.find(owner)) as connection:
        connection.execute("ALTER FUNCTION nap SET statement_timeout = '30ms'")
    with pytest.raises(QueryTimeout, match="30 ms"):
        call("nap", 0.2)

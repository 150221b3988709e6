from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from gateway.databases.catalog import drop_database
from gateway.errors import ConnectionFailed, DatabaseNotFound, PoolExhausted
from gateway.pools import CountedConnection
from tests.gateway.pools.conftest import pid_of
from tests.support.waiting import PATIENCE_SECONDS, wait_until


def test_a_connection_is_used_again(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    assert pid_of(registry, name) == pid_of(registry, name)
    statistics = registry.statistics()
    assert (statistics.hits, statistics.misses) == (1, 1)
    assert (statistics.active_pools, statistics.total_connections, statistics.max_total_connections) == (1, 1, 6)


def test_pools_are_psycopg_pools_with_their_statistics(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    pool = registry.pool_of(name)
    assert isinstance(pool, ConnectionPool)
    with pool.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert pool.get_stats()["requests_num"] == 1


def test_psycopg_s_ways_to_change_a_pool_work_or_refuse(make_registry, databases, admin):
    registry, (name,) = make_registry(), databases(1)
    pool = registry.pool_of(name)
    with registry.lease(name) as connection:
        leased, idle = connection.info.backend_pid, pid_of(registry, name)
        pool.drain()
        assert pool.idle_count == 0
        assert pid_of(registry, name) not in (idle, leased)
    assert pid_of(registry, name) != leased
    pool.check()
    assert pool.idle_count == 1
    admin.execute("SELECT pg_terminate_backend(%s)", [pid_of(registry, name)])
    wait_until(lambda: pool.check() or pool.idle_count == 0)
    pool.wait()
    with pytest.raises(NotImplementedError, match="budget"):
        pool.resize(3)


def test_two_leases_have_two_connections(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    with registry.lease(name) as one, registry.lease(name) as other:
        assert one.info.backend_pid != other.info.backend_pid
        assert one.autocommit


def test_session_options_hold_from_the_start_and_those_of_the_conninfo_win(make_registry, databases, postgres_url):
    registry = make_registry(
        conninfo=make_conninfo(postgres_url, options="-c lock_timeout=7s"),
        session_options={"statement_timeout": "12345", "lock_timeout": "1", "datestyle": "ISO, DMY"},
    )
    (name,) = databases(1)
    with registry.lease(name) as connection:
        shown = [
            connection.execute(f"SHOW {setting}").fetchone()[0]
            for setting in ("statement_timeout", "lock_timeout", "datestyle", "client_connection_check_interval")
        ]
    assert shown == ["12345ms", "7s", "ISO, DMY", "1s"]
    with registry.dedicated(name) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_missing_database_is_reported_at_once(make_registry):
    registry = make_registry()
    with pytest.raises(DatabaseNotFound) as caught, registry.lease("no such database"):
        pass
    assert caught.value.facts == {"database": "no such database"}
    with pytest.raises(DatabaseNotFound), registry.dedicated("no such database"):
        pass


def test_a_database_that_takes_no_connections_is_not_missing(make_registry, databases, admin):
    registry, (name,) = make_registry(), databases(1)
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    with pytest.raises(ConnectionFailed) as caught, registry.lease(name):
        pass
    assert "not currently accepting connections" in caught.value.facts["cause"]
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    pid_of(registry, name)


def test_a_process_that_has_connected_before_makes_one_connection_for_a_dedicated_one(
    make_registry, databases, monkeypatch
):
    registry, (name,), made = make_registry(), databases(1), []
    connect = vars(CountedConnection)["connect"].__func__

    def counted(cls, *args, **kwargs):
        made.append(connect(cls, *args, **kwargs))
        return made[-1]

    monkeypatch.setattr(CountedConnection, "connect", classmethod(counted))
    pid_of(registry, name)
    with registry.dedicated(name) as connection:
        assert len(made) == 2
        if connection.info.server_version >= 170000:
            assert connection.execute("SHOW transaction_timeout").fetchone() == ("0",)


def test_several_servers_are_tried_in_turn(make_registry, databases, postgres_url):
    given = conninfo_to_dict(postgres_url)
    hosts, ports = f"/nowhere,{given.get('host', '')}", f"5432,{given.get('port', 5432)}"
    registry, (name,) = make_registry(conninfo=make_conninfo(postgres_url, host=hosts, port=ports)), databases(1)
    with registry.lease(name) as pooled, registry.dedicated(name) as dedicated:
        assert pooled.autocommit
        assert pooled.info.dbname == dedicated.info.dbname == name


def test_no_error_has_the_password_or_the_address(make_registry):
    registry = make_registry(conninfo="host=127.0.0.1 port=1 user=someone password=sesame dbname=postgres")
    with pytest.raises(ConnectionFailed) as caught, registry.lease("anything"):
        pass
    assert caught.value.facts == {"cause": "Connection refused", "retry_after": 1}
    assert "sesame" not in repr(vars(registry.pool_of("anything"))["kwargs"])


def test_the_longest_idle_connection_is_evicted(make_registry, databases, backends):
    registry, names = make_registry(max_total_connections=3), databases(4)
    for name in names[:3]:
        pid_of(registry, name)
    pid_of(registry, names[0])
    pid_of(registry, names[3])
    assert set(backends()) == {names[2], names[0], names[3]}


def test_a_connection_in_use_is_never_evicted(make_registry, databases):
    registry, names = make_registry(max_total_connections=2), databases(3)
    with registry.lease(names[0]) as held, registry.lease(names[1]) as other:
        with pytest.raises(PoolExhausted), registry.lease(names[2], wait_timeout_seconds=0.3):
            pass
        assert held.execute("SELECT 1").fetchone() == other.execute("SELECT 1").fetchone()


def test_one_database_has_at_most_its_share(make_registry, databases):
    registry, names = make_registry(max_connections_per_pool=2), databases(2)
    with registry.lease(names[0]), registry.lease(names[0]):
        with pytest.raises(PoolExhausted), registry.lease(names[0], wait_timeout_seconds=0.3):
            pass
        with pytest.raises(PoolExhausted), registry.dedicated(names[0], wait_timeout_seconds=0.3):
            pass
        pid_of(registry, names[1])


def test_the_share_does_not_hold_for_administration(make_registry, postgres_url):
    registry = make_registry(max_connections_per_pool=1)
    maintenance = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
    with registry.dedicated(maintenance), registry.dedicated(maintenance), registry.lease(maintenance):
        assert registry.statistics().total_connections == 3


def test_a_dedicated_connection_displaces_an_idle_one_of_its_database(make_registry, databases, backends):
    registry, (name,) = make_registry(max_connections_per_pool=1), databases(1)
    pooled = pid_of(registry, name)
    with registry.dedicated(name) as connection:
        assert backends() == {name: [connection.info.backend_pid]}
        assert connection.info.backend_pid != pooled


def test_a_dedicated_connection_is_gone_at_the_end_and_even_in_the_middle_of_a_statement(make_registry, admin):
    registry = make_registry()
    with registry.dedicated("postgres") as connection:
        pid = connection.info.backend_pid
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
    assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() == (0,)
    assert registry.statistics().total_connections == 0


def test_the_longest_unused_pool_is_evicted(make_registry, databases):
    registry, names = make_registry(max_pools=2), databases(3)
    with registry.lease(names[0]):
        pid_of(registry, names[1])
        pid_of(registry, names[2])
        assert set(registry.worker_pools._pools) == {names[0], names[2]}
    wait_until(lambda: registry.statistics().total_connections == 2)


def test_a_forgotten_database_can_be_renamed_at_once(make_registry, databases, admin):
    registry, (name,) = make_registry(), databases(1)
    pid_of(registry, name)
    registry.forget(name)
    admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_new"')
    with pytest.raises(DatabaseNotFound), registry.lease(name):
        pass
    admin.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
    pid_of(registry, name)


def test_a_database_dropped_by_force_is_missing_afterwards(make_registry, databases, admin):
    registry, (name,) = make_registry(), databases(1)
    pid_of(registry, name)
    drop_database(admin, name)
    wait_until(lambda: registry.pool_of(name).idle_count == 0)
    with pytest.raises(DatabaseNotFound), registry.lease(name):
        pass


def test_closing_ends_idle_connections_and_then_those_in_use(make_registry, databases, backends, monkeypatch):
    monkeypatch.setattr("gateway.pools.worker_pools.CLOSE_SECONDS", PATIENCE_SECONDS)
    registry, names = make_registry(), databases(2)
    pid_of(registry, names[0])
    release = threading.Event()
    with ThreadPoolExecutor(2) as threads:

        def hold() -> None:
            with registry.lease(names[1]):
                release.wait()

        holder = threads.submit(hold)
        wait_until(lambda: registry.statistics().total_connections == 2)
        closing = threads.submit(registry.close)
        wait_until(lambda: set(backends()) == {names[1]})
        with pytest.raises(ConnectionFailed), registry.lease(names[0]):
            pass
        with pytest.raises(ConnectionFailed), registry.dedicated(names[0]):
            pass
        assert not closing.done()
        release.set()
        closing.result()
        holder.result()
    assert backends() == {}


def test_a_registry_made_before_the_fork_holds_nothing(postgres_url, tmp_path):
    """Run apart: a child is forked after the registry was made, and parent and child then use it at once."""
    program = """
import os, sys, threading
from pathlib import Path
from gateway.pools import ConnectionRegistry, CountedConnection, PoolOptions
from gateway.steps import Event
from tests.support.waiting import PATIENCE_SECONDS, wait_until
options = PoolOptions(conninfo=sys.argv[1], max_total_connections=5, max_connections_per_pool=2, max_pools=2,
    idle_timeout_seconds=60, max_lifetime_seconds=60, wait_timeout_seconds=60, slots_path=Path(sys.argv[2]) / "slots")
registry = ConnectionRegistry(options)
assert threading.active_count() == 1 and not os.listdir(sys.argv[2])
child = os.fork()
registry.open()
with registry.lease("postgres") as connection:
    (count,) = connection.execute("SELECT count(pg_sleep(0.2))").fetchone()
    pid = connection.info.backend_pid
total = registry.statistics().total_connections
registry.close()
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0
print(pid, total, flush=True)
"""
    finished = subprocess.run(
        [sys.executable, "-c", program, postgres_url, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert finished.returncode == 0, finished.stderr
    lines = [line.split() for line in finished.stdout.splitlines()]
    assert len({pid for pid, _ in lines}) == 2
    assert max(int(total) for _, total in lines) == 2


def test_threads_do_not_grow_with_databases(make_registry, databases):
    registry = make_registry()
    before = threading.active_count()
    for name in databases(4):
        pid_of(registry, name)
    assert threading.active_count() == before

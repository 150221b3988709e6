"""Connections that are lost, killed, cleaned or out of time are not leased again, and release their slots."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from tests.gateway.pools.conftest import pid_of
from tests.support.waiting import wait_until


def test_a_connection_killed_while_idle_is_not_leased(make_registry, databases, admin):
    registry, (name,) = make_registry(), databases(1)
    pid = pid_of(registry, name)
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    wait_until(lambda: registry.pool_of(name).idle_count == 0)
    assert pid_of(registry, name) != pid
    wait_until(lambda: registry.statistics().total_connections == 1)


def test_nothing_is_noted_in_the_slot_of_a_connection_that_has_ended(make_registry, databases, admin):
    registry, (name,) = make_registry(), databases(1)
    with registry.lease(name) as connection:
        link = connection.link
    assert link.busy()
    assert link.idle()
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
    wait_until(lambda: registry.statistics().total_connections == 0)
    assert not link.busy()
    assert not link.idle()
    assert registry.statistics().total_connections == 0


def test_a_connection_killed_in_use_releases_its_slot(make_registry, databases, admin):
    registry, (name,) = make_registry(max_total_connections=2), databases(1)
    with pytest.raises(psycopg.OperationalError), registry.lease(name) as connection:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        connection.execute("SELECT 1")
    wait_until(lambda: registry.statistics().total_connections == 0)
    pid_of(registry, name)


def test_a_connection_dropped_without_closing_releases_its_slot(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    lease = registry.lease(name)
    connection = lease.__enter__()
    connection.pgconn.send_query(b"SELECT pg_sleep(60)")
    connection._closed = True  # so that psycopg does not warn of what is done on purpose
    del connection, lease
    wait_until(lambda: registry.statistics().total_connections == 0)


def test_an_open_transaction_is_rolled_back(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    with registry.lease(name) as connection:
        pid = connection.info.backend_pid
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE half_done ()")
    wait_until(lambda: registry.pool_of(name).idle_count == 1)
    with registry.lease(name) as connection:
        assert connection.info.backend_pid == pid
        assert connection.execute("SELECT to_regclass('half_done')").fetchone() == (None,)


def test_a_connection_returned_in_the_middle_of_a_statement_is_closed(make_registry, databases):
    registry, (name,) = make_registry(), databases(1)
    with registry.lease(name) as connection:
        pid = connection.info.backend_pid
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
    assert pid_of(registry, name) != pid
    wait_until(lambda: registry.statistics().total_connections == 1)


def test_cleaning_delays_no_lease_and_no_lease_has_a_dirty_session(make_registry, databases):
    may_clean, cleaned = threading.Event(), []

    def clean(connection: psycopg.Connection) -> None:
        may_clean.wait(10)
        connection.execute("RESET ALL")
        cleaned.append(connection.info.backend_pid)

    registry, (name,) = make_registry(clean=clean), databases(1)
    with registry.lease(name) as connection:
        first = connection.info.backend_pid
        connection.execute("SET work_mem = '64kB'")
    with registry.lease(name) as connection:
        assert connection.info.backend_pid != first
        assert cleaned == []
        may_clean.set()
        wait_until(lambda: registry.pool_of(name).idle_count == 1)
        with registry.lease(name) as other:
            assert other.info.backend_pid == first
            assert other.execute("SHOW work_mem").fetchone() != ("64kB",)


def test_a_session_that_cannot_be_cleaned_is_closed(make_registry, databases):
    def clean(connection: psycopg.Connection) -> None:
        raise ValueError("it cannot be cleaned")

    registry, (name,) = make_registry(clean=clean), databases(1)
    first = pid_of(registry, name)
    wait_until(lambda: registry.statistics().total_connections == 0)
    assert pid_of(registry, name) != first


def test_a_session_that_needs_no_cleaning_is_back_at_once_even_with_its_cleaning_under_way(make_registry, databases):
    registry, (name,) = make_registry(clean=lambda _: None, needs_cleaning=lambda _: False), databases(1)
    with registry.lease(name) as connection:
        connection.pgconn.send_query(b"RESET ALL")
    with registry.lease(name) as again:
        assert again is connection
        assert again.pgconn.get_result() is not None
        assert again.pgconn.get_result() is None


def test_idle_connections_and_then_pools_end(make_registry, databases, backends):
    registry, names = make_registry(idle_timeout_seconds=0.2), databases(2)
    for name in names:
        pid_of(registry, name)
    wait_until(lambda: not registry.worker_pools._pools)
    wait_until(lambda: registry.statistics().total_connections == 0)
    assert backends() == {}
    assert registry.statistics().misses == 2


def test_a_connection_does_not_outlive_its_time(make_registry, databases):
    registry, (name,) = make_registry(max_lifetime_seconds=0.2), databases(1)
    first = pid_of(registry, name)
    with registry.lease(name):
        time.sleep(0.25)
    assert pid_of(registry, name) != first

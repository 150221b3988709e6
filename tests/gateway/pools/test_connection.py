from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.pools.connection import CountedConnection
from gateway.pools.conninfo import refusal


@pytest.mark.parametrize("at_once", [True, False])
def test_a_connection_made_at_once_is_as_psycopg_makes_it(postgres_url, at_once):
    with CountedConnection.connect(postgres_url, connect_timeout=60, at_once=at_once) as connection:
        assert connection.autocommit
        assert connection.pgconn.nonblocking
        assert connection.execute("SELECT %s::int + 1", [1]).fetchone() == (2,)


def test_both_ways_to_connect_report_a_refusal_alike(postgres_url):
    conninfo = make_conninfo(postgres_url, dbname="no such database")
    with pytest.raises(psycopg.OperationalError, match="no such database") as at_once:
        CountedConnection.connect(conninfo, connect_timeout=60, at_once=True)
    with pytest.raises(psycopg.OperationalError) as by_psycopg:
        CountedConnection.connect(conninfo, connect_timeout=60)
    assert refusal(at_once.value) == refusal(by_psycopg.value)


def test_a_silent_server_is_given_up_after_its_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conninfo = f"host=127.0.0.1 port={silent.getsockname()[1]} user=nobody"
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            CountedConnection.connect(conninfo, connect_timeout=0.05, at_once=True)

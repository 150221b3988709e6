"""Time, size, and clients that go away."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable

import psycopg
import pytest

from gateway.errors import ClientGone, ConnectionFailed, QueryFailed, QueryTimeout, ResponseTooLarge
from gateway.functions import SignatureCache, clean
from tests.gateway.functions.conftest import MAX_RESPONSE_BYTES, STATEMENT_TIMEOUT_MS
from tests.support.waiting import wait_until

FUNCTIONS = """
CREATE TABLE done (a integer);
CREATE FUNCTION nap(seconds float8) RETURNS integer LANGUAGE plpgsql
AS 'BEGIN INSERT INTO done VALUES (1); PERFORM pg_sleep(seconds); RETURN 1; END';
CREATE FUNCTION short_nap(seconds float8) RETURNS integer LANGUAGE plpgsql SET statement_timeout = '900ms'
AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END';
CREATE FUNCTION long_nap(seconds float8) RETURNS text LANGUAGE plpgsql SET statement_timeout = 9000
AS $$ BEGIN PERFORM pg_sleep(seconds); RETURN current_setting('statement_timeout'); END $$;
CREATE FUNCTION endless_nap(seconds float8) RETURNS integer LANGUAGE plpgsql SET statement_timeout = 0
AS 'BEGIN PERFORM pg_sleep(seconds); RETURN 1; END';
CREATE PROCEDURE nap_and_commit(seconds float8) LANGUAGE plpgsql
AS 'BEGIN INSERT INTO done VALUES (1); COMMIT; PERFORM pg_sleep(seconds); END';
CREATE FUNCTION timeout_here() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('statement_timeout') $$;
CREATE FUNCTION cancelled() RETURNS integer LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'not the clock' USING ERRCODE = 'query_canceled'; END $$;
CREATE FUNCTION rows_of(count integer, size integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO done VALUES (1);
    RETURN QUERY SELECT repeat('x', size) FROM generate_series(1, count);
END $$;
CREATE FUNCTION one_of(size integer) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', size) $$;
CREATE PROCEDURE put_out(size integer, INOUT result text DEFAULT '') LANGUAGE plpgsql
AS $$ BEGIN result := repeat('x', size); END $$;
"""


@pytest.fixture
def ready(caller, owner: psycopg.Connection):
    owner.execute(FUNCTIONS)
    assert caller.value("timeout_here")
    return caller


def done(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM done").fetchone()
    return row[0] if row else -1


@pytest.mark.parametrize("procedure", ["nap", "nap_and_commit"])
def test_a_call_ends_with_the_session_s_timeout(ready, owner, procedure):
    backend = ready.backend
    with pytest.raises(QueryTimeout, match=f"{STATEMENT_TIMEOUT_MS} ms") as failure:
        ready.rows(procedure, [60])
    assert failure.value.facts["sqlstate"] == "57014"
    assert ready.value("nap", [0]) == 1
    assert ready.backend == backend


def test_a_function_s_own_timeout_holds_for_it_and_for_nothing_else(ready):
    for _ in range(2):
        with pytest.raises(QueryTimeout, match="900 ms"):
            ready.rows("short_nap", [60])
        assert ready.value("short_nap", [0]) == 1
        assert ready.value("timeout_here") == f"{STATEMENT_TIMEOUT_MS}ms"
    assert ready.value("long_nap", [STATEMENT_TIMEOUT_MS / 1000 + 0.2]) == "9s"


def test_a_function_cannot_do_without_a_timeout(ready):
    with pytest.raises(QueryTimeout, match=f"{STATEMENT_TIMEOUT_MS} ms"):
        ready.rows("endless_nap", [60])


def test_a_changed_timeout_of_a_function_is_noticed(ready, owner, monkeypatch):
    monkeypatch.setattr("gateway.functions.signature_cache.MAX_AGE_SECONDS", 0)
    assert ready.value("nap", [0.1]) == 1
    owner.execute("ALTER FUNCTION nap SET statement_timeout = '30ms'")
    with pytest.raises(QueryTimeout, match="30 ms"):
        ready.rows("nap", [0.2])
    owner.execute("ALTER FUNCTION nap RESET statement_timeout")
    assert ready.value("nap", [0.1]) == 1


def test_a_timeout_that_the_gateway_itself_deploys_holds_at_once(ready, owner):
    deploys = []
    ready.services.signatures = SignatureCache(schemas=("public",), changes=lambda _: len(deploys))
    assert ready.value("nap", [0.1]) == 1
    owner.execute("ALTER FUNCTION nap SET statement_timeout = '30ms'")
    deploys.append("the second")
    with pytest.raises(QueryTimeout, match="30 ms"):
        ready.rows("nap", [0.2])


def test_a_timeout_that_a_function_raises_itself_is_its_error(ready):
    with pytest.raises(QueryFailed) as failure:
        ready.rows("cancelled")
    assert failure.value.facts["cause"] == "not the clock"


@pytest.mark.parametrize(
    ("count", "size", "fits"),
    [
        (1, MAX_RESPONSE_BYTES - 100, True),
        (1, MAX_RESPONSE_BYTES, False),
        (1, 5_000_000, False),  # which PostgreSQL renders well within the statement timeout
        (9, MAX_RESPONSE_BYTES // 10, True),
        (11, MAX_RESPONSE_BYTES // 10, False),
        (1_000_000, 5, False),
    ],
)
def test_an_answer_over_the_limit_is_refused(ready, owner, count, size, fits):
    backend = ready.backend
    if fits:
        assert ready.answer("rows_of", [count, size]).row_count == count
    else:
        with pytest.raises(ResponseTooLarge, match=f"{MAX_RESPONSE_BYTES} bytes"):
            ready.rows("rows_of", [count, size])
    assert ready.value("one_of", [3]) == "xxx"
    assert ready.backend == backend


def test_a_query_whose_answer_is_over_the_limit_is_stopped(ready, owner):
    owner.execute("""
        CREATE FUNCTION without_end() RETURNS SETOF text LANGUAGE sql STABLE
        AS $$ SELECT repeat('x', 1000) || generate_series(1, 2000000000) $$
    """)
    for _ in range(3):
        with pytest.raises(ResponseTooLarge):  # it would go on until it is timed out
            ready.rows("without_end")


def test_a_single_value_over_the_limit_never_reaches_the_gateway(ready):
    with pytest.raises(ResponseTooLarge):
        ready.rows("one_of", [5_000_000])
    with pytest.raises(ResponseTooLarge):
        ready.rows("put_out", [MAX_RESPONSE_BYTES])
    assert ready.rows("put_out", [3]) == [{"result": "xxx"}]


def wait_until_backend_is(state: str, owner: psycopg.Connection, backend: int) -> None:
    """The cleaning after a call is none of a call's activity."""
    query = "SELECT query LIKE '%%CLOSE ALL%%', state FROM pg_stat_activity WHERE pid = %s"
    wanted = [(False, "active")] if state == "active" else [(False, state), (True, state)]
    wait_until(lambda: owner.execute(query, [backend]).fetchone() in wanted)


class ClientPeer:
    """A client that has the connection *ours* to the gateway, as a thread sees it."""

    hang_up = select.POLLRDHUP

    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours
        self.probes = 0

    def fileno(self) -> int:
        return self._ours.fileno()

    def probe(self) -> None:
        self.probes += 1
        self._ours.send(b"H")


@pytest.fixture
def client():
    """The gateway's end of a client's connection, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("go", [lambda client: client.close(), lambda client: client.shutdown(socket.SHUT_RDWR)])
def test_a_call_whose_client_disconnects_is_cancelled(ready, owner, client, go: Callable[[socket.socket], None]):
    owner.execute("ALTER FUNCTION nap SET statement_timeout = '1h'")
    ours, theirs = client
    backend = ready.backend

    def leave_while_it_runs() -> None:
        wait_until_backend_is("active", owner, backend)
        go(theirs)

    leaver = threading.Thread(target=leave_while_it_runs)
    leaver.start()
    with pytest.raises(ClientGone):
        ready.answer("nap", [3000], peer=ClientPeer(ours))
    leaver.join()
    wait_until_backend_is("idle", owner, backend)
    assert done(owner) == 0
    assert ready.value("nap", [0]) == 1
    assert ready.backend == backend


def test_a_cancel_that_arrives_before_the_statement_has_begun_is_sent_again(ready, client, monkeypatch):
    """A busy server may read the call later than the cancel, which it then ignores."""
    monkeypatch.setattr("gateway.functions.protocol.CANCEL_SECONDS", STATEMENT_TIMEOUT_MS / 1000 - 0.5)
    ours, theirs = client
    for _ in range(3):  # from then on, a call is all that is sent
        assert ready.value("nap", [0]) == 1
    backend = ready.backend
    theirs.close()
    os.kill(backend, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (backend, signal.SIGCONT)).start()
    with pytest.raises(ClientGone):
        ready.answer("nap", [3000], peer=ClientPeer(ours))
    assert ready.value("nap", [0]) == 1
    assert ready.backend == backend


def test_a_client_that_has_disconnected_is_not_waited_for(ready, client):
    ours, theirs = client
    theirs.close()
    with pytest.raises(ClientGone):
        ready.answer("nap", [1.4], peer=ClientPeer(ours))


def test_a_client_that_has_ended_its_sending_is_still_connected(ready, client):
    ours, theirs = client
    theirs.shutdown(socket.SHUT_WR)
    peer = ClientPeer(ours)
    assert ready.answer("nap", [0.3], peer=peer).row_count == 1
    assert peer.probes == 1


def test_a_client_that_sends_its_next_request_early_is_still_connected(ready, client):
    ours, theirs = client
    theirs.sendall(b"POST /call HTTP/1.1\r\n")
    assert ready.answer("nap", [0.1], peer=ClientPeer(ours)).row_count == 1


def test_a_client_s_socket_that_is_closed_on_our_side_is_not_watched(ready, client):
    ours, _ = client
    ours.close()
    assert ready.answer("nap", [0.05], peer=ClientPeer(ours)).row_count == 1


def test_a_server_that_stops_answering_is_given_up(ready, owner, monkeypatch):
    monkeypatch.setattr("gateway.functions.execution.GRACE_SECONDS", -STATEMENT_TIMEOUT_MS / 1000 + 0.3)
    backend = ready.backend
    clean(ready.registry.connection)
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionFailed):
            ready.rows("nap", [0])
    finally:
        os.kill(backend, signal.SIGCONT)
    monkeypatch.undo()
    assert ready.value("nap", [0]) == 1
    assert ready.backend != backend

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.pools import scram
from gateway.pools.connection import CountedConnection
from gateway.pools.scram import Challenge, ScramLogin, scram_login

ROLE = f"scram_test_{os.getpid()}"
PASSWORD = "p 'w\\ 7"

pytestmark = pytest.mark.skipif(not scram.HAS_KEYS, reason="libpq is older than version 18")


@pytest.fixture
def set_password(superuser: psycopg.Connection) -> Iterator[Callable[[str], None]]:
    """Set the password of the role, each time with another salt."""

    def change(password: str) -> None:
        superuser.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), password))

    superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
    change(PASSWORD)
    yield change
    superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.fixture
def connect(postgres_url: str, set_password: object) -> Callable[..., None]:
    """Connect as the role, and check that the connection can be used."""

    def to_server(login: ScramLogin | None, password: str = PASSWORD) -> None:
        conninfo = make_conninfo(postgres_url, user=ROLE, password=password)
        connection = CountedConnection.connect(conninfo, connect_timeout=5, at_once=True, login=login)
        try:
            assert connection.pgconn.exec_(b"SELECT current_user").get_value(0, 0) == ROLE.encode()
        finally:
            connection.close()

    return to_server


def test_a_second_connection_uses_the_keys_and_not_the_password(connect):
    login = ScramLogin(PASSWORD)
    connect(login)
    assert login.keys is not None
    connect(login, password="not the password")


def test_without_keys_the_password_is_used(connect):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(ScramLogin(PASSWORD), password="not the password")


def test_a_password_that_was_set_again_has_other_keys(connect, set_password):
    login = ScramLogin(PASSWORD)
    connect(login)
    before = login.keys
    set_password(PASSWORD)
    connect(login)
    assert login.keys is not None
    assert login.keys.challenge != before.challenge
    connect(login, password="not the password")


def test_the_first_connection_has_ended_before_the_second_one_is_made():
    """Both have one slot of the budget."""
    login = ScramLogin(PASSWORD)
    login.derive_keys(Challenge(b"c2FsdA==", 4096))
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:
        conninfo = f"host=127.0.0.1 port={server.getsockname()[1]} user=u sslmode=disable gssencmode=disable"
        client = threads.submit(CountedConnection.connect, conninfo, connect_timeout=30, at_once=True, login=login)
        first, _ = server.accept()
        with first:
            first.recv(1000)
            first.send(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0")
            nonce = first.recv(1000).rpartition(b"r=")[2]
            challenge = b"r=%bserver,s=b3RoZXI=,i=4096" % nonce
            first.send(b"R" + (len(challenge) + 8).to_bytes(4, "big") + b"\0\0\0\x0b" + challenge)
            assert first.recv(1000) == b""
            assert not select.select([server], [], [], 0.1)[0]
        server.accept()[0].close()
        with pytest.raises(psycopg.OperationalError):
            client.result()


def test_a_changed_password_is_refused_with_the_message_of_the_server(connect, set_password):
    login = ScramLogin(PASSWORD)
    connect(login)
    set_password("another")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(login)
    set_password(PASSWORD)
    connect(login)


def test_keys_are_given_up_for_a_server_that_changes_its_salt_all_the_time(connect, set_password, monkeypatch):
    monkeypatch.setattr(scram, "MOST_DERIVATIONS", 2)
    login = ScramLogin(PASSWORD)
    for _ in range(3):
        set_password(PASSWORD)
        connect(login)
    assert login.keys is None
    connect(login)


@pytest.mark.parametrize("password", [None, "", "pässword"])
def test_other_passwords_are_left_to_libpq(password):
    assert scram_login(password) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"R\0\0\0\x22\0\0\0\x0br=abc/,s=c2FsdA==,i=4096", Challenge(b"c2FsdA==", 4096)),
        (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", None),  # the offer before it
        (b"R\0\0\0\x22\0\0\0\x0br=abc/,s=c2FsdA==", None),  # a part of it
        (b"E\0\0\0\x08SFATAL\0\0", None),
    ],
)
def test_a_challenge_is_recognized_and_left_to_libpq(message, expected):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(message)
        assert Challenge.waiting_on(ours.fileno()) == expected
        assert ours.recv(100) == message

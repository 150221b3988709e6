"""A connection that has a slot of the budget, and what is needed to make one."""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Self

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import PGconn, PollingStatus, abc
from psycopg.rows import TupleRow

from gateway.pools.budget import Budget
from gateway.pools.scram import Challenge, ScramKeys, ScramLogin
from gateway.pools.throttle import Throttle

_WAITED_FOR: Final = {PollingStatus.READING: select.POLLIN, PollingStatus.WRITING: select.POLLOUT}

_WAIT_SECONDS: Final = 0.1  #: psycopg's interval, after which it handles signals

TERMINATION_SECONDS: Final = 5.0  #: after which a backend that should end is treated as an orphan


class CountedConnection(psycopg.Connection[TupleRow]):
    """A psycopg connection whose slot is released after its closing, when the backend has ended."""

    database: str = ""
    link: Link | None = None  #: None only while it is being made
    session: Any = None  #: the state that its users keep with it, see ``functions.call_session``
    _expire_at: float  #: psycopg_pool's: when its lifetime ends, on the clock of ``time.monotonic``

    @classmethod
    def connect(  # type: ignore[override]  # the rest of psycopg's parameters is of no use here
        cls,
        conninfo: str = "",
        *,
        connect_timeout: float,
        at_once: bool = False,
        login: ScramLogin | None = None,
    ) -> Self:
        """Connect to a server, in autocommit.

        psycopg reads a conninfo twice for every connection, to divide it into attempts and to look up names. Where
        there is nothing to divide or to look up, libpq alone takes less than half as much CPU.

        :param connect_timeout: in seconds
        :param at_once: let libpq connect by itself; only where there is ``conninfo.one_address``
        :param login: with the password of *conninfo*, so that libpq need not hash it; used only with *at_once*
        :raises psycopg.OperationalError: it cannot be made
        """
        if not at_once:
            return super().connect(conninfo, autocommit=True, connect_timeout=max(1, round(connect_timeout)))
        pgconn = _connect_at_once(conninfo.encode(), monotonic() + connect_timeout, login)
        pgconn.nonblocking = 1
        connection = cls(pgconn)
        connection._autocommit = True
        return connection

    @property
    def lost(self) -> bool:
        """Return whether the server has closed the connection, also if it was not used since."""
        return self.closed or self.link is None or self.link.ended

    def close(self) -> None:
        """End the session. The slot is free when the backend is gone."""
        link = self.link
        if link is None:
            super().close()
        else:
            link.close(super().close, orderly=not self.closed)


class ThrottledConnection(CountedConnection):
    """A connection of a deploy."""

    throttle: Throttle | None = None  #: of its statements

    def wait(self, gen: PQGen[RV], interval: float = _WAIT_SECONDS, timeout: float | None = None) -> RV:
        """Wait for the end of a statement, as psycopg does."""
        if self.throttle is None:
            return super().wait(gen, interval, timeout)
        with self.throttle.turn():
            return super().wait(gen, interval, timeout)


class _OtherChallengeError(Exception):
    """The server has sent another salt for the password, so the known keys are not valid."""


def _connect_at_once(conninfo: bytes, deadline: float, login: ScramLogin | None) -> abc.PGconn:
    """Connect with the keys of *login* if they are known, and derive them otherwise."""
    keys = login.keys if login is not None else None
    pgconn = PGconn.connect_start(conninfo + keys.parameters if keys is not None else conninfo)
    try:
        challenge = _finish_connecting(pgconn, deadline, keys, reads_challenge=login is not None)
    except _OtherChallengeError:
        assert login is not None  # without one there are no keys
        login.keys = None
        _finish_and_wait(pgconn, deadline)
        return _connect_at_once(conninfo, deadline, login)
    except BaseException:
        pgconn.finish()
        raise
    if login is not None and keys is None and challenge is not None:
        login.derive_keys(challenge)
    return pgconn


def _finish_and_wait(pgconn: abc.PGconn, deadline: float) -> None:
    """Close a connection that is being made, and return when its backend has ended: the next one has the same slot."""
    with socket.socket(fileno=os.dup(pgconn.socket)) as duplicate:
        pgconn.finish()
        duplicate.shutdown(socket.SHUT_WR)
        duplicate.settimeout(max(0.0, deadline - monotonic()))
        try:
            while duplicate.recv(4096):
                pass
        except TimeoutError:
            raise psycopg.errors.ConnectionTimeout("connection timeout expired") from None


def _finish_connecting(
    pgconn: abc.PGconn, deadline: float, keys: ScramKeys | None, *, reads_challenge: bool
) -> Challenge | None:
    """Return when *pgconn* is connected, with the challenge of the server if it has sent one without TLS.

    :raises _OtherChallengeError: it is not the challenge that *keys* are for
    """
    challenge: Challenge | None = None
    while (status := pgconn.connect_poll()) != PollingStatus.OK:
        if status == PollingStatus.FAILED:
            raise psycopg.OperationalError(f"connection failed: {pgconn.get_error_message()}")
        poller = select.poll()  # a new one, because libpq may continue with another socket
        poller.register(pgconn.socket, _WAITED_FOR[PollingStatus(status)])
        if not poller.poll(max(0, int((deadline - monotonic()) * 1000))):
            raise psycopg.errors.ConnectionTimeout("connection timeout expired")
        if reads_challenge and challenge is None and status == PollingStatus.READING:
            challenge = Challenge.waiting_on(pgconn.socket)
            if keys is not None and challenge not in (None, keys.challenge):
                raise _OtherChallengeError
    return challenge


class Link:
    """The watched descriptor of a connection, and the slot that is freed through it."""

    def __init__(self, connection: CountedConnection, slot: int, budget: Budget) -> None:
        self.slot = slot
        self.connection = weakref.ref(connection)
        self.socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        self.ended = False  #: the server has closed its end, or the wait for that was given up
        self.deadline = float("inf")  #: of the wait for the backend's end, after :meth:`close`
        self.gone = threading.Event()  #: set when the slot is free or an orphan
        self._orderly = False
        self._budget = budget
        self._lock = threading.Lock()  # after the watcher has ended the link, nothing is written to the slot

    def busy(self) -> bool:
        """Mark the slot as leased. Return False if the connection has ended, so that the slot is not this process's."""
        with self._lock:
            if not self.ended:
                self._budget.busy(self.slot)
            return not self.ended

    def idle(self) -> bool:
        """Mark the slot as one that may be evicted. Return False if the connection has ended."""
        with self._lock:
            if not self.ended:
                self._budget.idle(self.slot)
            return not self.ended

    def close(self, finish: Callable[[], None], *, orderly: bool) -> None:
        """End the connection from this side.

        :param finish: psycopg's closing, which sends PostgreSQL's Terminate message
        :param orderly: the connection works, so that its end will be the backend's answer to Terminate
        """
        with self._lock:
            if not self.ended:
                self.deadline = monotonic() + TERMINATION_SECONDS
                self._orderly |= orderly
                if orderly:
                    self._budget.closing(self.slot)
            finish()
            if not self.ended:  # the duplicate keeps the socket open, and a busy backend checks only the socket
                self._shut()

    def _shut(self) -> None:
        with suppress(OSError):  # the server has closed the connection
            self.socket.shutdown(socket.SHUT_WR)

    def end(self) -> bool:
        """Handle the end of the backend, or of the wait for it. Return whether the backend has certainly ended."""
        with self._lock:
            sure = self._orderly and monotonic() < self.deadline
            self.ended = True
            if not sure:
                self._budget.lost(self.slot)
            self.socket.close()
            return sure

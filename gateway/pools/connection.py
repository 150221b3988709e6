"""A connection that has a slot of the budget, and what is needed to make one."""

from __future__ import annotations

import os
import re
import select
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from gateway.pools.watcher import Link

APPLICATION_NAME: Final = "stonescriptdb-gateway"
DEDICATED_APPLICATION_NAME: Final = f"{APPLICATION_NAME} administration"
CONNECT_TIMEOUT_SECONDS: Final = 5  #: for reaching the server and logging in; a server that is up takes milliseconds
CHECK_INTERVAL_MS: Final = 1000  #: how soon a busy backend notices that its client is gone (PostgreSQL 14 and newer)

_WHERE = re.compile(r"^(?:connection (?:failed|is bad): )?(?:connection to server .*? failed: )?")
_ESCAPED = re.compile(r"([\\\s])")


class CountedConnection(psycopg.Connection[TupleRow]):
    """A psycopg connection whose closing gives its slot back: not at once, but when the backend is gone."""

    database: str = ""
    link: Link | None = None  #: None only while it is being made
    _expire_at: float  #: psycopg_pool's: when it has lived long enough, on the clock of time.monotonic

    @property
    def lost(self) -> bool:
        """Whether the server's end of the connection is gone, also when nobody has tried to use it since."""
        return self.closed or self.link is None or self.link.ended

    def close(self) -> None:
        """End the session. The slot is free when the backend is gone."""
        link = self.link
        if link is None:
            super().close()
        else:
            link.hang_up(super().close, orderly=not self.closed)


def conninfo_for(conninfo: str, database: str, *, application_name: str, session_options: Mapping[str, str]) -> str:
    """The conninfo of one of the server's databases, with settings for the whole session in its startup packet.

    The ``options`` of *conninfo* stay, and win over *session_options*.
    """
    given = conninfo_to_dict(conninfo)
    settings = {"client_connection_check_interval": str(CHECK_INTERVAL_MS)} | dict(session_options)
    options = ["-c {}={}".format(name, _ESCAPED.sub(r"\\\1", value)) for name, value in settings.items()]
    if given.get("options"):
        options.append(str(given["options"]))
    return make_conninfo(
        conninfo,
        dbname=database,
        application_name=application_name,
        options=" ".join(options),
        connect_timeout=given.get("connect_timeout") or CONNECT_TIMEOUT_SECONDS,
    )


def close_and_wait(connection: psycopg.Connection, seconds: float) -> None:
    """Close a connection that nobody watches, and wait up to *seconds* until its backend is gone."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as end:
        connection.close()
        poll = select.poll()
        poll.register(end, getattr(select, "POLLRDHUP", 0))
        poll.poll(seconds * 1000)


def refusal(error: psycopg.Error) -> str:
    """What the server or the network said about an attempt to connect, without the address."""
    return _WHERE.sub("", str(error).partition("\n")[0]).strip()

"""Connection strings of libpq: of the server and of its databases."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

APPLICATION_NAME: Final = "stonescriptdb-gateway"
DEDICATED_APPLICATION_NAME: Final = f"{APPLICATION_NAME} administration"
CONNECT_TIMEOUT_SECONDS: Final = 5  #: for connecting and logging in, which usually takes milliseconds
CHECK_INTERVAL_MS: Final = 1000  #: between a busy backend's checks of its client (PostgreSQL 14 and newer)

_WHERE: Final = re.compile(r"^(?:connection (?:failed|is bad): )?(?:connection to server .*? failed: )?")
_ESCAPED: Final = re.compile(r"([\\\s])")
_QUOTED: Final = re.compile(r"([\\'])")


def one_address(conninfo: str) -> bool:
    """Return whether *conninfo*, with libpq's environment, names one server, without a name to look up."""
    defaults = {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}
    given = defaults | conninfo_to_dict(conninfo)
    address = str(given["hostaddr"] or given["host"])
    if given["service"] or "," in address:
        return False
    if not address or address.startswith("/") or address == "localhost":
        return True
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


def conninfo_of_server(conninfo: str, *, application_name: str, session_options: Mapping[str, str]) -> str:
    """Return the conninfo for any of the server's databases, with settings for the session in its startup packet.

    The ``options`` of *conninfo* stay, and win over *session_options*. GSSAPI encrypts the connection only if
    *conninfo* or libpq's environment asks for it, because calls without encryption are cheaper (decision 53).
    """
    given = conninfo_to_dict(conninfo)
    settings = {"client_connection_check_interval": str(CHECK_INTERVAL_MS)} | dict(session_options)
    options = ["-c {}={}".format(name, _ESCAPED.sub(r"\\\1", value)) for name, value in settings.items()]
    if given.get("options"):
        options.append(str(given["options"]))
    unencrypted = {} if _chooses_gssencmode(given) else {"gssencmode": "disable"}
    return make_conninfo(
        conninfo,
        **unencrypted,
        application_name=application_name,
        options=" ".join(options),
        connect_timeout=given.get("connect_timeout") or CONNECT_TIMEOUT_SECONDS,
    )


def _chooses_gssencmode(given: Mapping[str, object]) -> bool:
    """Return whether GSSAPI encryption was chosen, or may be chosen in a service file."""
    return bool(given.keys() & {"gssencmode", "service"} or os.environ.keys() & {"PGGSSENCMODE", "PGSERVICE"})


def conninfo_of_database(server: str, database: str, login: Mapping[str, str] | None = None) -> str:
    """Return the conninfo of one of the server's databases. The last value in a conninfo wins.

    :param login: ``user`` and ``password``, where they are not the server's own
    """
    parts = {"dbname": database, **(login or {})}
    return " ".join([server, *("{}='{}'".format(name, _QUOTED.sub(r"\\\1", value)) for name, value in parts.items())])


def maintenance_database(conninfo: str) -> str:
    """Return the database that *conninfo* names, or libpq's default, the user's name."""
    given = conninfo_to_dict(conninfo)
    return str(given.get("dbname") or given.get("user") or "postgres")


def refusal(error: psycopg.Error) -> str:
    """Return the message of the server or the network about an attempt to connect, without the address."""
    return _WHERE.sub("", str(error).partition("\n")[0]).strip()

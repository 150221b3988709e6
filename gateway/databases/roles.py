"""Login roles of platforms: each owns its platform's databases and can connect to no others.

Invariants, if PLATFORM_ROLES is on:

1. SQL of a platform runs in sessions that have logged in as the platform's role. No session of the gateway's own role
   is ever in a database of a platform: objects defined there could use its privileges.
2. A database is a platform's only if it has its stamp and the platform's role owns it, because an owner can write
   any stamp.
3. A database allows no connections before CONNECT is revoked from PUBLIC.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from gateway.environment import key_name_of
from gateway.errors import GatewayError
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_SECRET_BYTES: Final = 32
_NAMED_CHARACTERS: Final = 40  #: of the platform's name, in the role's; what follows makes it the platform's alone
_NAMED_OBJECTS: Final = 5  #: in an error
_INHERIT_OPTION_SINCE: Final = 160000  #: server version whose GRANT of a role says whether it is inherited


class PlatformRoles:
    """The roles of platforms: their names, their passwords, and the role for each database."""

    def __init__(self, secret_file: Path, *, maintenance_database: str) -> None:
        """Create the object; reads and writes nothing yet.

        :param secret_file: the secret for deriving passwords; created if missing, shared by all processes that log in
        """
        self._secret_file = secret_file
        self._maintenance_database = maintenance_database
        # Both are changed by single operations only, which threads cannot see half done.
        self._platforms: dict[str, str] = {}  # database → platform, of all that this process may connect to
        self._existing: set[str] = set()  # platforms whose role is known to exist

    @staticmethod
    def role_of(platform: str) -> str:
        """Return the name of a platform's role: a different one for every platform, also if names fold into one."""
        own = blake2b(platform.encode(), digest_size=4).hexdigest()
        return f"platform_{key_name_of(platform).lower()[:_NAMED_CHARACTERS]}_{own}"

    def remember(self, database: str, platform: str) -> bool:
        """Use *platform*'s role for *database* from now on. Return whether it was another platform's before."""
        before = self._platforms.get(database)
        self._platforms[database] = platform
        return before is not None and before != platform

    def login_to(self, database: str) -> dict[str, str]:
        """Return the ``user`` and ``password`` for *database*; nothing for the maintenance database.

        :raises GatewayError: its platform is not known
        """
        if database == self._maintenance_database:
            return {}
        platform = self._platforms.get(database)
        if platform is None:
            raise GatewayError("the role for connections to the database is unknown", database=database)
        role = self.role_of(platform)
        return {"user": role, "password": self.password_of(role)}

    def password_of(self, role: str) -> str:
        """Return the password of a role, derived from the secret."""
        return urlsafe_b64encode(hmac.digest(self._secret, role.encode(), "sha256")).decode()

    def ensure(self, session: psycopg.Connection[Any], platform: str, *, renew: bool = False) -> None:
        """Create the platform's role if it is missing.

        :param session: one of the gateway's role, in the maintenance database
        :param renew: set its password again, if it exists
        :raises GatewayError: the gateway's role lacks the privilege
        """
        if platform in self._existing and not renew:
            return
        role = self.role_of(platform)
        missing = session.execute(_QUERIES["role_named"], {"name": role}).fetchone() is None
        if missing or renew:
            self._make(session, role, missing=missing)
        self._existing.add(platform)

    def _make(self, session: psycopg.Connection[Any], role: str, *, missing: bool) -> None:
        name, encoding = sql.Identifier(role), session.info.encoding
        # What the server stores, and not the password itself, which could be written to its log.
        verifier = session.pgconn.encrypt_password(
            self.password_of(role).encode(encoding), role.encode(encoding), b"scram-sha-256"
        ).decode()
        grant = "GRANT {} TO CURRENT_USER"
        if session.info.server_version >= _INHERIT_OPTION_SINCE:
            grant += " WITH INHERIT TRUE, SET TRUE"
        verb = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}" if missing else "ALTER ROLE {} LOGIN PASSWORD {}")
        try:
            with session.transaction():
                session.execute(verb.format(name, sql.Literal(verifier)))
                session.execute(sql.SQL(grant).format(name))
        except errors.DuplicateObject:
            return  # another request has created it
        except errors.InsufficientPrivilege as exc:
            raise GatewayError(
                "PLATFORM_ROLES=on needs CREATEROLE for the gateway's role, which must own the platforms' roles",
                cause=exc.diag.message_primary,
                sqlstate=exc.sqlstate,
                detail=exc.diag.message_detail,
            ) from exc

    def make_owner(self, session: psycopg.Connection[Any], database: str, platform: str) -> None:
        """Make the platform's role the owner of a closed database, and allow connections of this role alone."""
        name = sql.Identifier(database)
        session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(self.role_of(platform))))
        session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        self.remember(database, platform)

    def forget(self, database: str) -> None:
        """Forget the role for *database*, which was dropped or renamed."""
        self._platforms.pop(database, None)

    @cached_property
    def _secret(self) -> bytes:
        """Return the secret for deriving passwords. The first process writes it, atomically."""
        if not self._secret_file.exists():
            self._secret_file.parent.mkdir(parents=True, exist_ok=True)
            own = self._secret_file.with_name(f".{self._secret_file.name}.{secrets.token_hex(8)}")
            descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(own, self._secret_file)
            own.unlink()
        return self._secret_file.read_bytes()


def hand_over(connection: psycopg.Connection[Any], role: str) -> None:
    """Make *role* the owner of a database and of the gateway's objects in it, and revoke CONNECT from others.

    In one transaction. ``REASSIGN OWNED`` reassigns the objects of the gateway's role in the whole server, databases
    and tablespaces too; those are taken back before the commit.

    :param connection: one of the gateway's role in that database
    :raises GatewayError: something in it belongs to a third role; nothing is changed
    :raises psycopg.Error: the gateway's role may not; nothing is changed
    """
    to, this = sql.Identifier(role), sql.Identifier(connection.info.dbname)
    with connection.transaction():
        others = connection.execute(_QUERIES["owned_in_the_server"]).fetchall()
        # First, because the owner of objects in the schema public needs CREATE on it, which the database's owner has.
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(this, to))
        connection.execute(sql.SQL("REASSIGN OWNED BY CURRENT_USER TO {}").format(to))
        for kind, name in others:
            back = sql.SQL("ALTER {} {} OWNER TO CURRENT_USER").format(sql.SQL(kind), sql.Identifier(name))
            connection.execute(back)
        _check_owners(connection, role)
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(this))


def _check_owners(connection: psycopg.Connection[Any], role: str) -> None:
    """Refuse a database in which *role* would not own all that a deploy may have to change."""
    rows = connection.execute(_QUERIES["objects_of_others"], {"role": role}).fetchall()
    if not rows:
        return
    owners = sorted({owner for _, owner in rows})
    first = ", ".join(f"{name} ({owner})" for name, owner in rows[:_NAMED_OBJECTS])
    raise GatewayError(
        f"{len(rows)} objects in {connection.info.dbname} belong to {', '.join(owners)} and not to the gateway's role: "
        f"{first}{' …' if len(rows) > _NAMED_OBJECTS else ''}. Let a superuser give them to the gateway's role "
        "(ALTER … OWNER TO; or REASSIGN OWNED BY, which gives away all that a role owns) and run the command again"
    )


def is_open_to_all(session: psycopg.Connection[Any], database: str) -> bool:
    """Return whether PUBLIC may connect to *database*."""
    row = session.execute(_QUERIES["open_to_public"], {"name": database}).fetchone()
    return bool(row and row[0])

"""The keys of SCRAM authentication, derived once from a password and the salt that the server has for it.

For every connection libpq hashes the password repeatedly, usually 4,096 times. That takes some 3 ms, during which no
other thread can execute Python. Since version 18 libpq accepts the resulting keys in the conninfo. They depend on the
salt in the server's challenge, so each challenge is read from the socket (MSG_PEEK) before libpq reads it.
"""

from __future__ import annotations

import hmac
import re
import socket
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import pbkdf2_hmac
from typing import Final, Self

from psycopg import pq

#: AuthenticationSASLContinue with the server's first message (RFC 5802): nonce, salt, number of iterations.
_CHALLENGE: Final = re.compile(rb"R.{4}\0\0\0\x0br=[^,]+,s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,8})\Z", re.DOTALL)
_LONGEST_CHALLENGE: Final = 4096
_HASH: Final = "sha256"
MOST_DERIVATIONS: Final = 20  #: of one password; each follows a change of its salt, which is usually a change of it
HAS_KEYS: Final = pq.version() >= 180000  #: whether libpq accepts keys


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's challenge, as far as the keys of a password depend on it."""

    salt: bytes  #: in base64
    iterations: int

    @classmethod
    def waiting_on(cls, descriptor: int) -> Self | None:
        """Return the challenge that is the next message on a socket without TLS, which is not read; None if it is not.

        :param descriptor: of the socket, which stays open
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
        try:
            received = connection.recv(_LONGEST_CHALLENGE, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:  # libpq reports it
            return None
        finally:
            connection.detach()
        found = _CHALLENGE.match(received)
        return cls(found[1], int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """The keys for one challenge, as parameters to add to a conninfo."""

    challenge: Challenge
    parameters: bytes


class ScramLogin:
    """A password, and its keys once a challenge was seen. For all threads."""

    def __init__(self, password: str) -> None:
        """Start without keys.

        :param password: in ASCII, because libpq normalizes any other before it hashes it
        """
        self.keys: ScramKeys | None = None  #: of the last challenge
        self._password = password.encode("ascii")
        self._derivations = 0

    def derive_keys(self, challenge: Challenge) -> None:
        """Set the keys for *challenge* (RFC 5802, section 3).

        A server that has another salt for every connection gets no keys any more after some connections.
        """
        if self._derivations == MOST_DERIVATIONS:
            return
        self._derivations += 1
        salted = pbkdf2_hmac(_HASH, self._password, b64decode(challenge.salt), challenge.iterations)
        client, server = (b64encode(hmac.digest(salted, name, _HASH)) for name in (b"Client Key", b"Server Key"))
        self.keys = ScramKeys(challenge, b" scram_client_key=%b scram_server_key=%b" % (client, server))


def scram_login(password: str | None) -> ScramLogin | None:
    """Return the login with *password*, or None where libpq has to hash it."""
    return ScramLogin(password) if password and password.isascii() and HAS_KEYS else None

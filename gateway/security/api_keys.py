"""API keys: the owner of the key in a request, and the platforms it is valid for."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from gateway.environment import ADMIN_KEY, key_name_of
from gateway.errors import GatewayError, PlatformIsolationViolation, Unauthorized
from gateway.naming import MAX_DATABASE_NAME_BYTES

if TYPE_CHECKING:
    from gateway.security.rate_limits import RateLimits

_DIGEST_BYTES: Final = 32
_log: Final = logging.getLogger(__name__)


class ApiKeys:
    """The keys of the platforms and of the administration.

    They are kept and compared as keyed digests. The time of a lookup reveals nothing about the keys, because clients
    cannot choose a digest; the final comparison takes constant time.
    """

    def __init__(self, keys: Mapping[str, Sequence[str]]) -> None:
        """Store the digests of *keys*.

        :param keys: by owner: ``key_name_of`` a platform, or ADMIN_KEY
        """
        self._secret = secrets.token_bytes(32)
        digests = [(self._digest(key), name) for name, of_name in keys.items() for key in of_name]
        self._by_digest = {digest: (digest, name) for digest, name in digests}
        self._names = frozenset(keys)

    def __bool__(self) -> bool:
        """Return whether any key is set."""
        return bool(self._names)

    @property
    def admin_has_key(self) -> bool:
        """Whether an admin key is configured."""
        return ADMIN_KEY in self._names

    def platform_has_key(self, platform: str) -> bool:
        """Return whether *platform* has a key of its own."""
        return key_name_of(platform) in self._names

    def name_of(self, key: str) -> str | None:
        """Return the owner of *key*, or None if the key is wrong."""
        digest = self._digest(key)
        known, name = self._by_digest.get(digest, (bytes(_DIGEST_BYTES), ""))
        return name if compare_digest(known, digest) else None

    def _digest(self, key: str) -> bytes:
        return blake2b(key.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=_DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request, by its key.

    :ivar name: the owner of the key: the ``key_name_of`` platforms, or ADMIN_KEY; None without a key
    :ivar address: the client's, for the log
    :ivar only_platforms_with_key: it may name only platforms with a key, also with the admin key
    :ivar rate_limits: count its requests for the platforms that they name
    """

    keys: ApiKeys
    name: str | None = None
    address: str = ""
    only_platforms_with_key: bool = False
    rate_limits: RateLimits | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the request has the admin key."""
        return self.name == ADMIN_KEY

    def check_platform(self, platform: str) -> None:
        """Check that this caller may name *platform* now. Called once per request.

        :raises Unauthorized: the platform has a key and the request has none, or the route requires one and it has none
        :raises PlatformIsolationViolation: the key belongs to another platform
        :raises RateLimited: the platform has reached its rate limit
        """
        if len(platform) > MAX_DATABASE_NAME_BYTES:
            return  # no platform can have this name, and the request will be refused for it
        self._check_key(platform)
        if self.rate_limits is not None:
            self.rate_limits.count(platform)

    def _check_key(self, platform: str) -> None:
        if self.only_platforms_with_key and not self.keys.platform_has_key(platform):
            message = "this is off for a platform that has no API key (API_KEY_…)"
            raise self.refused(Unauthorized(message, platform=platform), platform)
        if not self.keys or self.is_admin:
            return
        if self.name is None:
            if self.keys.platform_has_key(platform):
                raise self.refused(
                    Unauthorized("this platform needs its API key, in the header X-API-Key", platform=platform),
                    platform,
                )
        elif self.name != key_name_of(platform):
            message = f"the API key is another platform's; use that of platform {platform!r}"
            raise self.refused(PlatformIsolationViolation(message, platform=platform), platform)

    def refused(self, error: GatewayError, platform: str | None = None) -> GatewayError:
        """Log the refusal with its reason and the address, and return *error*."""
        named = {} if platform is None else {"platform": platform}
        _log.warning("refused: %s", error.message, extra={"address": self.address, "key_of": self.name, **named})
        return error


ANONYMOUS: Final = Caller(ApiKeys({}))  #: for routes that require no key

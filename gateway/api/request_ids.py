"""The id under which a request is answered, logged and recorded."""

from __future__ import annotations

import re
from random import getrandbits
from typing import Any, Final

HEADER: Final = "X-Request-ID"
_KEY: Final = "gateway.request_id"
_SANE: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")  #: what can stand in a log line and in a header as it is


def request_id_of(environ: dict[str, Any]) -> str:
    """The client's own id for the request if it sent a sane one, else a new one; always the same for one request."""
    known: str | None = environ.get(_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        known = environ[_KEY] = given if _SANE.fullmatch(given) else f"{getrandbits(128):032x}"
    return known

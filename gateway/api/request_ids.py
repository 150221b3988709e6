"""The id of a request, and the trace of the client that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import getrandbits
from typing import Any, Final

REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID_KEY: Final = "gateway.request_id"
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace_id>(?!0{32})[0-9a-f]{32})-(?P<parent_id>(?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(-.{0,400})?"
)
#: safe in a log line and in a header
_VALID_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


class TracedRequestId(str):
    """The id of a request that belongs to a trace of the client's; log lines have the trace beside it.

    :ivar trace: ``trace_id`` and ``parent_id``, of the header ``traceparent``
    """

    trace: Mapping[str, str]


def request_id_of(environ: dict[str, Any]) -> str:
    """Return the client's own id for the request if it sent a valid one, else a new one; always the same for a request.

    It is a :class:`TracedRequestId` if the client sent a valid ``traceparent`` (W3C Trace Context).
    """
    known: str | None = environ.get(_REQUEST_ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is None or not _VALID_REQUEST_ID.fullmatch(given):
            given = getrandbits(128).to_bytes(16, "big").hex()
        traceparent = environ.get("HTTP_TRACEPARENT")
        if traceparent is not None and (found := _TRACEPARENT.fullmatch(traceparent)) is not None:
            given = TracedRequestId(given)
            given.trace = found.groupdict()
        known = environ[_REQUEST_ID_KEY] = given
    return known

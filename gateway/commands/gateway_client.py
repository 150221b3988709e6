"""A client of the gateway for the command line: over HTTP, or of an application in this process."""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from gateway.errors import with_cause
from gateway.settings import Settings

LOOPBACK: Final = "127.0.0.1"


class RequestRefused(Exception):
    """The gateway has answered with an error, or not at all; ``answer`` is its JSON."""

    def __init__(self, message: str, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.answer = dict(answer or {"error": "connection_failed", "message": message})

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> RequestRefused:
        """Return the refusal with the message and the cause in *answer*."""
        return cls(with_cause(answer["message"], answer), answer)


class Transport(Protocol):
    """Sends requests to a gateway."""

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """Return the status and the lines of the answer.

        :raises RequestRefused: the gateway cannot be reached, or the answer was cut off
        """


class GatewayClient:
    """Requests to a gateway, and their answers as JSON values."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, path: str, **query: str | None) -> dict[str, Any]:
        """Return the answer to a GET.

        :raises RequestRefused: it was an error
        """
        fields = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items() if value is not None)
        return self._whole("GET", f"{path}?{fields}" if fields else path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a POST.

        :raises RequestRefused: it was an error
        """
        return self._whole("POST", path, body)

    def lines(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the lines of a streamed answer as they arrive.

        :raises RequestRefused: the answer is an error, or was cut off
        """
        headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
        with self._transport.send("POST", path, json.dumps(body).encode(), headers) as (status, lines):
            if status != 200:
                raise _refused(status, b"".join(lines))
            yield from map(_parsed, lines)

    def _whole(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with self._transport.send(method, path, data, {"Content-Type": "application/json"}) as (status, lines):
            text = b"".join(lines)
        if not 200 <= status < 300:
            raise _refused(status, text)
        return _parsed(text)


class HttpTransport:
    """A transport over HTTP, to a running gateway."""

    def __init__(self, url: str, key: str | None) -> None:
        """Send nothing yet; *key* goes with every request.

        :raises RequestRefused: *url* is no URL of HTTP, or a header cannot contain *key*
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise RequestRefused(f"{url!r} is not the URL of a gateway, such as http://127.0.0.1:9000")
        key = (key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise RequestRefused("the key has characters that a header cannot contain")
        self._url = url.rstrip("/")
        self._headers = {"X-API-Key": key} if key else {}

    @contextmanager
    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Send a request, see :class:`Transport`."""
        request = urllib.request.Request(  # noqa: S310 - the URL was checked
            self._url + path, body, {**self._headers, **headers}, method=method
        )
        try:
            response = urllib.request.urlopen(request)  # noqa: S310
        except urllib.error.HTTPError as exc:
            response = exc
        except (OSError, HTTPException, ValueError) as exc:
            cause = getattr(exc, "reason", exc)
            reason = " ".join(str(getattr(cause, "strerror", None) or cause).split())
            raise RequestRefused(
                f"no gateway answers at {self._url} ({reason}); name another with --url, or use --direct"
            ) from exc
        with response:
            yield response.status, _until_cut_off(response)


class DirectTransport:
    """A transport to an application in this process, for use without a gateway. Networks and keys are not checked."""

    def __init__(self, settings: Settings) -> None:
        from gateway.api.requests import EXTENSION  # noqa: PLC0415 - Flask takes half a second to load
        from gateway.app import create_app  # noqa: PLC0415

        open_to_us = dataclasses.replace(
            settings,
            allowed_networks=Settings.from_environment({}, None).allowed_networks,
            allowed_admin_networks=(),
            api_keys={},
        )
        self._app = create_app(open_to_us)
        self._services = self._app.extensions[EXTENSION]
        self._services.open()

    def close(self) -> None:
        """Close every connection to PostgreSQL."""
        self._services.close()

    @contextmanager
    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Send a request, see :class:`Transport`."""
        response = self._app.test_client().open(
            path, method=method, data=body, headers=dict(headers), environ_base={"REMOTE_ADDR": LOOPBACK}
        )
        try:
            yield response.status_code, iter(response.iter_encoded())
        finally:
            response.close()


def _until_cut_off(response: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from response
    except (OSError, HTTPException) as exc:
        raise RequestRefused(f"the answer was cut off ({exc}); GET /admin/deploys or status show the result") from exc


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RequestRefused("the answer is not that of a gateway, or it was cut off")
    return answer


def _refused(status: int, text: bytes) -> RequestRefused:
    answer = _parsed(text)
    try:
        message = with_cause(answer["message"], answer)
    except KeyError:
        return RequestRefused("the answer is not that of a gateway")
    if status == HTTPStatus.UNAUTHORIZED:
        message += "; commands send the key in DB_GATEWAY_KEY, or that of --key"
    return RequestRefused(message, answer)

"""Many different large keys of every kind that a gateway might remember, and how much of them it keeps."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.runner import resident_megabytes
from tests.fuzz.values import PLATFORM
from tests.support.running_gateway import Gateway, make_archive, multipart, running_gateway

LARGE_BYTES = 1_000_000  #: of a key that may be as long as it likes
HEADER_BYTES = 15_000  #: of a key in a header, which may not
HEADERS_FOR_A_KEY = 10  #: requests, since a header has so little room: still 500 times 10 times 15 kB are 75 MB
PATH_BYTES = 7_500  #: of a key in a path, which may be half as long
DEPLOYS = f"{PLATFORM}-deploys"  #: the platform of the archives, whose schema has one function
DEPLOY_BYTES = 3 * LARGE_BYTES  #: of a key in an archive, of which fewer are sent, because a deploy takes its time
PARAMETERS = 90  #: of each of the functions with large signatures

FUNCTION = "CREATE FUNCTION one(VARIADIC p text[]) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM unnest(p)';"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A request that names a key, and the statuses that may answer it."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    statuses: frozenset[int]


def _json(path: str, value: object, statuses: set[int], **headers: str) -> KeyRequest:
    content = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    body = json.dumps(value).encode()
    return KeyRequest(method="POST", path=path, body=body, headers=content, statuses=frozenset(statuses))


def _large(number: int, size: int = LARGE_BYTES) -> str:
    return f"k{number}_".ljust(size, "x")


def _function_names(number: int) -> Iterator[KeyRequest]:
    yield _json("/call", {"platform": PLATFORM, "function": _large(number)}, {400, 404})


def _platform_names(number: int) -> Iterator[KeyRequest]:
    yield _json("/call", {"platform": _large(number), "function": "one"}, {400})


def _tenant_ids(number: int) -> Iterator[KeyRequest]:
    yield _json("/call", {"platform": PLATFORM, "tenant_id": _large(number), "function": "one"}, {400})


def _field_names(number: int) -> Iterator[KeyRequest]:
    yield _json("/call", {"platform": PLATFORM, "function": "one", _large(number): 1}, {400})


def _values(number: int) -> Iterator[KeyRequest]:
    yield _json("/call", {"platform": PLATFORM, "function": "one", "params": [_large(number)]}, {200})


def _parameter_names(number: int) -> Iterator[KeyRequest]:
    yield _json("/call", {"platform": PLATFORM, "function": "one", "params": {_large(number): 1}}, {200, 400})


def _shapes_of_params(number: int) -> Iterator[KeyRequest]:
    """Every number of arguments is a statement of its own."""
    params = [str(number)] * (2 * number + 1)
    yield _json("/call", {"platform": PLATFORM, "function": "one", "params": params}, {200, 400})


def _functions(number: int) -> Iterator[KeyRequest]:
    """Existing functions with long signatures, called by name."""
    params = {_parameter(number, index): index for index in range(PARAMETERS)}
    yield _json("/call", {"platform": PLATFORM, "function": f"f{number}", "params": params}, {200})


def _parameter(number: int, index: int) -> str:
    return f"p{number}_{index}_".ljust(63, "x")


def _in_header(name: str) -> Callable[[int], Iterator[KeyRequest]]:
    def requests(number: int) -> Iterator[KeyRequest]:
        for part in range(HEADERS_FOR_A_KEY):
            key = f"{number}.{part}.".ljust(HEADER_BYTES, "1")
            yield _json("/call", {"platform": PLATFORM, "function": "one"}, {200, 400, 401, 403}, **{name: key})

    return requests


def _paths(number: int) -> Iterator[KeyRequest]:
    for part in range(2 * HEADERS_FOR_A_KEY):
        path = f"/{number}-{part}".ljust(PATH_BYTES, "x")
        yield KeyRequest(method="GET", path=path, body=b"", headers={}, statuses=frozenset({404}))


def _archives(number: int) -> Iterator[KeyRequest]:
    """Schemas that differ in a large comment; their text is compared and not kept."""
    yield _deploy({"functions/one.sql": f"-- {_large(number, DEPLOY_BYTES)}\n{FUNCTION}"}, {200})


def _schemas(number: int) -> Iterator[KeyRequest]:
    """Schemas of 80 columns each, all different."""
    tables = (
        f"CREATE TABLE t{number}_{table} ({', '.join(f'{_parameter(number, column)} text' for column in range(40))});"
        for table in range(2)
    )
    yield _deploy({"functions/one.sql": FUNCTION, "tables/all.sql": "".join(tables)}, {200})


def _bad_archives(number: int) -> Iterator[KeyRequest]:
    yield _deploy({"functions/one.sql": f"SELECT '{_large(number, DEPLOY_BYTES)}"}, {400, 409})


def _failing_migrations(number: int) -> Iterator[KeyRequest]:
    yield _deploy(
        {"functions/one.sql": FUNCTION, "migrations/1.sql": f"SELECT 1 / 0; -- {_large(number, DEPLOY_BYTES)}"}, {409}
    )


def _deploy(files: Mapping[str, str], statuses: set[int]) -> KeyRequest:
    body, content_type = multipart({"platform": DEPLOYS, "dry_run": "true", "schema": make_archive(files)})
    headers = {"Content-Type": content_type}
    return KeyRequest(method="POST", path="/migrate", body=body, headers=headers, statuses=frozenset(statuses))


#: What a gateway might remember, each as the requests that name one key of that kind.
KEYS: Mapping[str, Callable[[int], Iterator[KeyRequest]]] = {
    "function names": _function_names,
    "platform names": _platform_names,
    "tenant ids": _tenant_ids,
    "field names": _field_names,
    "values": _values,
    "parameter names": _parameter_names,
    "shapes of params": _shapes_of_params,
    "functions": _functions,
    "paths": _paths,
    "X-Forwarded-For": _in_header("X_Forwarded_For"),
    "X-Request-ID": _in_header("X_Request_ID"),
    "X-API-Key": _in_header("X_API_Key"),
    "unknown headers": _in_header("X_Unknown"),
    "archives": _archives,
    "schemas": _schemas,
    "bad archives": _bad_archives,
    "failing migrations": _failing_migrations,
}

#: The kinds whose keys have no room for a megabyte.
SMALL: Final = frozenset(
    ["shapes of params", "functions", "paths", "X-Forwarded-For", "X-Request-ID", "X-API-Key", "unknown headers"]
)
DEPLOYS_OF: Final = frozenset(["archives", "schemas", "bad archives", "failing migrations"])


def growth(database_url: str, folder: Path, *, keys: int, small_keys: int) -> Iterator[tuple[str, float]]:
    """Send many different keys of each kind to one gateway, and yield after each how many MB it has more than at first.

    It has one worker, which so gets them all. At first is when it has seen a few of each kind.

    :param keys: how many of a megabyte each; of archives a third, of three megabytes
    :param small_keys: how many of the kinds whose keys cannot be large
    :raises AssertionError: a request was answered otherwise than it is to be
    """
    with running_gateway(database_url, folder, WORKERS="1", THREADS="4", LOG_LEVEL="error") as gateway:
        for platform, functions in ((PLATFORM, small_keys), (DEPLOYS, 0)):
            answer = gateway.register(platform, {"functions/all.sql": _schema(functions)})
            assert answer.status == 200, answer.body
        for kind in KEYS:
            _send(gateway, kind, range(2 if kind in DEPLOYS_OF else 8))
        before = resident_megabytes(gateway)
        for kind in KEYS:
            count = small_keys if kind in SMALL else keys // 3 if kind in DEPLOYS_OF else keys
            _send(gateway, kind, range(count))
            yield kind, resident_megabytes(gateway) - before


def _schema(functions: int) -> str:
    made = (
        f"CREATE FUNCTION f{number}({', '.join(f'{_parameter(number, index)} int' for index in range(PARAMETERS))})"
        " RETURNS int LANGUAGE sql AS 'SELECT 1';"
        for number in range(functions)
    )
    return "\n".join([FUNCTION, *made])


def _send(gateway: Gateway, kind: str, numbers: range) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)
    with closing(connection):
        for number in numbers:
            for wanted in KEYS[kind](number):
                connection.request(wanted.method, wanted.path, wanted.body, dict(wanted.headers))
                answer = connection.getresponse()
                body = answer.read()
                assert answer.status in wanted.statuses, (kind, answer.status, body[:300])

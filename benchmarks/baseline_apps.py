"""The cost of a call without a gateway: the same query behind a bare WSGI function, and behind plain Flask.

``bench_calls.py`` runs both under gunicorn with the workers and threads of the gateway. DATABASE_URL names the
database.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from flask import Flask, request
from flask.typing import ResponseReturnValue

QUERY = "SELECT row_to_json(r)::text FROM bench_rows(%s) r"
_local = threading.local()


def rows(count: int) -> str:
    """Return the JSON rows of one query on the connection of this thread."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=0)
    found = _local.connection.execute(QUERY, [count]).fetchall()
    return ",".join(row for (row,) in found)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a call with a minimum of code."""
    body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    answer = f'{{"rows":[{rows(body["params"][0])}],"row_count":1}}'.encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


plain_flask = Flask(__name__)


@plain_flask.post("/call")
def call() -> ResponseReturnValue:
    """Answer a call by a Flask view."""
    answer = f'{{"rows":[{rows(request.get_json()["params"][0])}],"row_count":1}}'
    return answer, 200, {"Content-Type": "application/json"}

"""The error table as a document: ``python -m gateway.api.error_document > docs/errors.md``."""

from __future__ import annotations

import sys
from typing import Final

from gateway.api.errors import APPLICATION_SQLSTATE_STATUS, ERROR_TABLE, OTHER_SQLSTATE_STATUS, SQLSTATE_TABLE

_HEAD: Final = """\
# Errors

Every answer that is not a success is JSON: `error` is one of the codes below, `message` says what went wrong and what
to do about it, `request_id` is the id under which the gateway's log has the request (the client's own `X-Request-ID`
if it sent one; every answer repeats it in that header). Where they are known there are also `database`, `platform`,
`tenant_id`, `schema_name`, `database_id`; `cause` (PostgreSQL's own message), `sqlstate`, `detail`, `hint`; `file` (the
schema file at fault) and `line` (where PostgreSQL refused it); `fields` (what is wrong with each field of the request).

This page is printed from `gateway/api/errors.py` by `python -m gateway.api.error_document`.

| status | code | when |
|---|---|---|
"""

_QUERY_FAILED: Final = """
`query_failed` is the code of an error raised inside a called function or query. Its status follows `sqlstate`; the
longest matching prefix counts:

| SQLSTATE | status | what it is |
|---|---|---|
"""


def error_document() -> str:
    """Return the text of the document."""
    errors = "".join(f"| {row.status} | `{row.code}` | {row.when} |\n" for row in ERROR_TABLE)
    states = "".join(f"| `{row.prefix}` | {row.status} | {row.when} |\n" for row in SQLSTATE_TABLE)
    rest = (
        f"| any other of PostgreSQL's | {OTHER_SQLSTATE_STATUS} | the function, or the server, has a fault |\n"
        f"| of a class PostgreSQL does not use | {APPLICATION_SQLSTATE_STATUS} | raised by the application itself |\n"
        f"| none | {OTHER_SQLSTATE_STATUS} | the answer is larger than an answer may be |\n"
    )
    return f"{_HEAD}{errors}{_QUERY_FAILED}{states}{rest}"


if __name__ == "__main__":
    sys.stdout.write(error_document())

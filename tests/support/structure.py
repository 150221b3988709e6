"""The structure of a database, as pg_dump writes it, for comparing two databases."""

from __future__ import annotations

import re
import subprocess

from gateway.embedded_postgres import packaged_programs

_PG_DUMP = packaged_programs(18).folder / "pg_dump"  # dumps every older version, too
_STATEMENT = re.compile(r"(?:^(?!--|\\|SET |SELECT pg_catalog\.set_config|\n).+\n)+", re.MULTILINE)
_TABLE = re.compile(r"\A(CREATE (?:UNLOGGED )?TABLE .+?\(\n)(.*?)(\n\).*)\Z", re.DOTALL)


def structure_of(conninfo: str) -> list[str]:
    """Return every statement of a dump of the database, sorted, without the gateway's own tables.

    The columns of a table are sorted too, because a column that was added later is the last one. So are the privileges
    on one object, which are in the order in which they were granted.
    """
    command = [_PG_DUMP, "--schema-only", "--exclude-table=public._stonescriptdb_gateway_*", "-d", conninfo]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(_without_order(match[0].strip()) for match in _STATEMENT.finditer(dump))


def structure_without_names_of_not_null(conninfo: str, names: str = r"\w+_not_null") -> list[str]:
    """Return the structure less the names of NOT NULL constraints, which PostgreSQL 18 prints and nothing refers to.

    :param names: a pattern for these names
    """
    return [re.sub(rf"CONSTRAINT (?:{names}) NOT NULL", "NOT NULL", text) for text in structure_of(conninfo)]


def _without_order(statement: str) -> str:
    if statement.startswith(("GRANT ", "REVOKE ")):
        return "\n".join(sorted(statement.split("\n")))
    table = _TABLE.match(statement)
    if table is None:
        return statement
    head, body, tail = table.groups()
    return head + "\n".join(sorted(line.rstrip(",") for line in body.split("\n"))) + tail

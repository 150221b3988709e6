"""The commands that remove from a session what a called function may have left in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from psycopg import sql

#: The commands of DISCARD ALL without a result, except those about prepared statements, and their completion tags.
COMMANDS: Final[Mapping[bytes, bytes]] = {
    b"CLOSE ALL": b"CLOSE CURSOR ALL",
    b"RESET SESSION AUTHORIZATION": b"RESET",
    b"RESET ALL": b"RESET",
    b"UNLISTEN *": b"UNLISTEN",
    b"DISCARD TEMP": b"DISCARD TEMP",
    b"DISCARD SEQUENCES": b"DISCARD SEQUENCES",
}
_UNLOCK: Final = b"SELECT pg_catalog.pg_advisory_unlock_all()"
CLEANING: Final = (*COMMANDS, _UNLOCK)

#: A row for every statement that was prepared in SQL. The gateway prepares by the protocol, which no function can use:
#: this finds a statement of the gateway that was replaced by another one with the same name.
FOREIGN_STATEMENTS: Final = b"SELECT FROM pg_catalog.pg_prepared_statement() WHERE from_sql"
#: Both at once, in one row; the second column is true if there are such statements.
UNLOCK_AND_LOOK: Final = b"%b, EXISTS (%b)" % (_UNLOCK, FOREIGN_STATEMENTS)

#: For databases with the extension dblink, in this schema. An unnamed connection can only be found by closing it.
_DISCONNECTING: Final = sql.SQL(
    "DO $dblink$ BEGIN"
    " PERFORM {schema}.dblink_disconnect(name) FROM pg_catalog.unnest({schema}.dblink_get_connections()) AS name;"
    " BEGIN PERFORM {schema}.dblink_disconnect(); EXCEPTION WHEN connection_does_not_exist THEN NULL; END;"
    " END $dblink$"
)


def cleaning_script(*, in_transaction: bool, dblink: str | None, deallocate: Iterable[bytes]) -> bytes:
    """Return all commands in one text. Its last result has a row for each statement that was prepared in SQL.

    :param dblink: the schema of the extension dblink, if the database has it
    :param deallocate: names of prepared statements, or ALL
    """
    return b"; ".join(
        [
            *([b"ROLLBACK"] if in_transaction else []),
            *CLEANING,
            *([_disconnecting(dblink)] if dblink else []),
            *(b"DEALLOCATE " + name for name in deallocate),
            FOREIGN_STATEMENTS,
        ]
    )


@cache
def _disconnecting(schema: str) -> bytes:
    return _DISCONNECTING.format(schema=sql.Identifier(schema)).as_bytes(None)

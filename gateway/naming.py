"""Names to database names. Nothing else in the gateway decides what a database is called."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.errors import InvalidRequest

MAX_DATABASE_NAME_BYTES: Final = 63  #: NAMEDATALEN - 1; PostgreSQL would cut a longer name and open another one
ALLOWED_CHARACTERS: Final = "ASCII letters, digits, '_', '-', '.' and space, beginning with a letter or digit"
RESERVED_PREFIX: Final = "_stonescriptdb_gateway_"  #: of the gateway's own databases; no platform begins with it

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-. ]*")
_FOLDED = re.compile(r"[^a-z0-9_]")
_MAIN_TENANT_IDS: Final = frozenset({None, "", "null", "main"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOwner:
    """Whose a database is: a v1 platform's main or tenant database, or a v2 database of a stored schema.

    The names are kept as given, never folded, because different names can fold into one database name.
    """

    platform: str
    tenant_id: str | None = None  #: None in v2, and for the main database of v1
    schema_name: str | None = None  #: v2 only, together with database_id
    database_id: str | None = None
    #: The database's name: lower-case, every character outside ``[a-z0-9_]`` replaced by ``_``.
    database_name: str = field(init=False, compare=False, repr=False)

    @property
    def kind(self) -> Literal["main", "tenant", "schema"]:
        if self.schema_name is not None:
            return "schema"
        return "main" if self.tenant_id is None else "tenant"

    def __post_init__(self) -> None:
        if self.schema_name is not None:
            parts = f"{self.platform}_{self.schema_name}_{self.database_id}"
        else:
            parts = f"{self.platform}_{self.tenant_id or 'main'}"
        object.__setattr__(self, "database_name", _FOLDED.sub("_", parts.lower()))


def tenant_database(platform: object, tenant_id: object = None) -> DatabaseOwner:
    """The v1 database of *platform*: its main one, or the tenant's.

    :raises InvalidRequest: a name has a forbidden character, or the database name would be over 63 bytes
    """
    return _fitting(
        DatabaseOwner(platform=check_name(platform, field="platform"), tenant_id=check_tenant_id(tenant_id))
    )


def schema_database(platform: object, schema_name: object, database_id: object) -> DatabaseOwner:
    """The v2 database *database_id* of *platform*'s stored schema *schema_name*.

    :raises InvalidRequest: as for :func:`tenant_database`
    """
    return _fitting(
        DatabaseOwner(
            platform=check_name(platform, field="platform"),
            schema_name=check_name(schema_name, field="schema_name"),
            database_id=check_name(database_id, field="database_id"),
        )
    )


def check_tenant_id(value: object) -> str | None:
    """Give *value* back if it may be a tenant id; None for those that mean the main database.

    :raises InvalidRequest: it is not a string, or has a character outside ALLOWED_CHARACTERS
    """
    if value is not None and not isinstance(value, str):
        raise InvalidRequest("tenant_id must be a string")
    return None if value in _MAIN_TENANT_IDS else check_name(value, field="tenant_id")


def check_name(value: object, *, field: str) -> str:
    """Give *value* back if it may be a platform, tenant, schema or database id; *field* is how the error names it.

    :raises InvalidRequest: it is not a string, empty, too long, or has a character outside ALLOWED_CHARACTERS
    """
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{field} is required: a non-empty string of {ALLOWED_CHARACTERS}")
    if len(value) > MAX_DATABASE_NAME_BYTES:
        raise InvalidRequest(f"{field} is longer than a database's name can be, {MAX_DATABASE_NAME_BYTES} characters")
    if not _NAME.fullmatch(value):
        raise InvalidRequest(f"{field} has a character that is not allowed; use {ALLOWED_CHARACTERS}")
    return value


def _fitting(owner: DatabaseOwner) -> DatabaseOwner:
    length = len(owner.database_name)
    if length > MAX_DATABASE_NAME_BYTES:
        raise InvalidRequest(
            f"the database name made of these names has {length} bytes; PostgreSQL allows {MAX_DATABASE_NAME_BYTES}. "
            "Use a shorter platform, tenant_id, schema_name or database_id",
            platform=owner.platform,
        )
    return owner


def owner_facts(owner: DatabaseOwner) -> dict[str, str | None]:
    """What an error about *owner*'s database may tell: only what was asked for."""
    return {
        "database": owner.database_name,
        "platform": owner.platform,
        "tenant_id": owner.tenant_id,
        "schema_name": owner.schema_name,
        "database_id": owner.database_id,
    }

"""Names of platforms, tenants and schemas, checked and mapped to database names, in this module only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.errors import InvalidRequest

MAX_DATABASE_NAME_BYTES: Final = (
    63  #: NAMEDATALEN - 1; PostgreSQL would truncate a longer name and open another database
)
ALLOWED_CHARACTERS: Final = "ASCII letters, digits, '_', '-', '.' and space, starting with a letter or digit"
RESERVED_PREFIX: Final = "_stonescriptdb_gateway_"  #: of the gateway's own databases; no platform's name has it

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-. ]*")
_FOLDED: Final = re.compile(r"[^a-z0-9_]")
_MAIN_TENANT_IDS: Final = frozenset({None, "", "null", "main"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOwner:
    """The owner of a database: a v1 platform or tenant, or a v2 database id of a platform's stored schema.

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
    """Return the owner of a v1 database: of the main one of *platform*, or of the tenant's.

    :raises InvalidRequest: a name has a forbidden character, or the database name would be over 63 bytes
    """
    return _fitting(
        DatabaseOwner(platform=check_name(platform, field="platform"), tenant_id=check_tenant_id(tenant_id))
    )


def schema_database(platform: object, schema_name: object, database_id: object) -> DatabaseOwner:
    """Return the owner of the v2 database *database_id* of *platform*'s stored schema *schema_name*.

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
    """Return *value* if it is a valid tenant id, or None if it means the main database.

    :raises InvalidRequest: it is not a string, or has a character outside ALLOWED_CHARACTERS
    """
    if value is not None and not isinstance(value, str):
        raise InvalidRequest("tenant_id must be a string")
    return None if value in _MAIN_TENANT_IDS else check_name(value, field="tenant_id")


def check_name(value: object, *, field: str) -> str:
    """Return *value* if it is a valid platform, tenant id, schema name or database id.

    :param field: the name of the field, for the error message

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
            f"the resulting database name has {length} bytes; PostgreSQL allows {MAX_DATABASE_NAME_BYTES}. "
            "Use a shorter platform, tenant_id, schema_name or database_id",
            platform=owner.platform,
        )
    return owner


def owner_facts(owner: DatabaseOwner) -> dict[str, str | None]:
    """Return the facts of an error about *owner*'s database. They repeat the request and reveal nothing else."""
    return {
        "database": owner.database_name,
        "platform": owner.platform,
        "tenant_id": owner.tenant_id,
        "schema_name": owner.schema_name,
        "database_id": owner.database_id,
    }

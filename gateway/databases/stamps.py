"""The stamp in the comment of a database, which names its owner. Only this module writes and reads stamps. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.naming import DatabaseOwner

_VERSION_KEY: Final = "stonescriptdb_gateway"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The record of an owner, as it is stored.

    :ivar created_at: when the gateway created the database; None for an adopted one, because it is unknown
    :ivar adopted_at: when it was adopted; None for one that the gateway created
    :ivar comment: the comment the database had before it was adopted
    """

    owner: DatabaseOwner
    created_at: datetime | None = None
    adopted_at: datetime | None = None
    comment: str | None = None

    def to_text(self) -> str:
        """Return the stamp as the comment's text. The order of keys is fixed, so that stamps are found by prefix."""
        owner = self.owner
        record: dict[str, Any] = {_VERSION_KEY: _VERSION, "platform": owner.platform}
        if owner.schema_name is None:
            record["tenant_id"] = owner.tenant_id
        else:
            record |= {"schema_name": owner.schema_name, "database_id": owner.database_id}
        record["created_at"] = self.created_at.isoformat() if self.created_at else None
        if self.adopted_at is not None:
            record |= {"adopted_at": self.adopted_at.isoformat(), "comment": self.comment}
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_text(cls, comment: str | None) -> Stamp | None:
        """Return the stamp in *comment*, or None if it is missing, damaged or another text."""
        try:
            record = json.loads(comment or "")
            if record[_VERSION_KEY] != _VERSION:
                return None
            return cls(
                owner=DatabaseOwner(
                    platform=str(record["platform"]),
                    tenant_id=record.get("tenant_id"),
                    schema_name=record.get("schema_name"),
                    database_id=record.get("database_id"),
                ),
                created_at=_moment(record.get("created_at")),
                adopted_at=_moment(record.get("adopted_at")),
                comment=record.get("comment"),
            )
        except (ValueError, TypeError, KeyError):
            return None


def stamp_prefix(platform: str | None = None) -> str:
    """Return the prefix of the stamps of *platform*, or of every stamp."""
    if platform is None:
        return f'{{"{_VERSION_KEY}":{_VERSION},'
    return stamp_prefix() + f'"platform":{json.dumps(platform)},'


def answers_to(stamped: DatabaseOwner, asked: DatabaseOwner) -> bool:
    """Return whether calls for *asked* may reach the database of *stamped*: its owner, or its v2 name as a tenant id.

    Version 1 clients reach database ``d`` of schema ``s`` as tenant ``s_d``.
    """
    if stamped == asked:
        return True
    as_tenant = f"{stamped.schema_name}_{stamped.database_id}"
    return stamped.kind == "schema" and asked == DatabaseOwner(platform=stamped.platform, tenant_id=as_tenant)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedDatabase:
    """A database that the gateway knows by its stamp.

    :ivar oid: the server's number of it, which no later database of the same name has
    :ivar stamp: the stamp's text as it is stored
    :ivar role: PostgreSQL's role that owns it
    :ivar size_bytes: only in listings with sizes, and None where the gateway's role may not ask
    """

    name: str
    oid: int
    owner: DatabaseOwner
    created_at: datetime | None = None
    adopted_at: datetime | None = None
    stamp: str | None = None
    role: str = ""
    size_bytes: int | None = None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

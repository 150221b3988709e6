"""The content of ``platform.json``: a platform, its stored schemas, and their versions. No file is opened here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """One version of a stored schema.

    :ivar checksum: of its content; the name of the folder that holds it
    :ivar folders: those with files in them: ``tables``, ``functions`` …
    :ivar sent_by: the address it came from
    """

    checksum: str
    stored_at: datetime
    folders: tuple[str, ...]
    sent_by: str | None = None
    request_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the version for ``platform.json``."""
        return {
            "checksum": self.checksum,
            "stored_at": self.stored_at.isoformat(),
            "folders": list(self.folders),
            "sent_by": self.sent_by,
            "request_id": self.request_id,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SchemaVersion:
        """Read what :meth:`to_json` wrote."""
        return cls(
            checksum=record["checksum"],
            stored_at=datetime.fromisoformat(record["stored_at"]),
            folders=tuple(record["folders"]),
            sent_by=record["sent_by"],
            request_id=record["request_id"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchema:
    """A schema that a platform has stored; its versions from the oldest to the current one."""

    name: str
    versions: tuple[SchemaVersion, ...]

    @property
    def current(self) -> SchemaVersion:
        """The version that databases are created from and migrated to."""
        return self.versions[-1]

    def find(self, checksum: str) -> SchemaVersion | None:
        """Return the newest version with this checksum or prefix of one, or None."""
        return next((one for one in reversed(self.versions) if one.checksum.startswith(checksum)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPlatform:
    """A platform as the Rust gateway recorded it: its schemas are the folders beside the record.

    :ivar databases: the schema of each database, by the name of the database
    """

    registered_at: datetime
    databases: Mapping[str, str]

    @classmethod
    def from_text(cls, text: str) -> EarlierPlatform | None:
        """Read a ``platform.json``; return None if it was not written by the Rust gateway."""
        try:
            record = json.loads(text)
            if "format" in record:
                return None
            return cls(
                registered_at=datetime.fromisoformat(record["registered_at"]).replace(microsecond=0),
                databases={name: database["schema_name"] for name, database in record["databases"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A registered platform."""

    name: str
    registered_at: datetime
    schemas: Mapping[str, StoredSchema] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the content of ``platform.json``."""
        schemas = {
            name: {"versions": [version.to_json() for version in schema.versions]}
            for name, schema in sorted(self.schemas.items())
        }
        record = {
            "format": _FORMAT,
            "platform": self.name,
            "registered_at": self.registered_at.isoformat(),
            "schemas": schemas,
        }
        return json.dumps(record, indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Platform:
        """Read what :meth:`to_text` wrote.

        :raises ValueError: it is something else
        """
        try:
            record = json.loads(text)
            if record["format"] != _FORMAT:
                raise ValueError(f"its format is {record['format']!r} and not {_FORMAT}")
            return cls(
                name=record["platform"],
                registered_at=datetime.fromisoformat(record["registered_at"]),
                schemas={
                    name: StoredSchema(
                        name=name, versions=tuple(SchemaVersion.from_json(one) for one in schema["versions"])
                    )
                    for name, schema in record["schemas"].items()
                },
            )
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"it is not a platform's record ({type(exc).__name__}: {exc})") from exc

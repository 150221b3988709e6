"""The registry under DATA_DIR, shared by all workers and by every gateway that uses the folder.

``{platform}/platform.json`` is the record, replaced as a whole. ``{platform}/.versions/{schema}/{checksum}`` holds the
files of one version and never changes. ``{platform}/{schema}`` is a link to the current one, for people.

Invariants:

1. A record names only versions whose folders are complete: a folder gets its name before the record is replaced.
2. Writers hold the lock of the platform; readers follow the record that they have read, without a lock.
3. Versions are never removed, so a reader's record stays valid.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.errors import InvalidRequest, PlatformAlreadyRegistered, PlatformNotFound, SchemaNotFound, StorageFailed
from gateway.naming import schema_database
from gateway.platforms.records import EarlierPlatform, Platform, SchemaVersion, StoredSchema
from gateway.platforms.storage import (
    locked,
    make_folder,
    point_link,
    read_tree,
    remove_leftovers,
    storage_failures,
    write_file,
    write_tree,
)

_log: Final = logging.getLogger(__name__)

RECORD_FILE: Final = "platform.json"
EARLIER_FILE: Final = "platform.json.earlier"  #: the record of the Rust gateway, kept when its schemas are imported
VERSIONS_FOLDER: Final = ".versions"
_SHORTEST: Final = "x"  #: a schema or database id, to check whether any would fit


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaUpload:
    """A schema to be stored.

    :ivar files: contents by path: ``tables/users.pssql``
    :ivar checksum: of all of them; it identifies the version
    """

    files: Mapping[str, bytes]
    checksum: str
    sent_by: str | None = None
    request_id: str | None = None


class PlatformRegistry:
    """Platforms and their stored schemas. Keeps nothing in memory, so that every process sees the same."""

    def __init__(self, data_dir: Path) -> None:
        """Use *data_dir*, which must exist before anything is stored."""
        self._data_dir = data_dir

    def register(self, platform: str) -> Platform:
        """Record a new platform.

        :raises PlatformAlreadyRegistered: it is recorded
        :raises InvalidRequest: no database of such a platform could have a name that PostgreSQL allows
        :raises StorageFailed: it could not be written
        """
        schema_database(platform, _SHORTEST, _SHORTEST)
        folder = self._data_dir / platform
        with storage_failures("record the platform"):
            make_folder(folder)
            with locked(folder):
                if (folder / RECORD_FILE).exists():
                    raise PlatformAlreadyRegistered(f"Platform '{platform}' is already registered", platform=platform)
                made = Platform(name=platform, registered_at=_now())
                write_file(folder / RECORD_FILE, made.to_text())
        return made

    def get(self, platform: str) -> Platform:
        """Read the record of *platform*.

        :raises PlatformNotFound: it has not been registered
        :raises StorageFailed: its record cannot be read
        """
        path = self._data_dir / platform / RECORD_FILE
        try:
            found = Platform.from_text(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise PlatformNotFound(
                f"platform {platform!r} is not registered; POST /platform/register registers it", platform=platform
            ) from None
        except OSError as exc:
            if exc.errno == errno.ENAMETOOLONG:
                raise PlatformNotFound("the name of the platform is too long") from None
            raise StorageFailed(f"{path} cannot be read: {exc.strerror}", platform=platform) from exc
        except ValueError as exc:
            if self.earlier(platform) is not None:
                raise StorageFailed(
                    f"{path} was written by an earlier gateway; stonescriptdb-gateway mend imports its schemas",
                    platform=platform,
                ) from exc
            raise StorageFailed(f"{path} is damaged: {exc}; restore it from a backup", platform=platform) from exc
        return found

    def all(self, unreadable: Callable[[StorageFailed], None] | None = None) -> tuple[Platform, ...]:
        """Return every registered platform, ordered by name, except those whose record cannot be read.

        :param unreadable: called for each of these; they are logged if it is None
        """
        found = []
        for path in sorted(self._data_dir.glob(f"[!.]*/{RECORD_FILE}")):
            try:
                found.append(self.get(path.parent.name))
            except StorageFailed as exc:
                if unreadable is not None:
                    unreadable(exc)
                else:
                    _log.error("%s", exc.message)
        return tuple(found)

    def schema(self, platform: str, schema_name: str) -> StoredSchema:
        """Return the stored schema of this name.

        :raises PlatformNotFound, SchemaNotFound: it does not exist
        """
        schemas = self.get(platform).schemas
        found = schemas.get(schema_name)
        if found is None:
            known = f"it has {', '.join(map(repr, sorted(schemas)))}" if schemas else "it has none"
            raise SchemaNotFound(
                f"platform {platform!r} has no schema {schema_name!r}, {known}; "
                f"POST /platform/{platform}/schema stores one",
                platform=platform,
                schema_name=schema_name,
            )
        return found

    def folder(self, platform: str, schema_name: str, version: SchemaVersion) -> Path:
        """Return the folder with the files of a version."""
        return self._data_dir / platform / VERSIONS_FOLDER / schema_name / version.checksum

    def store(self, platform: str, schema_name: str, upload: SchemaUpload) -> SchemaVersion:
        """Make *upload* the current version of the schema; the versions before it are kept.

        An upload that is current already adds no version; its files are written again if they were changed or lost.

        :raises PlatformNotFound: the platform has not been registered
        :raises InvalidRequest: the name of a file or of the schema is not allowed
        :raises StorageFailed: it could not be written; the schema is unchanged
        """
        check_schema_name(platform, schema_name)
        with self._changing(platform) as (folder, record):
            self._write_versions(platform, {schema_name: upload})
            known = record.schemas.get(schema_name)
            if known is None or known.current.checksum != upload.checksum:
                changed = _with_versions(record, {schema_name: upload})
                write_file(folder / RECORD_FILE, changed.to_text())
                known = changed.schemas[schema_name]
            current = known.current
            _show(folder, schema_name, current)
        return current

    def _write_versions(self, platform: str, uploads: Mapping[str, SchemaUpload]) -> None:
        """Write the folders of the versions that *uploads* are; those that are complete stay as they are."""
        folder = self._data_dir / platform / VERSIONS_FOLDER
        make_folder(folder)
        for name, upload in uploads.items():
            make_folder(folder / name)
            remove_leftovers(folder / name)
            version = folder / name / upload.checksum
            if version.is_dir() and read_tree(version) != upload.files:
                version.rename(folder / name / _found_name())
            write_tree(version, upload.files)

    def earlier(self, platform: str) -> EarlierPlatform | None:
        """Return what the Rust gateway recorded of *platform*, imported or not; None if it did not."""
        for name in (RECORD_FILE, EARLIER_FILE):
            try:
                text = (self._data_dir / platform / name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if (found := EarlierPlatform.from_text(text)) is not None:
                return found
        return None

    def earlier_folders(self) -> Mapping[str, tuple[Path, ...]]:
        """Return the schema folders of each platform that has a record of the Rust gateway."""
        found = {}
        for path in sorted(self._data_dir.glob(f"[!.]*/{RECORD_FILE}")):
            with suppress(OSError, UnicodeDecodeError):
                if EarlierPlatform.from_text(path.read_text(encoding="utf-8")) is not None:
                    folders = [one for one in path.parent.glob("[!.]*") if one.is_dir() and not one.is_symlink()]
                    found[path.parent.name] = tuple(sorted(folders))
        return found

    def import_earlier(self, platform: str, uploads: Mapping[str, SchemaUpload]) -> None:
        """Replace the record of the Rust gateway, which is kept beside it, by one with *uploads* as schemas.

        :raises InvalidRequest: the name of a file, a schema or the platform is not allowed
        :raises StorageFailed: it could not be written; nothing has been imported
        """
        folder = self._data_dir / platform
        with storage_failures("import the platform"), locked(folder):
            text = (folder / RECORD_FILE).read_text(encoding="utf-8")
            earlier = EarlierPlatform.from_text(text)
            if earlier is None:  # imported meanwhile
                return
            write_file(folder / EARLIER_FILE, text)
            record = Platform(name=platform, registered_at=earlier.registered_at)
            self._write_versions(platform, uploads)
            write_file(folder / RECORD_FILE, _with_versions(record, uploads).to_text())
            for name, upload in uploads.items():
                _show(folder, name, _version_of(upload))

    def mend(self) -> tuple[str, ...]:
        """Remove unfinished files of killed writers, and make every link point to its current version.

        Return a sentence for each repair, and for each platform whose record cannot be read.
        """
        done: list[str] = []
        for platform in self.all(lambda exc: done.append(exc.message)):
            with self._changing(platform.name, done) as (folder, record):
                for name, schema in record.schemas.items():
                    count = remove_leftovers(folder / VERSIONS_FOLDER / name)
                    if count:
                        done.append(f"{platform.name}/{name}: removed {count} unfinished uploads")
                    if _show(folder, name, schema.current):
                        done.append(f"{platform.name}/{name}: the link now points to the current version")
        return tuple(done)

    @contextmanager
    def _changing(self, platform: str, done: list[str] | None = None) -> Iterator[tuple[Path, Platform]]:
        """Hold the platform's lock, and yield its folder and its record."""
        self.get(platform)  # the lock's file is created only for existing platforms
        folder = self._data_dir / platform
        with storage_failures("store the schema"), locked(folder):
            if remove_leftovers(folder) and done is not None:
                done.append(f"{platform}: removed an unfinished record")
            yield folder, self.get(platform)


def check_schema_name(platform: str, schema_name: str) -> None:
    """Check the name of a schema of *platform*.

    :raises InvalidRequest: it is not allowed
    """
    schema_database(platform, schema_name, _SHORTEST)
    if schema_name in (RECORD_FILE, EARLIER_FILE):
        raise InvalidRequest(f"schema_name must not be {schema_name!r}, which is the name of a record")


def _with_versions(record: Platform, uploads: Mapping[str, SchemaUpload]) -> Platform:
    """Return *record* with *uploads* as the current versions."""
    schemas = dict(record.schemas)
    for name, upload in uploads.items():
        known = schemas[name].versions if name in schemas else ()
        schemas[name] = StoredSchema(name=name, versions=(*known, _version_of(upload)))
    return replace(record, schemas=schemas)


def _version_of(upload: SchemaUpload) -> SchemaVersion:
    return SchemaVersion(
        checksum=upload.checksum,
        stored_at=_now(),
        folders=tuple(sorted({path.partition("/")[0] for path in upload.files})),
        sent_by=upload.sent_by,
        request_id=upload.request_id,
    )


def _show(folder: Path, schema_name: str, version: SchemaVersion) -> bool:
    """Point the link of the schema to *version*, and return whether that changed it.

    A folder in its place, from an earlier gateway or made by hand, is moved to the versions.
    """
    link, target = folder / schema_name, f"{VERSIONS_FOLDER}/{schema_name}/{version.checksum}"
    if link.is_symlink() and str(link.readlink()) == target:
        return False
    if link.exists() and not link.is_symlink():
        link.rename(folder / VERSIONS_FOLDER / schema_name / _found_name())
    point_link(link, target)
    return True


def _found_name() -> str:
    """Return the new name of a folder that is in the place of a link."""
    return f"found-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)

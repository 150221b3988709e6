"""Store schemas and read them again; list platforms, and the databases of their schemas."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

from gateway.databases import ManagedDatabase
from gateway.errors import StorageFailed
from gateway.naming import check_name
from gateway.operations.deploy import DeployTerms, read_schema
from gateway.platforms import Platform, SchemaUpload, SchemaVersion
from gateway.services import Services
from migrations_engine import Schema, SchemaExtractionFailed, read_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A request to store the schema in *archive*.

    :ivar sent_by: the address it comes from
    """

    platform: str
    schema_name: str
    archive: BinaryIO
    sent_by: str | None
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """The version that is current now; ``warnings`` name the parts of the archive that were ignored."""

    version: SchemaVersion
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSummary:
    """A registered platform, and how many schemas and databases of version 2 it has."""

    name: str
    schemas: int
    databases: int


def store_schema(services: Services, wanted: StoreRequest) -> StoredUpload:
    """Make the schema in the archive the current version, after it has been read completely.

    :raises PlatformNotFound: the platform has not been registered
    :raises SchemaDeployError: the archive cannot be read as a schema
    :raises StorageFailed, InvalidRequest: it cannot be stored; the current version is unchanged
    """
    services.platforms.get(wanted.platform)
    terms = DeployTerms(request_id=wanted.request_id)
    schema = read_schema(services, wanted.archive, terms, platform=wanted.platform, schema_name=wanted.schema_name)
    upload = SchemaUpload(
        files={file.label: file.content for file in schema.files()},
        checksum=schema.checksum,
        sent_by=wanted.sent_by,
        request_id=wanted.request_id,
    )
    version = services.platforms.store(wanted.platform, wanted.schema_name, upload)
    return StoredUpload(version=version, warnings=schema.warnings)


def read_stored_schema(
    services: Services, platform: str, schema_name: str, version: SchemaVersion | None = None
) -> Schema:
    """Read the files of a stored schema, of its current version if none is named.

    :raises PlatformNotFound, SchemaNotFound: it is not stored
    :raises StorageFailed: the files differ from those that were stored
    """
    version = version or services.platforms.schema(platform, schema_name).current
    folder = services.platforms.folder(platform, schema_name, version)
    facts = {"platform": platform, "schema_name": schema_name}
    try:
        schema = read_folder(folder, checked=services.checked_schemas)
    except SchemaExtractionFailed as exc:
        raise StorageFailed(f"the stored schema cannot be read: {exc.message}; upload it again", **facts) from exc
    if schema.checksum != version.checksum:
        raise StorageFailed(f"the files in {folder} have been changed by hand; upload the schema again", **facts)
    return schema


def list_platforms(services: Services) -> tuple[PlatformSummary, ...]:
    """Return every registered platform, by name."""
    databases = Counter(one.owner.platform for one in services.directory.all() if one.owner.kind == "schema")
    return tuple(
        PlatformSummary(name=one.name, schemas=len(one.schemas), databases=databases[one.name])
        for one in services.platforms.all()
    )


def list_schema_databases(
    services: Services, platform: str, schema_name: str | None = None
) -> tuple[ManagedDatabase, ...]:
    """Return the databases of the stored schemas of *platform*, or of one of them, by name.

    :raises PlatformNotFound: the platform has not been registered
    :raises SchemaNotFound: there is neither a stored schema nor a database of this name
    """
    services.platforms.get(platform)
    found = tuple(
        one
        for one in services.directory.of_platform(platform)
        if one.owner.kind == "schema" and schema_name in (None, one.owner.schema_name)
    )
    if schema_name is not None and not found:
        services.platforms.schema(platform, schema_name)
    return found


def find_platform(services: Services, name: str) -> Platform:
    """Return the platform that a path names.

    :raises InvalidRequest: it is no valid name of a platform
    :raises PlatformNotFound: it has not been registered
    """
    return services.platforms.get(check_name(name, field="platform"))

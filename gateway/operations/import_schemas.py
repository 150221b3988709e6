"""Import the stored schemas of a Rust gateway that has used the same DATA_DIR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.errors import GatewayError, InvalidRequest
from gateway.platforms import SchemaUpload
from gateway.platforms.platform_registry import check_schema_name
from gateway.services import Services
from migrations_engine import SchemaExtractionFailed, read_folder


def import_schemas(services: Services) -> tuple[str, ...]:
    """Import every platform that the Rust gateway has recorded, with its schemas, and return a sentence about each.

    Folders that cannot be read as a schema are left in place. The databases are not adopted.
    """
    done = []
    for platform, folders in services.platforms.earlier_folders().items():
        sentences: list[str] = []
        uploads = _uploads(platform, folders, sentences)
        try:
            services.platforms.import_earlier(platform, uploads)
        except GatewayError as exc:
            done.append(f"{platform}: not imported: {exc.message}")
            continue
        done.append(f"{platform}: imported from an earlier gateway with {len(uploads)} schemas")
        done += sentences
        earlier = services.platforms.earlier(platform)
        for name in sorted(set(earlier.databases.values() if earlier else ())):
            command = f"stonescriptdb-gateway adopt {platform} --schema {name} --all"
            done.append(f"{platform}/{name}: its databases are served when they are adopted: {command}")
    return tuple(done)


def _uploads(platform: str, folders: Sequence[Path], sentences: list[str]) -> dict[str, SchemaUpload]:
    found = {}
    for folder in folders:
        try:
            check_schema_name(platform, folder.name)
            schema = read_folder(folder)
        except (InvalidRequest, SchemaExtractionFailed) as exc:
            sentences.append(f"{platform}/{folder.name}: not imported: {exc.message}")
            continue
        files = {file.label: file.content for file in schema.files()}
        found[folder.name] = SchemaUpload(files=files, checksum=schema.checksum)
    return found

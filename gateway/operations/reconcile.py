"""Reconcile the records under DATA_DIR with the stamps of databases, after a crash or a loss of either."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from gateway.errors import GatewayError, PlatformNotFound, SchemaNotFound, StorageFailed
from gateway.operations.import_schemas import import_schemas
from gateway.services import Services

_log: Final = logging.getLogger(__name__)


def reconcile(services: Services) -> tuple[str, ...]:
    """Repair what can be repaired, and return a sentence for each repair and for what has to be done by hand.

    Stamps are authoritative for databases, records for schemas. Unfinished files and databases are removed; a platform
    that has databases and no record is recorded again.
    """
    found = [*import_schemas(services), *services.platforms.mend()]
    found += [f"removed the unfinished database {name}" for name in services.lifecycle.remove_unfinished()]
    found += [f"dropped {name}, a copy older than UNDO_KEEP_SECS" for name in services.copies.expire()]
    owners = [one.owner for one in services.directory.all() if one.owner.schema_name is not None]
    counts = Counter((owner.platform, str(owner.schema_name)) for owner in owners)
    for (platform, schema_name), count in sorted(counts.items()):
        try:
            services.platforms.schema(platform, schema_name)
        except PlatformNotFound:
            services.platforms.register(platform)
            found.append(f"{platform}: recorded the platform again, because it has databases")
            found.append(_without_schema(platform, schema_name, count))
        except SchemaNotFound:
            found.append(_without_schema(platform, schema_name, count))
        except StorageFailed:  # also found by the repair of the platforms
            continue
    return tuple(found)


def reconcile_at_start(services: Services) -> None:
    """Reconcile, and log the result. An error is only logged, so that the gateway starts all the same."""
    try:
        for line in reconcile(services):
            _log.warning("reconciled: %s", line)
    except GatewayError as exc:
        _log.warning("records and databases could not be compared: %s", exc)


def _without_schema(platform: str, schema_name: str, count: int) -> str:
    return f"{platform}/{schema_name}: it is not stored, but has databases ({count}); upload it again"

"""The health of the gateway. Open to all networks, and answered within a second even if PostgreSQL hangs."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Final

from flask import Blueprint
from flask.typing import ResponseReturnValue

from gateway.api.requests import current_services
from gateway.api.responses import ok
from gateway.errors import ConnectionFailed

blueprint: Final = Blueprint("health", __name__)
VERSION: Final = version("stonescriptdb-gateway")


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """Return the state of the gateway and its connections; 200 also if PostgreSQL is unreachable.

    It is degraded, too, while PostgreSQL answers but refuses new connections: databases without one cannot be called.
    """
    services = current_services()
    connected = services.server_check.is_connected()
    statistics = services.registry.statistics()
    return ok(
        {
            "status": "healthy" if connected and not services.registry.connections_are_refused() else "degraded",
            "version": VERSION,
            "postgres_connected": connected,
            "active_pools": statistics.active_pools,
            "total_connections": statistics.total_connections,
            "max_total_connections": statistics.max_total_connections,
            "uptime_seconds": int(time.monotonic() - services.started_at),
        }
    )


@blueprint.get("/health/live")
def live() -> ResponseReturnValue:
    """Return 200: this process answers."""
    return ok({"status": "alive"})


@blueprint.get("/health/ready")
def ready() -> ResponseReturnValue:
    """Return 200 if requests can be served.

    :raises ConnectionFailed: PostgreSQL does not answer
    """
    if not current_services().server_check.is_connected():
        raise ConnectionFailed("PostgreSQL does not answer, so requests cannot be served now")
    return ok({"status": "ready"})

"""How the gateway is. For everybody, and answered within a second whatever PostgreSQL does."""

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
    """Tell how the gateway and its connections are; 200 also when PostgreSQL is away."""
    services = current_services()
    connected = services.server_check.is_connected()
    statistics = services.registry.statistics()
    return ok(
        {
            "status": "healthy" if connected else "degraded",
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
    """Tell that this process answers."""
    return ok({"status": "alive"})


@blueprint.get("/health/ready")
def ready() -> ResponseReturnValue:
    """Tell whether requests can be served.

    :raises ConnectionFailed: not now, because PostgreSQL does not answer
    """
    if not current_services().server_check.is_connected():
        raise ConnectionFailed("PostgreSQL does not answer, so requests cannot be served now")
    return ok({"status": "ready"})

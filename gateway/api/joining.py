"""Where views find what they work with."""

from __future__ import annotations

from typing import Final, cast

from flask import current_app

from gateway.operations.services import Services

EXTENSION: Final = "gateway"  #: the key in Flask's ``extensions``


def services() -> Services:
    """The rooms of this process."""
    return cast(Services, current_app.extensions[EXTENSION])

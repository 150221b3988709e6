"""Running gunicorn in this process: for the command ``serve``, which may have started PostgreSQL before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gunicorn.app.base import Application

from gateway.app import create_app
from gateway.settings import Settings

if TYPE_CHECKING:
    from flask import Flask


class _Gunicorn(Application):
    """gunicorn with ``gateway.serving.config`` as its only configuration, and an application made from *settings*."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()  # type: ignore[no-untyped-call]

    def load_config(self) -> None:
        self.load_config_from_module_name_or_filename("python:gateway.serving.config")  # type: ignore[no-untyped-call]

    def load(self) -> Flask:
        return create_app(self._settings)


def run_gunicorn(settings: Settings) -> None:
    """Serve until a signal to stop. Does not return: gunicorn ends the process."""
    _Gunicorn(settings).run()  # type: ignore[no-untyped-call]

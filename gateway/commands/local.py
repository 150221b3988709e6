"""The settings, DATA_DIR and services of this machine, for commands; what is wrong with them is printed in a line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gateway.services import Services


def read_settings() -> Settings:
    """Return the settings. If some are wrong, print a line for each and end the command."""
    try:
        return Settings.from_environment()
    except SettingsError as exc:
        for problem in exc.problems:
            click.echo(f"Error: {problem}", err=True)
        sys.exit(1)


def prepare_data_directory(settings: Settings) -> None:
    """Create DATA_DIR if it is missing.

    :raises ClickException: it cannot be created or written to
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise click.ClickException(f"DATA_DIR {settings.data_dir} cannot be made: {exc.strerror}") from exc
    if not os.access(settings.data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise click.ClickException(f"DATA_DIR {settings.data_dir} is not writable for this user")


@contextmanager
def opened_services(settings: Settings) -> Iterator[Services]:
    """Yield services that work on PostgreSQL and DATA_DIR, and close them at the end.

    :raises ClickException: the block has raised a GatewayError
    """
    from gateway.errors import GatewayError  # noqa: PLC0415 - most commands need no services, which load slowly
    from gateway.services import build_services  # noqa: PLC0415
    from gateway.serving.logs import configure_logging  # noqa: PLC0415

    prepare_data_directory(settings)
    configure_logging("error", settings.log_format)
    services = build_services(settings)
    services.open()
    try:
        yield services
    except GatewayError as exc:
        raise click.ClickException(exc.text) from exc
    finally:
        services.close()

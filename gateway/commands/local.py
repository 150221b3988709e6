"""The settings, DATA_DIR and services of this machine, for commands. Each problem is printed as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

import click

from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gateway.services import Services

_ROOM: Final = 2**20  #: bytes: the table of connections, and some records


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

    :raises ClickException: it cannot be created or written to, or its disk is full
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.data_dir) as probe:
            os.posix_fallocate(probe.fileno(), 0, _ROOM)
    except OSError as exc:
        raise click.ClickException(f"DATA_DIR {settings.data_dir} cannot be used: {exc.strerror}") from exc


def log_errors_only(settings: Settings) -> None:
    """Log errors, and no warnings: what concerns the user is in the output of the command."""
    from gateway.serving.logs import configure_logging  # noqa: PLC0415 - most commands log nothing

    configure_logging("error", settings.log_format)


@contextmanager
def opened_services(settings: Settings) -> Iterator[Services]:
    """Yield services that work on PostgreSQL and DATA_DIR, and close them at the end.

    :raises ClickException: the block has raised a GatewayError
    """
    from gateway.errors import ConnectionFailed, GatewayError  # noqa: PLC0415 - most commands need no services
    from gateway.services import build_services  # noqa: PLC0415

    prepare_data_directory(settings)
    log_errors_only(settings)
    services = build_services(settings)
    services.open()
    try:
        yield services
    except ConnectionFailed as exc:
        raise click.ClickException(f"{exc.text} (the settings name {settings.server_description})") from exc
    except GatewayError as exc:
        raise click.ClickException(exc.text) from exc
    finally:
        services.close()

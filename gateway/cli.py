"""The command line: ``serve``, ``check-config`` and ``demo``; the other commands are in ``commands``."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from gateway.commands import add_fleet_commands, add_owner_commands
from gateway.commands.local import prepare_data_directory, read_settings
from gateway.embedded_postgres import (
    DEFAULT_VERSION,
    PACKAGES,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    packaged_programs,
    programs_in,
)
from gateway.environment import ADMIN_KEY
from gateway.settings import DOTENV_PATH, Settings, unknown_names

_log: Final = logging.getLogger(__name__)

PACKAGE: Final = "stonescriptdb-gateway"
#: Variables that pass a listening socket to this process: set by systemd, or by the gunicorn that it replaces.
INHERITED_SOCKETS: Final = ("LISTEN_FDS", "GUNICORN_FD")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=PACKAGE)
def main() -> None:
    """Deploy PostgreSQL schemas and call functions over HTTP, for many platforms and tenants."""


add_fleet_commands(main)
add_owner_commands(main)


@main.command()
@click.option(
    "--embedded",
    "embedded_directory",
    is_flag=False,
    flag_value="postgres-data",
    metavar="[DIR]",
    type=click.Path(path_type=Path),
    help="Start a PostgreSQL with its data in DIR first (./postgres-data without DIR), and stop it at the end.",
)
@click.option(
    "--postgres-version",
    type=click.Choice([str(version) for version in PACKAGES]),
    help=f"The version of the embedded PostgreSQL; {DEFAULT_VERSION} without it.",
)
@click.option(
    "--postgres-bin",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder with the programs of an installed PostgreSQL, such as /usr/lib/postgresql/17/bin.",
)
def serve(embedded_directory: Path | None, postgres_version: str | None, postgres_bin: Path | None) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C."""
    from gateway.serving import config as gunicorn_configuration  # noqa: PLC0415 - its import reads the settings

    if postgres_version and postgres_bin:
        raise click.UsageError("--postgres-version and --postgres-bin exclude each other")
    if (postgres_version or postgres_bin) and embedded_directory is None:
        raise click.UsageError("--postgres-version and --postgres-bin need --embedded")
    signal.signal(signal.SIGTERM, _leave)  # until gunicorn handles signals itself
    settings = gunicorn_configuration.SETTINGS
    prepare_data_directory(settings)
    _check_address(settings)
    with ExitStack() as started:
        if embedded_directory is not None:
            try:
                programs = (
                    programs_in(postgres_bin)
                    if postgres_bin
                    else packaged_programs(int(postgres_version or DEFAULT_VERSION))
                )
                server = started.enter_context(
                    EmbeddedPostgres(embedded_directory, programs=programs, makes_roles=settings.platform_roles)
                )
            except EmbeddedPostgresError as exc:
                raise click.ClickException(str(exc)) from exc
            settings = dataclasses.replace(settings, conninfo=server.url)
        _log.info("stonescriptdb-gateway %s, PostgreSQL at %s", version(PACKAGE), settings.server_description)
        from gateway.serving.run import run_gunicorn  # noqa: PLC0415 - gunicorn and Flask take half a second to load

        run_gunicorn(settings)


@main.command("check-config")
def check_config() -> None:
    """Check the settings and print them.

    Exits with 1 if a setting is invalid. Connects to nothing.
    """
    settings = read_settings()
    prepare_data_directory(settings)
    if DOTENV_PATH.exists():
        for name in unknown_names(DOTENV_PATH):
            click.echo(f"Warning: {DOTENV_PATH} sets {name}, which is no setting of the gateway", err=True)
    click.echo(f"PostgreSQL: {settings.server_description}")
    counted = ", ".join(f"{name} ({len(keys)})" for name, keys in sorted(settings.api_keys.items()))
    click.echo(f"API keys: {counted or 'none; access depends on the networks alone'}")
    if settings.api_keys and ADMIN_KEY not in settings.api_keys:
        click.echo("Warning: platforms have API keys and the administration has none: set API_KEY_ADMIN", err=True)
    for name, limit in sorted(settings.rate_limits.items()):
        click.echo(f"RATE_LIMIT_{name}={limit}")
    for known in fields(settings):
        if known.metadata:
            click.echo(f"{known.metadata['name']}={_as_variable(getattr(settings, known.name))}")


@main.command()
def demo() -> None:
    """Run PostgreSQL, the gateway and an example platform.

    Registers the platform for two tenants, calls two functions, and runs until Ctrl-C. All files are in ./.demo.
    """
    from gateway.demo import DemoError, run_demo  # noqa: PLC0415 - only this command needs it

    settings = dataclasses.replace(read_settings(), gateway_host="127.0.0.1")
    _check_address(settings)
    try:
        run_demo(settings.gateway_port)
    except DemoError as exc:
        raise click.ClickException(str(exc)) from exc


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)


def _check_address(settings: Settings) -> None:
    """Check that the address is free, before anything is started that would have to be stopped.

    :raises ClickException: it is not, in one line
    """
    if any(name in os.environ for name in INHERITED_SOCKETS):
        return
    host, port = settings.gateway_host, settings.gateway_port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as exc:
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {exc.strerror}. "
            "Stop what uses it, or set GATEWAY_HOST and GATEWAY_PORT"
        ) from exc


def _as_variable(value: Any) -> str:  # noqa: ANN401 - a setting's value, of many types
    """Return *value* as the environment variable may have it; an empty text for None."""
    match value:
        case None:
            return ""
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:.6f}".rstrip("0").rstrip(".")
        case tuple():
            return ",".join(map(str, value))
    return str(value)


if __name__ == "__main__":
    main()

"""The command line: serve, check-config, adopt, demo; what it asks of a gateway is in ``fleet_commands``."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.embedded_postgres import (
    DEFAULT_VERSION,
    PACKAGES,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    packaged_programs,
    programs_in,
)
from gateway.environment import ADMIN_KEY
from gateway.fleet_commands import add_fleet_commands
from gateway.serving.logs import configure_logging
from gateway.settings import DOTENV_PATH, Settings, SettingsError, unknown_names

if TYPE_CHECKING:
    from gateway.naming import DatabaseOwner
    from gateway.services import Services

_log: Final = logging.getLogger(__name__)

PACKAGE: Final = "stonescriptdb-gateway"
#: Variables by which a listening socket is handed to us: by systemd, or by the gunicorn that we replace.
INHERITED_SOCKETS: Final = ("LISTEN_FDS", "GUNICORN_FD")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=PACKAGE)
def main() -> None:
    """StoneScriptDB Gateway: PostgreSQL schemas and functions over HTTP, for many tenants."""


add_fleet_commands(main)


@main.command()
@click.option(
    "--embedded",
    "embedded_directory",
    is_flag=False,
    flag_value="postgres-data",
    metavar="[DIR]",
    type=click.Path(path_type=Path),
    help="Start a PostgreSQL in DIR first (./postgres-data when DIR is left out) and stop it at the end.",
)
@click.option(
    "--postgres-version",
    type=click.Choice([str(version) for version in PACKAGES]),
    help=f"Which embedded PostgreSQL: {DEFAULT_VERSION} when left out.",
)
@click.option(
    "--postgres-bin",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where a PostgreSQL of this machine has its programs, for example /usr/lib/postgresql/17/bin.",
)
def serve(embedded_directory: Path | None, postgres_version: str | None, postgres_bin: Path | None) -> None:
    """Serve in the foreground until SIGTERM or Ctrl-C."""
    from gateway.serving import config as gunicorn_configuration  # noqa: PLC0415 - its import reads the settings

    if postgres_version and postgres_bin:
        raise click.UsageError("--postgres-version and --postgres-bin exclude each other")
    if (postgres_version or postgres_bin) and embedded_directory is None:
        raise click.UsageError("--postgres-version and --postgres-bin are about --embedded, which is not given")
    signal.signal(signal.SIGTERM, _leave)  # until gunicorn handles signals itself
    settings = gunicorn_configuration.SETTINGS
    _prepare_data_directory(settings)
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
    """Read the settings and say what they are, or what is wrong with them."""
    settings = _read_settings()
    _prepare_data_directory(settings)
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
    """Start PostgreSQL and the gateway in ./.demo, register the example platform, and make two calls."""
    from gateway.demo import DemoError, run_demo  # noqa: PLC0415 - only this command needs it

    settings = dataclasses.replace(_read_settings(), gateway_host="127.0.0.1")
    _check_address(settings)
    try:
        run_demo(settings.gateway_port)
    except DemoError as exc:
        raise click.ClickException(str(exc)) from exc


@main.command()
@click.argument("platform")
@click.option("--tenant-id", "tenant_ids", multiple=True, metavar="ID", help="A tenant's database; may be repeated.")
@click.option("--schema", "schema_name", metavar="NAME", help="Of version 2: databases of this stored schema.")
@click.option("--database-id", "database_ids", multiple=True, metavar="ID", help="With --schema; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Every database without an owner that is named as one of these.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(
    *,
    platform: str,
    tenant_ids: tuple[str, ...],
    schema_name: str | None,
    database_ids: tuple[str, ...],
    every: bool,
    yes: bool,
) -> None:
    """Record databases that were made by hand, or by an earlier gateway, as PLATFORM's.

    Without --tenant-id, --schema and --all it is the platform's main database. Nothing in the databases changes. What
    would be adopted is shown first.
    """
    from gateway.naming import schema_database, tenant_database  # noqa: PLC0415 - only this command needs these
    from gateway.operations.manage_databases import adopt_database, check_adoptable, find_adoptable  # noqa: PLC0415

    ids = database_ids if schema_name else tenant_ids
    if every and ids:
        raise click.UsageError("--all excludes --tenant-id and --database-id")
    if bool(database_ids) > bool(schema_name) or (schema_name and (tenant_ids or not (every or ids))):
        raise click.UsageError("--schema goes with --database-id or --all, and --tenant-id with neither")
    with _opened_services(_read_settings()) as services:
        if every:
            owners = find_adoptable(services, platform, schema_name)
        else:
            named = [schema_database(platform, schema_name, one) for one in ids] if schema_name else None
            owners = tuple(dict.fromkeys(named or (tenant_database(platform, one) for one in ids or (None,))))
            for owner in owners:
                check_adoptable(services, owner)
        if not owners:
            click.echo(f"There is no database without an owner that is named as one of {platform!r}'s.")
            return
        for owner in owners:
            click.echo(f"{owner.database_name}: {_role_of(owner)} of platform {platform}")
        if every:
            click.echo("An id spelt otherwise in the application (x-1 for x_1) has to be given by itself.")
        if not yes:
            click.confirm(f"Adopt {len(owners)}?", abort=True)
        for owner in owners:
            adopt_database(services, owner)
            click.echo(f"Adopted {owner.database_name}")


@main.command("platform-roles")
@click.option("--platform", "platforms", multiple=True, metavar="NAME", help="Only this platform's; may be repeated.")
@click.option("--new-passwords", is_flag=True, help="Only set the roles' passwords, when DATA_DIR's secret was lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def platform_roles(platforms: tuple[str, ...], new_passwords: bool, yes: bool) -> None:
    """Make platforms' roles the owners of their existing databases, for PLATFORM_ROLES=on.

    Each platform gets a role, which becomes the owner of its databases and of the gateway's objects in them;
    CONNECT is revoked from all others. The gateway may run meanwhile, with PLATFORM_ROLES=off. The changes are
    shown first; the command may be repeated.
    """
    from gateway.databases import PlatformRoles  # noqa: PLC0415 - only this command needs these
    from gateway.operations.move_databases import databases_to_move, move_database, renew_passwords  # noqa: PLC0415

    settings = _read_settings()
    roles = PlatformRoles(settings.role_secret_file, maintenance_database=settings.maintenance_database)
    with _opened_services(settings) as services:
        if new_passwords:
            for platform in renew_passwords(services, roles):
                click.echo(f"Set the password of {roles.role_of(platform)}")
            return
        moves = databases_to_move(services)
        if platforms:
            moves = [move for move in moves if move.database.owner.platform in platforms]
        if not moves:
            click.echo("Every database is its platform's role's alone already.")
            return
        for move in moves:
            door = ", open to every role" if move.is_open else ""
            click.echo(f"{move.database.name}: owned by {move.database.role}{door}; becomes {move.role}'s alone")
        if not yes:
            click.confirm(f"Move {len(moves)}?", abort=True)
        for move in moves:
            move_database(services, roles, move)
            click.echo(f"Moved {move.database.name}")
    click.echo("When all are moved, set PLATFORM_ROLES=on and restart the gateway.")


@contextmanager
def _opened_services(settings: Settings) -> Iterator[Services]:
    """Return services for a command that works on databases of every owner, as the gateway's own role."""
    from gateway.errors import GatewayError  # noqa: PLC0415 - only these commands need them
    from gateway.services import build_services  # noqa: PLC0415

    _prepare_data_directory(settings)
    configure_logging("error", settings.log_format)
    services = build_services(dataclasses.replace(settings, platform_roles=False))
    services.open()
    try:
        yield services
    except GatewayError as exc:
        cause = exc.facts.get("cause")
        raise click.ClickException(f"{exc}: {cause}" if cause else str(exc)) from exc
    finally:
        services.close()


@main.command()
def mend() -> None:
    """Compare the records in DATA_DIR with the databases, and mend what a crash has left.

    A gateway does the same when it starts.
    """
    from gateway.errors import GatewayError  # noqa: PLC0415 - only this command needs these
    from gateway.operations.reconcile import reconcile  # noqa: PLC0415
    from gateway.services import build_services  # noqa: PLC0415

    settings = _read_settings()
    _prepare_data_directory(settings)
    configure_logging("error", settings.log_format)
    services = build_services(settings)
    services.open()
    try:
        for line in reconcile(services) or ("There is nothing to mend.",):
            click.echo(line)
    except GatewayError as exc:
        raise click.ClickException(str(exc)) from exc
    finally:
        services.close()


def _role_of(owner: DatabaseOwner) -> str:
    if owner.schema_name:
        return f"database {owner.database_id} of schema {owner.schema_name}"
    return f"tenant {owner.tenant_id}" if owner.tenant_id else "the main database"


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)


def _read_settings() -> Settings:
    try:
        return Settings.from_environment()
    except SettingsError as exc:
        for problem in exc.problems:
            click.echo(f"Error: {problem}", err=True)
        sys.exit(1)


def _prepare_data_directory(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise click.ClickException(f"DATA_DIR {settings.data_dir} cannot be made: {exc.strerror}") from exc
    if not os.access(settings.data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise click.ClickException(f"DATA_DIR {settings.data_dir} is not writable for this user")


def _check_address(settings: Settings) -> None:
    """Say in one line that the address cannot be had, before anything is started that would have to be stopped."""
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
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    main()

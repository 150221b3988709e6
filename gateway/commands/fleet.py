"""The commands about platforms and their databases: status, plan, migrate, undo, databases, schemas.

They send requests to a gateway. The exit status is 0 after success, 1 if something was refused or has failed, 2 if the
usage was wrong, and 3 if ``status`` has found databases that are not current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Final
from urllib.parse import quote

import click

from gateway.commands.fleet_output import (
    on_one_line,
    show_json,
    show_lines,
    show_plan,
    show_progress,
    show_remarks,
    show_status,
    show_table,
    undone_rows,
)
from gateway.commands.gateway_client import DirectTransport, GatewayClient, HttpTransport, RequestRefused
from gateway.commands.local import log_errors_only, prepare_data_directory, read_settings
from gateway.errors import InvalidRequest
from gateway.naming import check_name

DEFAULT_URL: Final = "http://127.0.0.1:9000"
_URL_HELP: Final = f"The address of the gateway; {DEFAULT_URL} without it and DB_GATEWAY_URL."
FAILED: Final = 1
NOT_CURRENT: Final = 3

_INTERRUPTED: Final = (
    "interrupted; running migrations of databases are finished, and no further ones start; status shows the result, "
    "and the same command migrates the others"
)
_INTERRUPTED_DETACHED: Final = "interrupted; the migration goes on, and GET /admin/deploys shows its progress"

Command = Callable[..., None]


def _platform_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Check the name of a platform, which becomes a part of a path."""
    try:
        return check_name(value, field="platform")
    except InvalidRequest as exc:
        raise click.BadParameter(exc.message) from exc


@contextmanager
def _client(url: str, key: str | None, *, direct: bool) -> Iterator[GatewayClient]:
    with ExitStack() as stack:
        if direct:
            settings = read_settings()
            prepare_data_directory(settings)
            log_errors_only(settings)
            transport = DirectTransport(settings)
            stack.callback(transport.close)
            yield GatewayClient(transport)
        else:
            yield GatewayClient(HttpTransport(url, key))


def fleet_command(command: Command) -> Command:
    """Add the common options to *command*, call it with a client, and print refusals."""

    @click.option("--url", envvar="DB_GATEWAY_URL", default=DEFAULT_URL, metavar="URL", help=_URL_HELP)
    @click.option(
        "--key",
        envvar="DB_GATEWAY_KEY",
        metavar="KEY",
        help="The API key; safer in DB_GATEWAY_KEY.",
    )
    @click.option("--direct", is_flag=True, help="Use PostgreSQL and DATA_DIR directly, without a gateway.")
    @click.option("--json", "as_json", is_flag=True, help="Print the gateway's answer as JSON.")
    @wraps(command)
    def run(*, url: str, key: str | None, direct: bool, as_json: bool, **arguments: Any) -> None:  # noqa: ANN401
        try:
            with _client(url, key, direct=direct) as client:
                command(client, as_json=as_json, **arguments)
        except RequestRefused as exc:
            if as_json:
                click.echo(json.dumps(exc.answer))
            click.echo(f"Error: {on_one_line(str(exc))}", err=True)
            sys.exit(FAILED)

    return run


def schema_command(command: Command) -> Command:
    """Add the arguments PLATFORM and SCHEMA and the option ``--only`` to *command*, which gets them as ``target``.

    ``target`` is the part of a request's body that names the databases.
    """

    @click.argument("platform", callback=_platform_name)
    @click.argument("schema")
    @click.option("--only", multiple=True, metavar="ID", help="Only the database with this id; may be repeated.")
    @wraps(command)
    def run(client: GatewayClient, *, platform: str, schema: str, only: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401
        target = {"platform": platform, "schema_name": schema, **({"only": list(only)} if only else {})}
        command(client, target=target, **options)

    return run


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request for the options that were given."""
    return {name: value for name, value in options.items() if value not in (None, False)}


_seed_option = click.option(
    "--seed", type=click.Choice(["insert"]), help="Insert rows of the seeders that are missing, instead of failing."
)


def add_fleet_commands(group: click.Group) -> None:
    """Add the commands of this module to *group*."""
    for command in (status, plan, migrate, undo, databases, schemas):
        group.add_command(command)


@click.command()
@click.argument("platform", callback=_platform_name)
@click.option("--schema", metavar="NAME", help="Only the databases of this stored schema.")
@fleet_command
def status(client: GatewayClient, *, as_json: bool, platform: str, schema: str | None) -> None:
    """Show the version and drift of PLATFORM's databases.

    Drift is what has been changed by hand since the last deploy. Exits with 3 if a database is not current.
    """
    answer = client.get(f"/platform/{quote(platform)}/status", schema=schema)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        for one in answer["schemas"]:
            show_status(one)
        if not answer["schemas"]:
            click.echo(f"{platform} has no stored schema and no databases")
    if any(database["state"] != "current" for one in answer["schemas"] for database in one["databases"]):
        sys.exit(NOT_CURRENT)


@click.command()
@click.option("--force", is_flag=True, help="Plan what migrate --force would do.")
@_seed_option
@fleet_command
@schema_command
def plan(client: GatewayClient, *, as_json: bool, target: dict[str, Any], **options: Any) -> None:  # noqa: ANN401
    """Show what migrate would do, without changing anything.

    Prints the statements for each group of identical databases, and the rows at risk. Exits with 1 if the migration
    would fail.
    """
    try:
        answer = client.post("/v2/migrate", {**target, **_given(options), "dry_run": True})
    except RequestRefused as exc:
        if "groups" in exc.answer and not as_json:
            show_plan(exc.answer)
        raise
    if as_json:
        click.echo(json.dumps(answer))
    else:
        show_plan(answer)


@click.command()
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="Only N of the databases that are not current.")
@click.option("--force", is_flag=True, help="Ignore differences that would lose data; they stay.")
@click.option("--continue-on-error", is_flag=True, help="Migrate the other databases when one has failed.")
@click.option("--undo", type=click.Choice(["keep"]), help="Copy each database first, if its rows may change.")
@_seed_option
@click.option("--detach", is_flag=True, help="Let the gateway finish if this command is interrupted.")
@fleet_command
@schema_command
def migrate(client: GatewayClient, *, as_json: bool, target: dict[str, Any], **options: Any) -> None:  # noqa: ANN401
    """Migrate PLATFORM's databases to the current SCHEMA.

    One database is migrated first, alone; then several at a time. Prints each when it is done. Exits with 1 if one has
    failed; the same command again migrates the remaining ones.
    """
    lines = client.lines("/v2/migrate", {**target, **_given(options)})
    show = show_json if as_json else show_progress if sys.stdout.isatty() else show_lines
    try:
        summary = show(lines)
    except KeyboardInterrupt:
        raise RequestRefused(_INTERRUPTED_DETACHED if options.get("detach") else _INTERRUPTED) from None
    if summary is None:
        raise RequestRefused("the answer was cut off; GET /admin/deploys or status show the result")
    if summary["status"] == "failed":
        raise RequestRefused.of_answer(summary)
    if not as_json:
        show_remarks(summary)


@click.command()
@click.option("--force", is_flag=True, help="Restore also if rows were written since; they are lost.")
@fleet_command
@schema_command
def undo(client: GatewayClient, *, as_json: bool, target: dict[str, Any], force: bool) -> None:
    """Restore the copies that migrate --undo keep has made."""
    try:
        answer = client.post("/v2/undo", {**target, "force": force})
    except RequestRefused as exc:
        if not as_json:
            show_table(("database", "status", "why"), undone_rows(exc.answer))
        raise
    if as_json:
        click.echo(json.dumps(answer))
    else:
        show_table(("database", "status", "why"), undone_rows(answer))


@click.command()
@click.argument("platform", callback=_platform_name)
@fleet_command
def databases(client: GatewayClient, *, as_json: bool, platform: str) -> None:
    """List the databases of PLATFORM with their sizes."""
    answer = client.get("/admin/databases", platform=platform)
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows = [
        (one["name"], one["type"], one.get("schema_name"), one.get("size_mb"), one.get("created_at"))
        for one in answer["databases"]
    ]
    if not rows:
        click.echo(f"{platform} has no databases", err=True)
    show_table(("database", "type", "schema", "MB", "created"), rows)


@click.command()
@click.argument("platform", callback=_platform_name)
@fleet_command
def schemas(client: GatewayClient, *, as_json: bool, platform: str) -> None:
    """List the stored schemas of PLATFORM and their versions."""
    answer = client.get(f"/platform/{quote(platform)}/schemas")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows = [
        (one["name"], version["version"], version["checksum"][:12], version["stored_at"], version["sent_by"])
        for one in answer["schemas"]
        for version in one["versions"]
    ]
    if not rows:
        click.echo(f"{platform} has no stored schema", err=True)
    show_table(("schema", "version", "checksum", "stored", "from"), rows)

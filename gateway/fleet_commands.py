"""The commands about platforms and their databases: status, plan, migrate, undo, databases, schemas.

They send requests to a gateway, and end with 0 when all is well, 1 when something was refused or has failed, 2 when the
command itself was wrong, and 3 when ``status`` has found databases that are not current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Final

import click

from gateway.gateway_client import DirectTransport, GatewayClient, HttpTransport, RequestRefused
from gateway.settings import Settings, SettingsError

FAILED: Final = 1
NOT_CURRENT: Final = 3

Command = Callable[..., None]


@contextmanager
def _client(url: str, key: str | None, *, direct: bool) -> Iterator[GatewayClient]:
    with ExitStack() as stack:
        if direct:
            transport = DirectTransport(Settings.from_environment())
            stack.callback(transport.close)
            yield GatewayClient(transport)
        else:
            yield GatewayClient(HttpTransport(url, key))


def fleet_command(command: Command) -> Command:
    """Add the common options to a command, pass it a client, and print refusals."""

    @click.option("--url", envvar="DB_GATEWAY_URL", default="http://127.0.0.1:9000", show_default=True, metavar="URL")
    @click.option("--key", envvar="DB_GATEWAY_KEY", metavar="KEY", help="An API key, better in DB_GATEWAY_KEY.")
    @click.option("--direct", is_flag=True, help="Ask no gateway: use the settings and PostgreSQL from here.")
    @click.option("--json", "as_json", is_flag=True, help="Print the gateway's answer as it is.")
    @wraps(command)
    def run(*, url: str, key: str | None, direct: bool, as_json: bool, **arguments: Any) -> None:  # noqa: ANN401
        try:
            with _client(url, key, direct=direct) as client:
                command(client, as_json=as_json, **arguments)
        except RequestRefused as exc:
            if as_json:
                click.echo(json.dumps(exc.answer))
            click.echo(f"Error: {exc}", err=True)
            sys.exit(FAILED)
        except SettingsError as exc:
            for problem in exc.problems:
                click.echo(f"Error: {problem}", err=True)
            sys.exit(FAILED)

    return run


def add_fleet_commands(group: click.Group) -> None:
    """Add the commands of this module to *group*."""
    for command in (status, plan, migrate, undo, databases, schemas):
        group.add_command(command)


@click.command()
@click.argument("platform")
@click.option("--schema", metavar="NAME", help="Only the databases of this stored schema.")
@fleet_command
def status(client: GatewayClient, *, as_json: bool, platform: str, schema: str | None) -> None:
    """Show what each database of PLATFORM is at, and how those changed by hand differ. Ends with 3 if one lags."""
    answer = client.get(f"/platform/{platform}/status", schema=schema)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        for one in answer["schemas"]:
            _show_status(one)
    if any(database["state"] != "current" for one in answer["schemas"] for database in one["databases"]):
        sys.exit(NOT_CURRENT)


@click.command()
@click.argument("platform")
@click.argument("schema")
@click.option("--only", multiple=True, metavar="ID", help="A database; may be repeated.")
@click.option("--force", is_flag=True, help="Do what loses data, too.")
@fleet_command
def plan(
    client: GatewayClient, *, as_json: bool, platform: str, schema: str, only: tuple[str, ...], force: bool
) -> None:
    """Show what migrating the databases of PLATFORM to the current version of SCHEMA would do. Changes nothing."""
    body = {"platform": platform, "schema_name": schema, "force": force, "dry_run": True, **_only(only)}
    try:
        answer = client.post("/v2/migrate", body)
    except RequestRefused as exc:
        if "groups" in exc.answer and not as_json:
            _show_plan(exc.answer)
        raise
    if as_json:
        click.echo(json.dumps(answer))
    else:
        _show_plan(answer)


@click.command()
@click.argument("platform")
@click.argument("schema")
@click.option("--only", multiple=True, metavar="ID", help="A database; may be repeated.")
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="Only N of those that are not there yet.")
@click.option("--force", is_flag=True, help="Do what loses data, too.")
@click.option("--continue-on-error", is_flag=True, help="Go on to the next database when one has failed.")
@click.option("--undo", type=click.Choice(["keep"]), help="Keep a copy of each database that is migrated.")
@click.option("--detach", is_flag=True, help="Let it go on when this command is interrupted.")
@fleet_command
def migrate(
    client: GatewayClient,
    *,
    as_json: bool,
    platform: str,
    schema: str,
    only: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Bring the databases of PLATFORM to the current version of SCHEMA, and show each as it is done."""
    given = {name: value for name, value in options.items() if value not in (None, False)}
    lines = client.lines("/v2/migrate", {"platform": platform, "schema_name": schema, **_only(only), **given})
    show = _as_json if as_json else _with_progress if sys.stdout.isatty() else _plainly
    summary = show(lines)
    if summary is None:
        raise RequestRefused("the answer was cut off; GET /admin/deploys or status show the result")
    if summary["status"] == "failed":
        raise RequestRefused(summary["message"], summary)


@click.command()
@click.argument("platform")
@click.argument("schema")
@click.option("--only", multiple=True, metavar="ID", help="A database; may be repeated.")
@click.option("--force", is_flag=True, help="Lose what has been written since the migration.")
@fleet_command
def undo(
    client: GatewayClient, *, as_json: bool, platform: str, schema: str, only: tuple[str, ...], force: bool
) -> None:
    """Put databases back to the copies that a migration with --undo keep has made."""
    body = {"platform": platform, "schema_name": schema, "force": force, **_only(only)}
    try:
        answer = client.post("/v2/undo", body)
    except RequestRefused as exc:
        if not as_json:
            _table(("database", "status", "why"), _undone(exc.answer))
        raise
    if as_json:
        click.echo(json.dumps(answer))
    else:
        _table(("database", "status", "why"), _undone(answer))


@click.command()
@click.argument("platform")
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
    _table(("database", "type", "schema", "MB", "created"), rows)


@click.command()
@click.argument("platform")
@fleet_command
def schemas(client: GatewayClient, *, as_json: bool, platform: str) -> None:
    """List the stored schemas of PLATFORM with all their versions."""
    answer = client.get(f"/platform/{platform}/schemas")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows = [
        (one["name"], version["version"], version["checksum"][:12], version["stored_at"], version["sent_by"])
        for one in answer["schemas"]
        for version in one["versions"]
    ]
    _table(("schema", "version", "checksum", "stored", "from"), rows)


def _undone(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["database"], one["status"], one.get("message")) for one in answer.get("databases", ())]


def _only(ids: tuple[str, ...]) -> dict[str, Any]:
    return {"only": list(ids)} if ids else {}


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table on a terminal; in a pipe, lines of tab-separated fields."""
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            click.echo("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415 - only terminals need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None)
    for row in texts:
        table.add_row(*map(Text, row))
    Console().print(table)


def _show_status(schema: dict[str, Any]) -> None:
    of_what = f"{schema['schema_name']}, version {schema['version']}" if schema.get("schema_name") else "version 1"
    click.echo(f"{of_what}: {schema['count']} databases")
    _table(
        ("database", "state", "version", "deployed", "by request"),
        [
            (one["database_name"], one["state"], one.get("version"), one.get("deployed_at"), one.get("request_id"))
            for one in schema["databases"]
        ],
    )
    for group in schema["groups"]:
        for line in group["differences"]:
            click.echo(f"{', '.join(group['databases'])}: {line}")


def _show_plan(answer: dict[str, Any]) -> None:
    for group in answer["groups"]:
        click.echo(f"{group['count']} alike ({', '.join(group['databases'][:5])}{' …' if group['count'] > 5 else ''}):")
        if group.get("error"):
            click.echo(f"  would fail: {group['error']}")
        for statement in group.get("plan") or ():
            effect = f"  -- {statement['effect']}" if statement.get("effect") else ""
            click.echo(f"  {statement['sql'].strip()}{effect}")
        if not group.get("error") and not group.get("plan"):
            click.echo("  nothing to do")
    for one in answer["databases"]:
        for change in (one.get("schema_validation") or {}).get("dataloss_changes", ()):
            rows = change["rows_at_risk"]
            at_risk = "an unknown number of" if rows is None else rows
            click.echo(f"{one['database']}: {change['table']}: {change['change_type']}: {at_risk} rows at risk")
    if answer.get("estimated_ms") is not None:
        click.echo(f"about {answer['estimated_ms'] / 1000:.1f} s at most")


def _as_json(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    summary = None
    for line in lines:
        click.echo(json.dumps(line))
        summary = line if line["event"] == "summary" else None
    return summary


def _plainly(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    for line in lines:
        if line["event"] == "summary":
            click.echo(_total(line))
            return line
        if line["event"] == "database":
            click.echo(_fate(line))
    return None


def _with_progress(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 - only terminals need it

    with Progress("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        task = progress.add_task("migrating", total=None)
        for line in lines:
            if line["event"] == "summary":
                progress.console.print(Text(_total(line)))
                return line
            if line["event"] == "begin":
                progress.update(task, total=line["total"])
                continue
            progress.advance(task)
            if line["status"] != "completed":
                progress.console.print(Text(_fate(line)))
    return None


def _fate(line: dict[str, Any]) -> str:
    return f"{line['database']}\t{line['status']}" + (f"\t{line['message']}" if line.get("message") else "")


def _total(line: dict[str, Any]) -> str:
    counts = {
        "updated": len(line.get("databases_updated", ())),
        "failed": len(line.get("databases_failed", ())),
        "left": len(line.get("databases_skipped", ())),
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "updated")
    return f"{line['status']}: {told}"

"""The output of the commands about many databases: tables, plans and progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from textwrap import indent
from typing import Any, Final

import click

from gateway.errors import with_cause
from gateway.sql_layout import lay_out

_NAMED: Final = 5  #: of the databases of a group


def undone_rows(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of the table that ``undo`` prints."""
    return [(one["database"], one["status"], one.get("message")) for one in answer.get("databases", ())]


def show_table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table on a terminal; in a pipe, lines of tab-separated fields without empty ones at the end.

    Without rows nothing is printed.
    """
    if not rows:
        return
    texts = [["" if value is None else on_one_line(str(value)) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            click.echo("\t".join(row).rstrip("\t"))
        return
    from rich.console import Console  # noqa: PLC0415 - only terminals need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None)
    for row in texts:
        table.add_row(*map(Text, row))
    Console().print(table)


def show_status(schema: dict[str, Any]) -> None:
    """Print the databases of one schema, and how drifted ones differ from what was deployed."""
    of_what = "version 1 of the interface"
    if schema.get("schema_name"):
        version = f"version {schema['version']}" if schema.get("version") else "which is not stored; upload it again"
        of_what = f"{schema['schema_name']}, {version}"
    click.echo(f"{of_what}: {_count(schema['count'], 'database')}")
    show_table(
        ("database", "state", "version", "deployed", "by request"),
        [
            (one["database_name"], one["state"], one.get("version"), one.get("deployed_at"), one.get("request_id"))
            for one in schema["databases"]
        ],
    )
    for database in schema["databases"]:
        if database.get("error"):
            click.echo(f"{database['database_name']}: {database['error']}")
    for group in schema["groups"]:
        for line in group["differences"]:
            click.echo(f"{_some(group['databases'])}: {line}")


def show_plan(answer: dict[str, Any]) -> None:
    """Print the statements for each group of identical databases, and the rows at risk in each database."""
    for group in answer["groups"]:
        alike = " alike" if group["count"] > 1 else ""
        click.echo(f"{_count(group['count'], 'database')}{alike} ({_some(group['databases'])}):")
        if group.get("error"):
            click.echo(f"  would fail: {group['error']}")
        for origin, statements in groupby(group.get("plan") or (), _origin):
            click.echo(indent(_planned(origin, [one["sql"] for one in statements]), "  "))
        if not group.get("error") and not group.get("plan"):
            click.echo("  nothing to do")
    at_risk: dict[str, list[str]] = {}
    for one in answer["databases"]:
        validation = one.get("schema_validation") or {}
        for change in (*validation.get("dataloss_changes", ()), *validation.get("incompatible_changes", ())):
            at_risk.setdefault(_change(change), []).append(one["database"])
    for text, names in at_risk.items():
        where = names[0] if len(names) == 1 else f"{len(names)} databases ({_some(names)}), each"
        click.echo(f"{where}: {text}")
    if any(group.get("plan") for group in answer["groups"]) and not answer.get("databases_failed"):
        click.echo(f"about {answer['estimated_ms'] / 1000:.1f} s at most")


def show_remarks(summary: dict[str, Any]) -> None:
    """Print the warnings of a migration, and the differences that were accepted, to standard error."""
    validation = summary.get("schema_validation") or {}
    accepted = (*validation.get("dataloss_changes", ()), *validation.get("incompatible_changes", ()))
    for line in (*summary.get("warnings", ()), *map(_change, accepted)):
        click.echo(f"Warning: {line}", err=True)


def show_json(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Print the lines of a migration as they are, and return the summary; None if the answer ended before it.

    The summary of a failed migration is printed by the caller, as every refusal.
    """
    for line in lines:
        if line["event"] == "summary" and line["status"] == "failed":
            return line
        click.echo(json.dumps(line))
        if line["event"] == "summary":
            return line
    return None


def show_lines(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Print a line for each database that a migration reached, and return the summary; None if there was none.

    Databases that were left are counted in the summary.
    """
    unchanged = 0
    for line in lines:
        if line["event"] == "summary":
            click.echo(_summary_line(line, unchanged))
            return line
        if line["event"] == "database":
            unchanged += _is_unchanged(line)
            if not _is_left(line):
                click.echo(_database_line(line))
    return None


def show_progress(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Show the progress of a migration, and return the summary; None if the answer ended before it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 - only terminals need it

    with Progress("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        task = progress.add_task("migrating", total=None)
        unchanged = 0
        for line in lines:
            if line["event"] == "summary":
                progress.console.print(Text(_summary_line(line, unchanged)))
                return line
            if line["event"] == "begin":
                progress.update(task, total=line["total"])
                continue
            progress.advance(task)
            unchanged += _is_unchanged(line)
            if line["status"] != "completed" and not _is_left(line):
                progress.console.print(Text(_database_line(line)))
    return None


def _origin(statement: dict[str, Any]) -> str:
    return ": ".join(text for text in (statement.get("file") or statement["step"], statement.get("effect")) if text)


def _planned(origin: str, statements: list[str]) -> str:
    """Return statements that can be pasted into psql, after a line of their common origin and effect."""
    laid_out = [lay_out(one) for one in statements]
    sql = "\n".join(one if one.endswith(";") else f"{one};" for one in laid_out)
    return f"-- {origin}{f' ({len(statements)} statements)' if len(statements) > 1 else ''}\n{sql}"


def _change(change: dict[str, Any]) -> str:
    subject = f"{change['table']}.{change['column']}" if change.get("column") else change["table"]
    rows = change["rows_at_risk"]
    at_risk = "an unknown number of rows" if rows is None else _count(rows, "row")
    return f"{subject}: {change['change_type']}: {at_risk} at risk"


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _some(names: list[str]) -> str:
    """Return the first of *names*, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _is_unchanged(line: dict[str, Any]) -> bool:
    """Return whether there was nothing to do in the database of a line. Earlier gateways do not say so."""
    return line.get("changed") is False


def _is_left(line: dict[str, Any]) -> bool:
    """Return whether the migration did not reach the database of a line."""
    return line["status"] == "skipped" and not line.get("message")


def _database_line(line: dict[str, Any]) -> str:
    message = with_cause(line["message"], line) if line.get("message") else ""
    if _is_unchanged(line):
        message = "nothing to do"
    return "\t".join(on_one_line(text) for text in (line["database"], line["status"], message) if text)


def on_one_line(text: str) -> str:
    """Return *text* without line breaks and tabs, which separate the lines and fields of the output."""
    return " ".join(text.split())


def _summary_line(line: dict[str, Any], unchanged: int) -> str:
    counts = {
        "updated": len(line.get("databases_updated", ())) - unchanged,
        "unchanged": unchanged,
        "failed": len(line.get("databases_failed", ())),
        "left": len(line.get("databases_skipped", ())),
    }
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "updated")
    return f"{line['status']}: {text}"

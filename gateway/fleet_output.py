"""What the commands about many databases print: tables, plans and progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from textwrap import indent
from typing import Any

import click

from gateway.sql_layout import lay_out


def undone_rows(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of the table that ``undo`` prints."""
    return [(one["database"], one["status"], one.get("message")) for one in answer.get("databases", ())]


def show_table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
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


def show_status(schema: dict[str, Any]) -> None:
    """Print the databases of one schema, and how drifted ones differ from what was deployed."""
    of_what = f"{schema['schema_name']}, version {schema['version']}" if schema.get("schema_name") else "version 1"
    click.echo(f"{of_what}: {schema['count']} databases")
    show_table(
        ("database", "state", "version", "deployed", "by request"),
        [
            (one["database_name"], one["state"], one.get("version"), one.get("deployed_at"), one.get("request_id"))
            for one in schema["databases"]
        ],
    )
    for group in schema["groups"]:
        for line in group["differences"]:
            click.echo(f"{', '.join(group['databases'])}: {line}")


def show_plan(answer: dict[str, Any]) -> None:
    """Print the statements for each group of identical databases, and the rows at risk."""
    for group in answer["groups"]:
        click.echo(f"{group['count']} alike ({', '.join(group['databases'][:5])}{' …' if group['count'] > 5 else ''}):")
        if group.get("error"):
            click.echo(f"  would fail: {group['error']}")
        for statement in group.get("plan") or ():
            effect = f"  -- {statement['effect']}" if statement.get("effect") else ""
            click.echo(indent(f"{lay_out(statement['sql'])}{effect}", "  "))
        if not group.get("error") and not group.get("plan"):
            click.echo("  nothing to do")
    for one in answer["databases"]:
        for change in (one.get("schema_validation") or {}).get("dataloss_changes", ()):
            rows = change["rows_at_risk"]
            at_risk = "an unknown number of" if rows is None else rows
            click.echo(f"{one['database']}: {change['table']}: {change['change_type']}: {at_risk} rows at risk")
    if answer.get("estimated_ms") is not None:
        click.echo(f"about {answer['estimated_ms'] / 1000:.1f} s at most")


def show_json(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Print the lines of a migration as they are, and return the summary; None if the answer ended before it."""
    summary = None
    for line in lines:
        click.echo(json.dumps(line))
        summary = line if line["event"] == "summary" else None
    return summary


def show_lines(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Print a line for each database of a migration, and return the summary; None if the answer ended before it."""
    for line in lines:
        if line["event"] == "summary":
            click.echo(_summary_line(line))
            return line
        if line["event"] == "database":
            click.echo(_database_line(line))
    return None


def show_progress(lines: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Show the progress of a migration, and return the summary; None if the answer ended before it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 - only terminals need it

    with Progress("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        task = progress.add_task("migrating", total=None)
        for line in lines:
            if line["event"] == "summary":
                progress.console.print(Text(_summary_line(line)))
                return line
            if line["event"] == "begin":
                progress.update(task, total=line["total"])
                continue
            progress.advance(task)
            if line["status"] != "completed":
                progress.console.print(Text(_database_line(line)))
    return None


def _database_line(line: dict[str, Any]) -> str:
    return f"{line['database']}\t{line['status']}" + (f"\t{line['message']}" if line.get("message") else "")


def _summary_line(line: dict[str, Any]) -> str:
    counts = {
        "updated": len(line.get("databases_updated", ())),
        "failed": len(line.get("databases_failed", ())),
        "left": len(line.get("databases_skipped", ())),
    }
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "updated")
    return f"{line['status']}: {text}"

"""A dry run, a deploy, and the same deploy repeated in an equal database: all three say the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from migrations_engine import EngineError, ProvenDeploys
from tests.fuzz.histories.server import Files, Server, text_of
from tests.fuzz.histories.structures import differences, structure

_OF_DRY_RUNS = frozenset({"dry_run", "plan", "left_out"})  # fields of a report


def ways_that_differ(server: Server, name: str, files: Files) -> Iterator[str]:
    """Yield what differs between them in copies of the database *name*. A dry run leaves it as it is."""
    one, other = f"{name}_one", f"{name}_other"
    for copy in (one, other):
        server.create(copy, template=name)
    before, proven = structure(server.conninfo(one)), ProvenDeploys()
    dry, is_whole = _outcome(server, one, files, dry_run=True)
    if structure(server.conninfo(one)) != before:
        yield "DRY RUN CHANGED"
    deployed, _ = _outcome(server, one, files, proven=proven)
    if is_whole and "has been committed" not in deployed.get("error", ""):
        yield from (f"DRY RUN {text}" for text in _unlike(dry, deployed))
    repeated, _ = _outcome(server, other, files, proven=proven)
    yield from (f"REPEATED {text}" for text in _unlike(repeated, deployed))
    found = differences(structure(server.conninfo(other)), structure(server.conninfo(one)))
    yield from (f"REPEATED {text}" for _, text in found)
    if server.rows(other) != server.rows(one):
        yield "REPEATED with other rows"


def _outcome(server: Server, name: str, files: Files, **options: Any) -> tuple[dict[str, Any], bool]:
    """Return the report of a deploy, or its error, and whether a dry run has tried all of it."""
    try:
        report = server.deploy(name, files, add_seeds=False, **options)
    except EngineError as error:
        return {"error": text_of(error)}, True
    is_whole = not report.left_out and not any(text.endswith("was not tried") for text in report.warnings)
    return {field: value for field, value in asdict(report).items() if field not in _OF_DRY_RUNS}, is_whole


def _unlike(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for field in sorted(one.keys() | other.keys()):
        if one.get(field) != other.get(field):
            yield f"{field}: {one.get(field)}, and not {other.get(field)}"

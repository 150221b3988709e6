"""Plays the releases of a history again in another spelling, which must change nothing but the names."""

from __future__ import annotations

from migrations_engine import DeployReport, EngineError, MigrationFailed
from tests.fuzz.histories.play import Result
from tests.fuzz.histories.rows import insert_rows
from tests.fuzz.histories.server import Files, Server, may_be_forced, text_of
from tests.fuzz.histories.structures import differences, structure
from tests.support.spelling import Spelling, spelled

_NAMES_IN_STRINGS = "pg_get_serial_sequence"  #: of a table with quotes, and of a column without


def faults_of_spelling(server: Server, result: Result, spelling: Spelling) -> list[str]:
    """Return what is refused in the other *spelling*, and what an old or skipping database has unlike a new one."""
    if any(_NAMES_IN_STRINGS in text for files in result.releases for text in files.values()):
        return []
    first, *later = (spelled(files, spelling) for files in result.releases)
    last = later[-1] if later else first
    step, reports = "first release", {}
    try:
        server.create("old")
        server.deploy("old", first, purpose="register")
        insert_rows(server.conninfo("old"), 0)
        server.create("skipping", template="old")
        for number, files in enumerate(later, 2):
            step = f"release {number}"
            reports["old"] = _deploy(server, "old", files)
        step = "skipping database"
        reports["skipping"] = _deploy(server, "skipping", last)
        step = "new database"
        server.create("new")
        server.deploy("new", last, purpose="register")
    except EngineError as error:
        return [f"REFUSED IN OTHER SPELLING, {step}: {text_of(error)}"]
    new = structure(server.conninfo("new"))
    return [
        f"SILENT IN OTHER SPELLING, {name}: {text}"
        for name, report in reports.items()
        if not report.differences
        for _, text in differences(structure(server.conninfo(name)), new)
    ]


def _deploy(server: Server, name: str, files: Files) -> DeployReport:
    """Deploy, with force if the answer asks for it."""
    try:
        return server.deploy(name, files)
    except MigrationFailed as error:
        if not may_be_forced(error):
            raise
        return server.deploy(name, files, force=True)

"""Properties of files of functions: the routines that their text names, and whether they have to run again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from migrations_engine.deploy.functions.routines import MadeRoutine
from migrations_engine.schema import SchemaFile
from migrations_engine.source.names import ROUTINE_KINDS, created_name
from migrations_engine.source.script import part_of, script_of
from migrations_engine.tracking import DeployedFunction, DeployState

_CALLING: Final = (("SELECT",), ("CALL",))
_RUNNING: Final = (("DO",), *_CALLING)


def tracking_rows(file: SchemaFile, routines: Sequence[MadeRoutine]) -> Iterator[Mapping[str, Any]]:
    """Yield the tracking rows for the routines of *file*; one without identity if it has created none."""
    common = {"checksum": script_of(file).checksum, "file": file.label}
    for routine in routines:
        yield common | {
            "name": routine.label,
            "identity": routine.identity,
            "arguments": routine.arguments,
            "result": routine.result,
            "fingerprint": routine.fingerprint,
        }
    if not routines:
        yield common | {"name": file.label, "identity": "", "arguments": [], "result": "", "fingerprint": ""}


def unchanged_files(files: Sequence[SchemaFile], state: DeployState) -> dict[SchemaFile, list[DeployedFunction]]:
    """Return the files whose text is equivalent to the deployed one and whose functions are unchanged."""
    by_file: dict[str, list[DeployedFunction]] = {}
    for function in state.functions:
        by_file.setdefault(function.file, []).append(function)
    kept = {
        file: known
        for file in files
        if (known := by_file.get(file.label))
        and all(f.intact and f.checksum == script_of(file).checksum for f in known)
    }
    if len(kept) == len(by_file):
        return kept
    # Its routine may have been created by a later file that no longer exists.
    return {
        file: known for file, known in kept.items() if not (routine_names(file) and all(not f.identity for f in known))
    }


def routines_among(files: Iterable[SchemaFile]) -> tuple[SchemaFile, ...]:
    """Return files of types and tables that create routines, reduced to these. They are deployed like functions/."""
    found = []
    for file in files:
        routines = [s for s in script_of(file).statements if (m := created_name(s)) and m.kind in ROUTINE_KINDS]
        if routines:
            found.append(part_of(file, routines))
    return tuple(found)


def one_file_each(files: Sequence[SchemaFile]) -> dict[str, SchemaFile] | None:
    """Return the file of each name of a routine; None if a name has two files or a file runs code."""
    found: dict[str, SchemaFile] = {}
    for file in files:
        names = routine_names(file)
        if is_dynamic(file) or any(name in found for name in names):
            return None
        found |= dict.fromkeys(names, file)
    return found


def is_dynamic(file: SchemaFile) -> bool:
    """Return whether the file runs code, which may create routines of any name."""
    return any(statement.words[:1] in _RUNNING for statement in script_of(file).statements)


def calls_functions(file: SchemaFile) -> bool:
    """Return whether the file calls functions, which may do anything."""
    return any(statement.words[:1] in _CALLING for statement in script_of(file).statements)


def routine_names(file: SchemaFile) -> list[str]:
    """Return the names of the routines of its CREATE statements."""
    return [made.name for made in script_of(file).created if made.kind in ROUTINE_KINDS and made.name is not None]

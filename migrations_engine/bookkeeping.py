"""What a successful deploy writes down: the tracking rows, and the note that the next deploy begins with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from migrations_engine.deploy.script import script_of
from migrations_engine.model import Catalog
from migrations_engine.report import Change
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.tracking import DeployState, Records
from migrations_engine.understanding import Understanding

WHOLE_DEPLOY: Final = "*"  #: rows of the tables' tracking table with this name remember the deploy as a whole
_DECLARED: Final = "*declared"
_COMPLETE: Final = "*complete"


def record_deploy(
    records: Records,
    schema: Schema,
    understanding: Understanding,
    note: Mapping[str, Any],
) -> None:
    """Write the rows of types and tables, what the schema was understood to mean, and a *note* for the next deploy."""
    declared = understanding.declared
    type_files = _files_by_name(schema.types)
    records.types(
        [
            {"name": type_.label, "kind": type_.kind, "checksum": script_of(file).checksum, "file": file.label}
            for type_ in declared.types
            if (file := type_files.get((type_.schema, type_.name))) is not None
        ]
    )
    table_files = _files_by_name(schema.tables)
    rows: list[Mapping[str, Any]] = [
        {"name": table.label, "checksum": script_of(file).checksum, "file": file.label, "definition": None}
        for table in declared.relations
        if (file := table_files.get((table.schema, table.name))) is not None
    ]
    whole = {
        WHOLE_DEPLOY: {**note, "structure_checksum": schema.structure_checksum, "warnings": understanding.warnings},
        _DECLARED: json.loads(declared.to_json()),
        _COMPLETE: None if understanding.complete is declared else json.loads(understanding.complete.to_json()),
    }
    rows += [{"name": n, "checksum": schema.checksum, "file": "", "definition": d} for n, d in whole.items()]
    records.tables(rows)


def last_understanding(records: Records, state: DeployState) -> Understanding | None:
    """What the schema deployed last was understood to mean; None when there was none, by this gateway."""
    if state.schema_checksum is None:
        return None
    texts = records.definitions([_DECLARED, _COMPLETE])
    declared = Catalog.from_json(texts[_DECLARED])
    complete = Catalog.from_json(texts[_COMPLETE]) if _COMPLETE in texts else declared
    return Understanding(declared=declared, complete=complete, warnings=tuple(state.last["warnings"]))


def accepted_changes(state: DeployState) -> tuple[Change, ...]:
    """The dangerous differences that earlier deploys were forced to leave as they are."""
    return tuple(Change(**change) for change in state.last.get("accepted", ()))


def _files_by_name(files: Iterable[SchemaFile]) -> dict[tuple[str, str | None], SchemaFile]:
    return {(made.schema or "public", made.name): file for file in files for made in script_of(file).created}

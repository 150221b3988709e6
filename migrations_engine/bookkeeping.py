"""What a successful deploy writes down: the tracking rows, and the note that the next deploy begins with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from migrations_engine.deploy.script import script_of
from migrations_engine.model import Catalog
from migrations_engine.report import Change
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.tracking import DeployState, Records

WHOLE_DEPLOY: Final = "*"  #: the name of the row of the tables' tracking table that remembers the deploy as a whole


def record_deploy(
    records: Records,
    schema: Schema,
    *,
    declared: Catalog,
    final: Catalog,
    accepted: Sequence[Change],
    functions_deployed: int,
    seeded: Mapping[str, int],
) -> None:
    """Write the rows of types and tables, and what the next deploy wants to know of this one."""
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
    note = {
        "declared": json.loads(declared.to_json()),
        "fingerprint": final.fingerprint(),
        "accepted": [asdict(change) for change in accepted],
        "functions_deployed": functions_deployed,
        "seeded": dict(seeded),
    }
    records.tables([*rows, {"name": WHOLE_DEPLOY, "checksum": schema.checksum, "file": "", "definition": note}])


def formerly_declared(state: DeployState) -> Catalog | None:
    """What ``tables/`` and ``types/`` declared at the last deploy; None when there was none by this gateway."""
    declared = state.last.get("declared")
    return None if declared is None else Catalog.from_json(json.dumps(declared))


def accepted_changes(state: DeployState) -> tuple[Change, ...]:
    """The dangerous differences that earlier deploys were forced to leave as they are."""
    return tuple(Change(**change) for change in state.last.get("accepted", ()))


def _files_by_name(files: Iterable[SchemaFile]) -> dict[tuple[str, str | None], SchemaFile]:
    return {(made.schema or "public", made.name): file for file in files for made in script_of(file).created}

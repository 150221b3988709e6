"""The records of a successful deploy: the tracking rows, and the note that the next deploy reads first."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from migrations_engine.catalog import Mark
from migrations_engine.deploy.functions import alterations, trigger_drops
from migrations_engine.deploy.session import DeploySession
from migrations_engine.desired.desired_schema import DesiredSchema
from migrations_engine.model import CATALOG_VERSION, DEFAULT_SCHEMA, Catalog, RoutineState
from migrations_engine.options import DeployOptions
from migrations_engine.report import Change, SeederResult, SeederValidation
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import structure_checksum
from migrations_engine.source.script import script_of
from migrations_engine.tracking import DeployState, Records

_DECLARED: Final = "*declared"  #: rows of this name in the tracking table of tables have the desired schema
_COMPLETE: Final = "*complete"
_FOLLOWED: Final = "*followed"
_ROUTINES: Final = "*routines"
_PACKED: Final = "zlib"  #: the key of a packed catalog, in base64


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a deploy, for its records."""

    schema: Schema
    desired: DesiredSchema
    lagging: Catalog | None  #: what is declared as migrations leave it, if declarations lag behind them
    before: Catalog
    after: Catalog
    mark: Mark
    routines: str  #: a digest of the functions afterwards
    routine_states: Mapping[str, RoutineState]  #: with the privileges and comments that files give
    functions_deployed: int
    seeded: Sequence[SeederResult]
    validations: Sequence[SeederValidation]
    accepted: Sequence[Change]  #: differences that stay: dangerous ones that were forced, and what depends on them
    differences: Sequence[str]  #: from a new database of the same schema, a sentence each

    @property
    def new_tables(self) -> list[str]:
        return sorted(table_labels(self.after) - table_labels(self.before))

    @property
    def new_types(self) -> list[str]:
        return sorted(self.after.type_by_label.keys() - self.before.type_by_label.keys())


def table_labels(catalog: Catalog) -> set[str]:
    """Return the labels of the tables of *catalog*, without views."""
    return {relation.label for relation in catalog.relations if relation.is_table}


def record_deploy(
    records: Records, session: DeploySession, outcome: Outcome, options: DeployOptions
) -> Mapping[str, Any]:
    """Write the tracking rows, the desired schema, the note for the next deploy and the changelog. Return the note."""
    schema, desired = outcome.schema, outcome.desired
    declared = desired.declared
    type_files = _files_by_name(schema.types)
    records.types(
        [
            {"name": type_.label, "kind": type_.kind, "checksum": script_of(file).checksum, "file": file.label}
            for type_ in declared.types
            if (file := type_files.get(type_.address)) is not None
        ]
    )
    table_files = _files_by_name(schema.tables)
    rows: list[Mapping[str, Any]] = [
        {"name": table.label, "checksum": script_of(file).checksum, "file": file.label, "definition": None}
        for table in declared.relations
        if (file := table_files.get(table.address)) is not None
    ]
    whole = {
        _DECLARED: _packed(declared),
        _COMPLETE: None if desired.complete is declared else _packed(desired.complete),
        _FOLLOWED: None if outcome.lagging is None else _packed(outcome.lagging),
        _ROUTINES: {_ROUTINES: [asdict(routine) for routine in desired.routines]},
    }
    rows += [{"name": n, "checksum": schema.checksum, "file": "", "definition": d} for n, d in whole.items()]
    records.tables(rows)
    note = _note(outcome)
    records.note(schema.checksum, note)
    for change_type, names in (("create_table", outcome.new_tables), ("create_type", outcome.new_types)):
        for name in names:
            session.log(change_type, name)
    record_changes(records, session, options)
    return note


def _packed(catalog: Catalog) -> Mapping[str, str]:
    """Return *catalog* in a twentieth of its size: PostgreSQL would parse and compress it in every database."""
    return {_PACKED: base64.b64encode(zlib.compress(catalog.to_json().encode())).decode()}


def _unpacked(definition: str) -> Catalog:
    """Return the catalog in *definition*, which earlier versions did not pack."""
    packed = json.loads(definition).get(_PACKED)
    return Catalog.from_json(definition if packed is None else zlib.decompress(base64.b64decode(packed)).decode())


def _note(outcome: Outcome) -> Mapping[str, Any]:
    rows = {result.table: result.inserted + result.skipped for result in outcome.seeded}
    rows |= {validation.table: validation.expected for validation in outcome.validations}
    return {
        "fingerprint": outcome.after.fingerprint(),
        "mark": outcome.mark,
        "routines": outcome.routines,
        "server_version": outcome.after.server_version,
        "catalog_version": CATALOG_VERSION,
        "structure_checksum": structure_checksum(outcome.schema),
        "accepted": [asdict(replace(change, rows_at_risk=None)) for change in outcome.accepted],
        "functions_deployed": outcome.functions_deployed,
        "routine_states": {
            identity: (state.privileges, state.comment)
            for identity, state in outcome.routine_states.items()
            if state.privileges or state.comment is not None
        },
        "trigger_drops": sorted(trigger_drops(outcome.schema)),
        "alterations": alterations(outcome.schema),
        "seeded": rows,
        "warnings": outcome.desired.warnings,
        "differences": list(outcome.differences),
        "declarations_lag": outcome.lagging is not None,
    }


def record_changes(records: Records, session: DeploySession, options: DeployOptions) -> None:
    """Write the changelog."""
    records.changes(session.changes, forced=options.force, platform=options.platform, request_id=options.request_id)


def last_desired_schema(records: Records, state: DeployState) -> DesiredSchema | None:
    """Return the desired schema of the last deploy by this gateway; None if there was none."""
    if state.schema_checksum is None:
        return None
    texts = records.definitions([_DECLARED, _COMPLETE, _ROUTINES])
    routines = json.loads(texts.get(_ROUTINES, "{}")).get(_ROUTINES, ())  # earlier versions did not record them
    declared = _unpacked(texts[_DECLARED])
    complete = _unpacked(texts[_COMPLETE]) if _COMPLETE in texts else declared
    return DesiredSchema(
        declared=declared,
        complete=complete,
        routines=tuple(map(_routine, routines)),
        warnings=tuple(state.last["warnings"]),
    )


def followed_declarations(records: Records, state: DeployState) -> Catalog | None:
    """Return what the last deploy declared as migrations have left it; None if no declaration lagged behind them."""
    if not state.last.get("declarations_lag"):
        return None
    return _unpacked(records.definitions([_FOLLOWED])[_FOLLOWED])


def _routine(recorded: dict[str, Any]) -> RoutineState:
    """Return the routine of *recorded*, in which earlier versions had "rights"."""
    privileges = recorded.pop("privileges", None) or recorded.pop("rights", ())
    return RoutineState(**recorded, privileges=tuple(privileges))


def accepted_changes(state: DeployState) -> tuple[Change, ...]:
    """Return the forced differences of earlier deploys, and those that depend on them."""
    return tuple(Change(**change) for change in state.last.get("accepted", ()))


def _files_by_name(files: Iterable[SchemaFile]) -> dict[tuple[str, str | None], SchemaFile]:
    return {(made.schema or DEFAULT_SCHEMA, made.name): file for file in files for made in script_of(file).created}

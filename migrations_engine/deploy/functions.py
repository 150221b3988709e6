"""Functions: unchanged files cost nothing, changed ones run, and what no file makes any more is dropped.

What a file makes is asked of the server, never read from its SQL; the names that a file's CREATE statements spell only
narrow the question down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from migrations_engine.deploy.retry import UNDEFINED, FileRunner
from migrations_engine.deploy.script import script_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.tracking import DeployedFunction, DeployState, Records

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "functions"
_DEPENDENT_OBJECTS_STILL_EXIST: Final = "2BP01"
_ROUTINE_KINDS: Final = frozenset({"FUNCTION", "PROCEDURE", "AGGREGATE"})

#: CREATE OR REPLACE cannot do it (changed result, argument name, removed default), or it is there without OR REPLACE.
_REPLACEMENT_REFUSED: Final = frozenset({"42P13", "42723", "42809"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFunction:
    """A routine as the server understood it, when a file made it."""

    oid: int
    identity: str
    name: str
    schema: str
    kind: str  #: ``prokind``: f, p, a, w
    language: str
    argument_types: str  #: ``proargtypes``, which with schema and name is unique
    arguments: list[str]
    result: str
    fingerprint: str


@dataclass(slots=True, kw_only=True)
class _OldRoutine:
    """A routine that was there before, and may have to make room."""

    oid: int
    schema: str
    name: str
    argument_types: str
    identity: str
    current_name: str  #: another one than ``name`` while it is moved out of the way

    @property
    def hidden_name(self) -> str:
        return f"_stonescriptdb_gateway_replaced_{self.oid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCounts:
    """How many routines of the schema are in place, and what happened to them."""

    deployed: int
    skipped: int
    updated: int
    dropped: int


class FunctionDeployer:
    """The functions of one deploy. Early on request of a step that needs one, and completely at their own step."""

    def __init__(self, session: DeploySession, files: Sequence[SchemaFile], state: DeployState) -> None:
        self._session = session
        self._files = files
        self._known = {f.identity: f for f in state.functions if f.identity}
        self._kept = _unchanged(files, state)
        self._made: dict[SchemaFile, list[MadeFunction]] = {}
        self._dropped: set[str] = set()
        self._tried_early = False
        self._one_by_one = FileRunner(session, self._run_replacing, error_class=FunctionDeployFailed)

    def deploy_early(self) -> bool:
        """Make what can be made before its turn, for a table or migration that calls it. Tell whether anything was."""
        if self._tried_early:
            return False
        self._tried_early = True
        self._one_by_one.run_what_works(self._pending())
        return bool(self._made)

    def deploy(self, records: Records) -> FunctionCounts:
        """Bring the functions to the schema's files and write down what is there.

        :raises FunctionDeployFailed: PostgreSQL refused a file, or something depends on what has to be dropped
        """
        pending = self._pending()
        if pending:
            self._run_pending(pending)
        self._validate_bodies()
        orphans = self._drop_orphans()
        self._record(records, orphans)
        updated = sum(len(made) for made in self._made.values())
        skipped = sum(1 for functions in self._kept.values() for function in functions if function.identity)
        return FunctionCounts(deployed=updated + skipped, skipped=skipped, updated=updated, dropped=len(orphans))

    def _pending(self) -> list[SchemaFile]:
        return [file for file in self._files if file not in self._kept and file not in self._made]

    def _run_pending(self, pending: Sequence[SchemaFile]) -> None:
        """Run files together, and ask once what they made; where that does not work or is not clear, one by one."""
        by_name = _one_file_each(pending)
        run = self._session.run_file if by_name is not None else self._run
        together = FileRunner(
            self._session, run, error_class=FunctionDeployFailed, retried=UNDEFINED | _REPLACEMENT_REFUSED
        )
        if not together.run_together(pending):
            for file in pending:
                self._made.pop(file, None)
            self._one_by_one.run_all(pending)
        elif by_name is not None:
            for function in self._made_of(list(by_name)):
                self._made.setdefault(by_name[function.name], []).append(function)

    def _run(self, file: SchemaFile) -> None:
        self._session.run_file(file)
        names = _names(file)
        dynamic = _is_dynamic(file)
        made = self._made_of(None if dynamic else names)
        elsewhere = {f.oid for functions in self._made.values() for f in functions} if dynamic else set()
        self._made[file] = [function for function in made if function.oid not in elsewhere]

    def _made_of(self, names: list[str] | None) -> list[MadeFunction]:
        with self._session.connection.cursor(row_factory=class_row(MadeFunction)) as cursor:
            return cursor.execute(_QUERIES["functions_made"], {"names": names}).fetchall()

    def _run_replacing(self, file: SchemaFile) -> None:
        """Run *file*; where the server refuses to replace a routine, move the old one out of the way and drop it."""
        try:
            with self._session.savepoint():
                self._run(file)
        except psycopg.Error as exc:
            names = _names(file)
            if exc.sqlstate not in _REPLACEMENT_REFUSED or not names:
                raise
            self._replace(file, names)

    def _replace(self, file: SchemaFile, names: Sequence[str]) -> None:
        taken = {f.oid for functions in self._made.values() for f in functions}
        old = [routine for routine in self._routines("functions_named", names=list(names)) if routine.oid not in taken]
        for routine in old:
            self._rename(routine, routine.hidden_name)
            routine.current_name = routine.hidden_name
        self._run(file)
        replaced = {(made.schema, made.name, made.argument_types) for made in self._made[file]}
        for routine in old:
            known = self._known.get(routine.identity)
            if (routine.schema, routine.name, routine.argument_types) in replaced:
                self._drop(routine, file)
            elif known is not None and known.file == file.label:
                self._drop(routine, file)
                self._dropped.add(routine.identity)
            else:
                self._rename(routine, routine.name)

    def _routines(self, query: str, **parameters: object) -> list[_OldRoutine]:
        with self._session.connection.cursor(row_factory=class_row(_OldRoutine)) as cursor:
            return cursor.execute(_QUERIES[query], parameters).fetchall()

    def _rename(self, routine: _OldRoutine, new_name: str) -> None:
        statement = sql.SQL("ALTER ROUTINE {}({}) RENAME TO {}").format(
            sql.Identifier(routine.schema, routine.current_name),
            self._types(routine.argument_types),
            sql.Identifier(new_name),
        )
        self._session.query(statement)

    def _types(self, argument_types: str) -> sql.SQL:
        row = self._session.query(_QUERIES["argument_types"], {"argument_types": argument_types}).fetchone()
        assert row is not None
        return sql.SQL(row[0])

    def _drop(self, routine: _OldRoutine, file: SchemaFile | None) -> None:
        """Drop a routine that nothing hangs on."""
        dependants = self._dependants(routine)
        label = file.label if file else None
        if dependants:
            raise FunctionDeployFailed(
                f"{routine.identity} has to be dropped, but other objects depend on it: {', '.join(dependants)}. "
                "Drop or change those in a migration first",
                file=label,
            )
        statement = sql.SQL("DROP ROUTINE {}({})").format(
            sql.Identifier(routine.schema, routine.current_name), self._types(routine.argument_types)
        )
        with self._session.failures_as(FunctionDeployFailed, file=file, what=f"dropping {routine.identity}"):
            self._session.run(statement, step=_STEP, file=label)
        self._session.log("drop_function", routine.identity)

    def _dependants(self, routine: _OldRoutine) -> list[str]:
        return [row[0] for row in self._session.query(_QUERIES["dependants"], {"oid": routine.oid}).fetchall()]

    def _validate_bodies(self) -> None:
        """Check the bodies now that everything is in place; making them did not, so that their order is free."""
        made = [(file, function) for file, functions in self._made.items() for function in functions]
        for language, query in (("sql", "validate_sql"), ("plpgsql", "validate_plpgsql")):
            routines = [(file, f.oid) for file, f in made if f.language == language and f.kind != "a"]
            if not routines:
                continue
            self._session.query("SELECT set_config('check_function_bodies', 'on', true)")
            try:
                with self._session.savepoint():
                    self._session.query(_QUERIES[query], {"routines": [oid for _, oid in routines]})
            except psycopg.Error:
                for file, oid in routines:
                    with self._session.failures_as(FunctionDeployFailed, file=file):
                        self._session.query(_QUERIES[query], {"routines": [oid]})
                raise
            self._session.query("SELECT set_config('check_function_bodies', 'off', true)")

    def _drop_orphans(self) -> list[str]:
        """Drop what files made once and make no more, those first that others of them do not use."""
        current = {f.identity for functions in self._made.values() for f in functions}
        current |= {f.identity for functions in self._kept.values() for f in functions}
        gone = [f for f in self._known.values() if f.identity not in current]
        waiting = [
            routine
            for f in gone
            if f.exists and f.identity not in self._dropped
            for routine in self._routines("routine_by_identity", identity=f.identity)
        ]
        while waiting:
            free = [routine for routine in waiting if not self._dependants(routine)]
            for routine in free or waiting:
                self._drop(routine, None)
            waiting = [routine for routine in waiting if routine not in free]
        return [function.identity for function in gone]

    def _record(self, records: Records, orphans: Sequence[str]) -> None:
        if not self._made and not orphans:
            return
        records.forget_functions(orphans, [file.label for file in self._made])
        rows: list[Mapping[str, Any]] = []
        for file, functions in self._made.items():
            checksum = script_of(file).checksum
            for f in functions:
                name = f.name if f.schema == "public" else f"{f.schema}.{f.name}"
                rows.append(
                    {
                        "name": name,
                        "identity": f.identity,
                        "arguments": f.arguments,
                        "result": f.result,
                        "checksum": checksum,
                        "file": file.label,
                        "fingerprint": f.fingerprint,
                    }
                )
                self._session.log("deploy_function", f.identity, file=file.label)
            if not functions:
                rows.append(
                    {
                        "name": file.label,
                        "identity": "",
                        "arguments": [],
                        "result": "",
                        "checksum": checksum,
                        "file": file.label,
                        "fingerprint": "",
                    }
                )
                self._session.log("run_function_file", file.label)
        records.functions(rows)


def _unchanged(files: Sequence[SchemaFile], state: DeployState) -> dict[SchemaFile, list[DeployedFunction]]:
    """The files whose text means what was deployed and whose functions are all still there as deployed."""
    by_file: dict[str, list[DeployedFunction]] = {}
    for function in state.functions:
        by_file.setdefault(function.file, []).append(function)
    return {
        file: known
        for file in files
        if (known := by_file.get(file.label))
        and all(f.intact and f.checksum == script_of(file).checksum for f in known)
    }


def _one_file_each(files: Sequence[SchemaFile]) -> dict[str, SchemaFile] | None:
    """The file that makes each routine name, when no name is made by two and none dynamically; else None."""
    found: dict[str, SchemaFile] = {}
    for file in files:
        names = _names(file)
        if not names or _is_dynamic(file) or any(name in found for name in names):
            return None
        found |= dict.fromkeys(names, file)
    return found


def _is_dynamic(file: SchemaFile) -> bool:
    return any(statement.words[:1] == ("DO",) for statement in script_of(file).statements)


def _names(file: SchemaFile) -> list[str]:
    return [made.name for made in script_of(file).created if made.kind in _ROUTINE_KINDS and made.name is not None]

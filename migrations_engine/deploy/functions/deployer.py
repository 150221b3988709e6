"""Functions: unchanged files cost nothing, changed ones run, and what no file makes any more is dropped.

What a file makes is asked of the server, never read from its SQL; the names that a file's CREATE statements spell only
narrow the question down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg

from migrations_engine.deploy.file_runner import UNDEFINED, FileRunner
from migrations_engine.deploy.functions.checks import rebuild_indexes, validate_bodies
from migrations_engine.deploy.functions.files import (
    is_dynamic,
    one_file_each,
    only_sets,
    routine_names,
    routines_among,
    tracking_rows,
    unchanged_files,
)
from migrations_engine.deploy.functions.routines import HIDDEN_NAME, MadeRoutine, OldRoutine, Routines
from migrations_engine.deploy.functions.settings import settings_of, take_backs
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, FunctionDeployFailed, MigrationFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.attachments import creates_routines_in_block, routine_files, structure_checksum
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.lexer import occurs
from migrations_engine.tracking import DeployState, Records

_FOLLOWS_COLUMN: Final = re.compile(r"%\s*TYPE\b", re.IGNORECASE)


#: The object of a file exists, and the file does not say OR REPLACE: function, trigger or cast, view.
_NEVER_REPLACED: Final = frozenset({"42710", "42P07"})
_ALREADY_THERE: Final = _NEVER_REPLACED | {"42723"}
#: OR REPLACE cannot do it: a changed result, argument name or kind, a removed default.
_REPLACEMENT_REFUSED: Final = frozenset({"42P13", "42809"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCounts:
    """How many routines of the schema are in place, and what happened to them."""

    deployed: int
    skipped: int
    updated: int
    dropped: int


class FunctionDeployer:
    """The functions of one deploy. Early on request of a step that needs one, and completely at their own step.

    :param is_new: the files of types and tables run whole, and make the routines among them
    """

    def __init__(self, session: DeploySession, schema: Schema, state: DeployState, *, is_new: bool) -> None:
        self._session = session
        self._schema = schema
        self._is_new = is_new
        self._beside_tables = routines_among((*schema.types, *schema.tables))
        self._files = files = (*self._beside_tables, *routine_files(schema))
        self._routines = Routines(session)
        self._known = {f.identity: f for f in state.functions if f.identity}
        self._left_behind = state.left_behind
        self._take_backs = frozenset(state.last.get("take_backs", ()))  # of the last deploy's files
        self._has_new_structure = state.last.get("structure_checksum") != structure_checksum(schema)
        self._kept = unchanged_files(files, state)
        self._made: dict[SchemaFile, list[MadeRoutine]] = {}
        self._seen: set[str] = set()  # versions of routines that are no running file's work
        self._old_oids: set[int] = set()  # of the deployed routines, before the first file runs
        self._replaced: dict[OldRoutine, SchemaFile] = {}  # moved aside for a file, to be dropped when all have run
        self._ran_again: set[SchemaFile] = set()
        self._is_stale = False  # something may have altered routines after they were noted as made

    def deploy_early(self) -> bool:
        """Create functions early, for a step that calls them. Return whether there is a new one."""
        pending = [file for file in self._pending() if not (self._is_new and file in self._beside_tables)]
        if not pending:
            return False
        self._look_around(pending)
        failed = self._one_by_one().run_what_works(pending)
        self._is_stale = True
        return len(failed) < len(pending)

    def _one_by_one(self) -> FileRunner:
        """Return a new runner: a kept one would be a reference cycle, and hold the files until a collection."""
        return FileRunner(self._session, self._run_replacing, error_class=FunctionDeployFailed)

    def owned(self, identities: Collection[str]) -> set[str]:
        """Those of *identities* that files of the schema make, have made, or make otherwise now."""
        made = {routine.identity for routines in self._made.values() for routine in routines}
        return {one for one in identities if one in made or one in self._known or HIDDEN_NAME in one}

    def run_again(self, identities: Collection[str]) -> None:
        """Let the files that made some routines, which are dropped, run again."""
        gone = [file for file, functions in self._kept.items() if any(f.identity in identities for f in functions)]
        gone += [file for file, routines in self._made.items() if any(r.identity in identities for r in routines)]
        for file in gone:
            self._kept.pop(file, None)
            self._made.pop(file, None)

    def deploy(
        self,
        records: Records,
        make_room: Callable[[int, str], bool] = lambda *_: False,
        restore: Callable[[], None] = lambda: None,
    ) -> FunctionCounts:
        """Deploy the functions of the schema's files and record the result.

        :param make_room: drops the dependants of a routine by oid and identity, and returns whether there were any
        :param restore: creates them again, with their dependencies
        :raises FunctionDeployFailed: PostgreSQL refused a file, or something depends on what has to be dropped
        """
        self._let_run_again()
        self._run_all_pending()
        self._run_settings_again()
        self._settle()
        orphans = self._orphans()
        made_room = [self._drop_replaced(make_room), self._drop_orphans(orphans, make_room)]
        if any(made_room):
            restore()
            self._run_all_pending()
            self._run_settings_again()
            self._settle()
        self._check()
        if self._has_new_structure and not self._is_new:
            self._warn_of_blocks()
        self._record(records, orphans)
        return self._counts(dropped=len(orphans))

    def _let_run_again(self) -> None:
        """Functions have the last word: let files run again whose functions the deploy has changed or dropped so far.

        Files that say ``%TYPE`` run again when tables may have changed.
        """
        if self._is_new and not self._schema.migrations:  # those of types and tables have just run
            early = {routine.version for routines in self._made.values() for routine in routines}
            self._made |= {file: self._routines.made(routine_names(file), early) for file in self._beside_tables}
        known = [f for functions in self._kept.values() for f in functions if f.identity]
        now = self._routines.fingerprints([function.identity for function in known])
        for file, functions in list(self._kept.items()):
            is_there = all(now.get(f.identity) == f.fingerprint for f in functions if f.identity)
            if not is_there or (self._has_new_structure and occurs(_FOLLOWS_COLUMN, file.text)):
                del self._kept[file]
        made = [routine for routines in self._made.values() for routine in routines]
        versions = {routine.version for routine in self._routines.as_they_are([routine.oid for routine in made])}
        changed = {routine.oid for routine in made} - {r.oid for r in made if r.version in versions}
        for file, routines in list(self._made.items()):
            if any(routine.oid in changed for routine in routines):
                del self._made[file]

    def _counts(self, *, dropped: int) -> FunctionCounts:
        """Count what is in place; what ran and is as it was before was not updated."""
        before = {(function.identity, function.fingerprint) for function in self._known.values() if function.intact}
        made = [(r.identity, r.fingerprint) for routines in self._made.values() for r in routines]
        updated = sum(1 for routine in made if routine not in before)
        kept = sum(1 for functions in self._kept.values() for function in functions if function.identity)
        return FunctionCounts(
            deployed=len(made) + kept, skipped=len(made) + kept - updated, updated=updated, dropped=dropped
        )

    def take_back(self) -> None:
        """Revoke or drop the rights, comments and triggers that were removed from the files since the last deploy.

        :raises FunctionDeployFailed: PostgreSQL refused it
        """
        for text in sorted(self._take_backs - take_backs(self._schema)):
            try:
                with self._session.savepoint():
                    self._session.run(text.encode(), step="functions", effect="reverts what was removed from the files")
            except psycopg.Error as exc:
                if exc.sqlstate not in UNDEFINED:  # what it was about is gone as well
                    raise self._session.failure(exc, FunctionDeployFailed, what=text) from exc
            else:
                self._session.log("take_back", text)

    def _run_all_pending(self) -> None:
        pending = self._pending()
        while pending:
            self._run_pending(pending)
            pending = self._disturbed()

    def _drop_replaced(self, make_room: Callable[[int, str], bool]) -> bool:
        """Drop the renamed functions, and return whether dependants had to be dropped for that."""
        made_room = []
        for routine, file in self._replaced.items():
            with _refusal_of(file):
                made_room.append(make_room(routine.oid, routine.identity))
        self._routines.drop_all({routine: file.label for routine, file in self._replaced.items()}, aside=True)
        self._replaced.clear()
        return any(made_room)

    def _pending(self) -> list[SchemaFile]:
        return [file for file in self._files if file not in self._kept and file not in self._made]

    def _look_around(self, pending: Sequence[SchemaFile]) -> None:
        """Record the existing routines, to distinguish those that *pending* files make."""
        if self._known and not self._old_oids:
            self._old_oids = {oid for _, oid in self._routines.oids(list(self._known))}
        dynamic = any(is_dynamic(file) for file in pending)
        names = [name for file in pending for name in routine_names(file)]
        if names or dynamic:
            self._seen = self._routines.versions(None if dynamic else names)

    def _run_pending(self, pending: Sequence[SchemaFile]) -> None:
        """Run files together, and ask once what they made; where that does not work or is not clear, one by one."""
        self._look_around(pending)
        by_name = one_file_each(pending)
        run = self._run_once if by_name is not None else self._run
        together = FileRunner(
            self._session,
            run,
            error_class=FunctionDeployFailed,
            retried=UNDEFINED | _ALREADY_THERE | _REPLACEMENT_REFUSED,
        )
        if not together.run_together(pending):
            for file in pending:
                self._made.pop(file, None)
            self._one_by_one().run_all(pending)
            self._is_stale = True
        elif by_name is not None:
            self._made |= {file: [] for file in pending}
            for routine in self._routines.made(list(by_name), self._seen):
                self._made[by_name[routine.name]].append(routine)

    def _run_once(self, file: SchemaFile) -> None:
        """Run a file; those of types and tables have made their functions in a new database."""
        self._session.run_file(file, replacing=self._is_new and file in self._beside_tables)

    def _run(self, file: SchemaFile) -> None:
        self._run_once(file)
        self._note_made(file)

    def _note_made(self, file: SchemaFile) -> None:
        names, dynamic = routine_names(file), is_dynamic(file)
        elsewhere = {routine.version for routines in self._made.values() for routine in routines}
        made = self._routines.made(None if dynamic else names, self._seen | elsewhere) if names or dynamic else []
        self._made[file] = made + (self._left_by(file, made) if dynamic else [])

    def _left_by(self, file: SchemaFile, made: Sequence[MadeRoutine]) -> list[MadeRoutine]:
        """Return the routines that *file* has made before, names, and has now left as they are."""
        again = {routine.identity for routine in made}
        earlier = [f.identity for f in self._known.values() if f.file == file.label and f.identity not in again]
        oids = [oid for _, oid in self._routines.oids(earlier)]
        left = [routine for routine in self._routines.as_they_are(oids) if mentions_name(file.text, routine.name)]
        self._session.warnings += [
            f"{file.label} ran again and left {routine.identity} as it was; if it is to change, write CREATE OR REPLACE"
            for routine in left
        ]
        return left

    def _run_replacing(self, file: SchemaFile) -> None:
        """Run *file*; replace an existing function of it, or rename that, to be dropped later."""
        try:
            with self._session.savepoint():
                self._run(file)
        except psycopg.Error as exc:
            if exc.sqlstate not in _ALREADY_THERE | _REPLACEMENT_REFUSED:
                raise
            try:
                with self._session.savepoint():
                    self._session.run_file(file, replacing=True)
                    self._note_made(file)
            except psycopg.Error as refusal:
                is_block = refusal.sqlstate in _ALREADY_THERE and creates_routines_in_block(file)
                if refusal.sqlstate in _NEVER_REPLACED or is_block:
                    raise self._never_replaced(file, refusal) from refusal
                if refusal.sqlstate not in _ALREADY_THERE | _REPLACEMENT_REFUSED:
                    raise
                self._replace(file)

    def _never_replaced(self, file: SchemaFile, refusal: psycopg.Error) -> EngineError:
        failure = self._session.failure(refusal, FunctionDeployFailed, file=file)
        advice = "; a file of functions/ runs again when it has changed, so let it DROP … IF EXISTS what it makes"
        if creates_routines_in_block(file):
            advice = (
                "; a DO block that creates a function runs again when it has changed, so write CREATE OR REPLACE "
                "FUNCTION as a statement of its own, and leave in the block only what else it creates"
            )
        return FunctionDeployFailed(failure.message + advice, file=file.label, server=failure.server)

    def _replace(self, file: SchemaFile) -> None:
        taken = {routine.oid for routines in self._made.values() for routine in routines}
        old = [routine for routine in self._routines.named(routine_names(file)) if routine.oid not in taken]
        for routine in old:
            self._routines.move_aside(routine)
        self._session.run_file(file, replacing=True)
        self._note_made(file)
        made = {(routine.schema, routine.name, routine.argument_types) for routine in self._made[file]}
        for routine in old:
            if (routine.schema, routine.name, routine.argument_types) in made:
                self._replaced[routine] = file
            else:
                self._routines.put_back(routine)

    def _disturbed(self) -> list[SchemaFile]:
        """Files to run again: they use what was moved aside, or are unchanged and make what one that ran makes."""
        dependent = self._routines.dependent_routines(self._replaced) if self._replaced else set()
        makers: dict[str, set[SchemaFile]] = {}
        for file, routines in self._made.items():
            for routine in routines:
                makers.setdefault(routine.identity, set()).add(file)
        again = {file for identity in dependent & makers.keys() for file in makers[identity]} - self._ran_again
        for kept, functions in self._kept.items():
            identities = {function.identity for function in functions}
            rivals = [file for identity in identities & makers.keys() for file in makers[identity]]
            if rivals or identities & dependent:
                again |= {kept, *rivals}
        for file in again:
            self._kept.pop(file, None)
            self._made.pop(file, None)
        self._ran_again |= again
        return [file for file in self._files if file in again]

    def _run_settings_again(self) -> None:
        """Run statements that grant, comment and alter again, since their functions were created again or changed."""
        files = [file for file in self._kept if only_sets(file)] if self._made else []
        if files:
            FileRunner(self._session, self._session.run_file, error_class=FunctionDeployFailed).run_all(files)
            self._is_stale = True
        settings = list(settings_of(self._schema))
        if settings:
            self._is_stale = True
            try:
                with self._session.savepoint():
                    self._session.run(b";\n".join(s.text.encode() for _, s in settings), step="functions")
            except psycopg.Error:
                for file, statement in settings:
                    with self._session.failures_as(FunctionDeployFailed, file=file):
                        self._session.run(statement.text.encode(), step="functions", file=file.label)

    def _settle(self) -> None:
        """Record the final routines. One that several files make belongs to the last, as if they were run by hand."""
        oids = [routine.oid for routines in self._made.values() for routine in routines]
        now = {routine.oid: routine for routine in self._routines.as_they_are(oids)} if self._is_stale else {}
        owners: dict[int, SchemaFile] = {}
        for file in (file for file in self._files if file in self._made):
            self._made[file] = [now.get(routine.oid, routine) for routine in self._made[file]]
            for routine in self._made[file]:
                earlier = owners.get(routine.oid)
                if earlier is not None:
                    self._session.warnings.append(
                        f"{routine.identity} is made by {earlier.label} and by {file.label}; the latter's is in place"
                    )
                    self._made[earlier] = [r for r in self._made[earlier] if r.oid != routine.oid]
                owners[routine.oid] = file

    def _check(self) -> None:
        """Check the bodies of all routines, also those of unchanged files: something that they use may have changed."""
        files = {f.identity: file for file, functions in self._kept.items() for f in functions if f.identity}
        kept = {oid: files[identity] for identity, oid in self._routines.oids(list(files))}
        made = {routine.oid: file for file, routines in self._made.items() for routine in routines}
        validate_bodies(self._session, made | kept, kept.keys())
        before = {f.identity: f.fingerprint for f in self._known.values()}
        changed = [
            routine.oid
            for routines in self._made.values()
            for routine in routines
            if routine.oid in self._old_oids and before.get(routine.identity) != routine.fingerprint
        ]
        rebuild_indexes(self._session, changed)

    def _orphans(self) -> list[str]:
        """Return the identities of what files made once and make no more."""
        current = {routine.identity for routines in self._made.values() for routine in routines}
        current |= {function.identity for functions in self._kept.values() for function in functions}
        return [identity for identity in self._known if identity not in current]

    def _drop_orphans(self, orphans: Sequence[str], make_room: Callable[[int, str], bool]) -> bool:
        """Drop *orphans*, and return whether dependants had to be dropped for that."""
        there = [r for one in orphans if self._known[one].exists for r in self._routines.of_identity(one)]
        made_room = []
        for routine in there:
            if self._routines.dependants(routine):
                with _refusal_of(None):
                    made_room.append(make_room(routine.oid, routine.identity))
        self._routines.drop_all(dict.fromkeys(there))
        return any(made_room)

    def _record(self, records: Records, orphans: Sequence[str]) -> None:
        if self._left_behind:
            self._report_left_behind()
        elif not self._made and not orphans:
            return
        records.forget_functions(orphans, [file.label for file in self._made])
        records.functions([row for file, routines in self._made.items() for row in tracking_rows(file, routines)])
        for file, routines in self._made.items():
            for routine in routines:
                self._session.log("deploy_function", routine.identity, file=file.label)
            if not routines:
                self._session.log("run_function_file", file.label)

    def _warn_of_blocks(self) -> None:
        """Warn of routines that only new databases get."""
        for file in (*self._schema.types, *self._schema.tables):
            if creates_routines_in_block(file):
                self._session.warnings.append(
                    f"{file.label} creates a function in a DO block, which runs only in new databases; write CREATE OR "
                    "REPLACE FUNCTION as a statement of its own, and existing databases get it, too"
                )

    def _report_left_behind(self) -> None:
        made = {routine.identity for routines in self._made.values() for routine in routines}
        there = {routine.identity for routine in self._routines.named(self._left_behind)}
        if there - made:
            self._session.warnings.append(
                "functions with names of those that an earlier gateway deployed, which no file makes any more, were "
                f"left in place: {', '.join(sorted(there - made))}"
            )


@contextmanager
def _refusal_of(file: SchemaFile | None) -> Iterator[None]:
    """Raise a refusal to make room for a function as a failure of *file*."""
    try:
        yield
    except MigrationFailed as exc:
        raise FunctionDeployFailed(exc.message, file=file.label if file else None, server=exc.server) from exc

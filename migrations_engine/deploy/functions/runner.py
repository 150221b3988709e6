"""Runs files of functions, and reads from the catalog which routines each has created.

The names in the CREATE statements of a file only narrow the search.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import psycopg

from migrations_engine.deploy.file_runner import UNDEFINED, FileRunner
from migrations_engine.deploy.functions.files import is_dynamic, one_file_each, routine_names
from migrations_engine.deploy.functions.routines import MadeRoutine, OldRoutine, Routines
from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import EngineError, FunctionDeployFailed
from migrations_engine.schema import SchemaFile
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.functions_folder import creates_routines_in_block
from migrations_engine.source.script import part_of, script_of, statement_files
from migrations_engine.tracking import DeployedFunction

#: The object of a file exists, and the file does not say OR REPLACE: function, trigger or cast, view.
_NEVER_REPLACED: Final = frozenset({"42710", "42P07"})
_ALREADY_THERE: Final = _NEVER_REPLACED | {"42723"}
#: OR REPLACE is refused for a changed result, argument name or kind, and a removed default.
REPLACEMENT_REFUSED: Final = frozenset({"42P13", "42809"})
#: A call fits an old function and the new one that replaces it, of other arguments.
_AMBIGUOUS: Final = frozenset({"42725"})
_PRIVILEGES: Final = {("GRANT",), ("REVOKE",)}  #: first words of statements that run when all functions are there
_TO_BE_REPLACED: Final = _ALREADY_THERE | REPLACEMENT_REFUSED | _AMBIGUOUS


class FunctionRunner:
    """Runs files of functions, and replaces routines that OR REPLACE cannot change.

    :param known: the routines of earlier deploys, by identity
    :param already_made: files whose routines exist, because they are parts of files that ran whole
    :param labels: of all files that may create routines
    :ivar made: the routines of each file that has run
    :ivar replaced: routines that were renamed, to be dropped later, each with the file that replaces it
    :ivar ran_early: statements of files that have yet to run as a whole
    :ivar is_stale: something may have altered routines after they were read into *made*
    """

    def __init__(
        self,
        session: DeploySession,
        routines: Routines,
        known: Mapping[str, DeployedFunction],
        already_made: Collection[SchemaFile],
        labels: Collection[str],
    ) -> None:
        self._session = session
        self._routines = routines
        self._known = known
        self._already_made = already_made
        self._labels = labels
        self.made: dict[SchemaFile, list[MadeRoutine]] = {}
        self.replaced: dict[OldRoutine, SchemaFile] = {}
        self.is_stale = False
        self.ran_early: set[SchemaFile] = set()
        self._seen: set[str] = set()  # versions of routines that existed before the running files

    @property
    def all_made(self) -> list[MadeRoutine]:
        """The routines of all files that have run."""
        return [routine for routines in self.made.values() for routine in routines]

    def run_what_works(self, files: Sequence[SchemaFile]) -> int:
        """Run those of *files* that can run now, and return their number.

        Statements of the others that can run now count, too. These files run again as a whole.
        """
        self._read_versions(files)
        failed = [file for file, _ in self._one_by_one().run_what_works(files)]
        self.is_stale = True
        return len(files) - len(failed) + self._run_parts(failed)

    def _run_parts(self, files: Sequence[SchemaFile]) -> int:
        """Run those statements of *files* that have not run and can run now, and return their number.

        A function may use a view that another one of its file is needed for. The files run again as a whole.
        """
        parts = [part for file in files for part in statement_files(file) if part not in self.ran_early]
        run = partial(self._send, replacing=True)
        retried = UNDEFINED | _TO_BE_REPLACED
        runner = FileRunner(self._session, run, error_class=FunctionDeployFailed, retried=retried)
        failed = {part for part, _ in runner.run_what_works(parts)}
        self.ran_early |= {*parts} - failed
        return len(parts) - len(failed)

    def run(self, files: Sequence[SchemaFile]) -> None:
        """Run *files* together, and read once what they have created; one by one if that fails or is ambiguous.

        :raises FunctionDeployFailed: PostgreSQL refused a file
        """
        self._read_versions(files)
        by_name = one_file_each(files)
        run_file = self._run_once if by_name is not None else self._run
        together = FileRunner(
            self._session,
            run_file,
            error_class=FunctionDeployFailed,
            retried=UNDEFINED | _TO_BE_REPLACED,
        )
        if not together.run_together(files):
            for file in files:
                self.made.pop(file, None)
            self._one_by_one().run_all(files)
            self.is_stale = True
        elif by_name is not None:
            self.made |= {file: [] for file in files}
            for routine in self._routines.made(list(by_name), self._seen):
                self.made[by_name[routine.name]].append(routine)

    def _one_by_one(self) -> FileRunner:
        """Return a new runner. An attribute would be a reference cycle, which holds the files until a collection."""
        return FileRunner(self._session, self._run_replacing, error_class=FunctionDeployFailed)

    def _read_versions(self, files: Sequence[SchemaFile]) -> None:
        """Read the versions of existing routines, to distinguish those that *files* create."""
        dynamic = any(is_dynamic(file) for file in files)
        names = [name for file in files for name in routine_names(file)]
        if names or dynamic:
            self._seen = self._routines.versions(None if dynamic else names)

    def _run_once(self, file: SchemaFile) -> None:
        self._send(file, replacing=file in self._already_made)

    def _send(self, file: SchemaFile, *, replacing: bool) -> None:
        """Run *file* without its privileges: those on all functions would change functions of other files, too."""
        kept = [statement for statement in script_of(file).statements if statement.words[:1] not in _PRIVILEGES]
        is_whole = len(kept) == len(script_of(file).statements)
        self._session.run_file(file if is_whole else part_of(file, kept), replacing=replacing)

    def _run(self, file: SchemaFile) -> None:
        self._run_once(file)
        self._note_made(file)

    def _note_made(self, file: SchemaFile) -> None:
        names, dynamic = routine_names(file), is_dynamic(file)
        elsewhere = {routine.version for routine in self.all_made}
        made = self._routines.made(None if dynamic else names, self._seen | elsewhere) if names or dynamic else []
        self.made[file] = made + (self._left_by(file, made) if dynamic else [])

    def _left_by(self, file: SchemaFile, made: Sequence[MadeRoutine]) -> list[MadeRoutine]:
        """Return the routines that *file* has created earlier and names, but has not changed now."""
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
        """Run *file*. Replace its existing functions, or rename them, to be dropped later."""
        self._run_or_replace(file)
        self._move_overloads_aside(file)

    def _run_or_replace(self, file: SchemaFile) -> None:
        try:
            with self._session.savepoint():
                self._run(file)
        except psycopg.Error as exc:
            if exc.sqlstate not in _TO_BE_REPLACED:
                raise
            try:
                with self._session.savepoint():
                    self._send(file, replacing=True)
                    self._note_made(file)
            except psycopg.Error as refusal:
                is_block = refusal.sqlstate in _ALREADY_THERE and creates_routines_in_block(file)
                if refusal.sqlstate in _NEVER_REPLACED or is_block:
                    raise self._never_replaced(file, refusal) from refusal
                if refusal.sqlstate not in _TO_BE_REPLACED:
                    raise
                self._replace(file)

    def _move_overloads_aside(self, file: SchemaFile) -> None:
        """Rename the functions that *file* has given other arguments, to be dropped later.

        Beside the new ones, which may have a default for an added argument, they make calls ambiguous.
        """
        made = {(routine.schema, routine.name) for routine in self.made[file]}
        current = {routine.identity for routine in self.all_made}
        for known in self._known.values():
            is_of_file = known.file == file.label or known.file not in self._labels
            if is_of_file and known.exists and known.identity not in current:
                for routine in self._routines.of_identity(known.identity):
                    if (routine.schema, routine.name) in made:
                        self._routines.move_aside(routine)
                        self.replaced[routine] = file

    def _never_replaced(self, file: SchemaFile, refusal: psycopg.Error) -> EngineError:
        advice = "; a file of functions/ runs again when it has changed, so let it DROP … IF EXISTS what it makes"
        if creates_routines_in_block(file):
            advice = (
                "; a DO block that creates a function runs again when it has changed, so write CREATE OR REPLACE "
                "FUNCTION as a statement of its own, and leave in the block only what else it creates"
            )
        return self._session.failure(refusal, FunctionDeployFailed, file=file, advice=advice)

    def _replace(self, file: SchemaFile) -> None:
        taken = {routine.oid for routine in self.all_made}
        old = [routine for routine in self._routines.named(routine_names(file)) if routine.oid not in taken]
        for routine in old:
            self._routines.move_aside(routine)
        self._send(file, replacing=True)
        self._note_made(file)
        made = {(routine.schema, routine.name, routine.argument_types) for routine in self.made[file]}
        for routine in old:
            if (routine.schema, routine.name, routine.argument_types) in made:
                self.replaced[routine] = file
            else:
                self._routines.put_back(routine)

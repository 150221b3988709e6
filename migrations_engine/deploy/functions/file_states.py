"""Which files of routines have run in this deploy, which are unchanged, and which have yet to run."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from migrations_engine.deploy.functions.files import routine_names, unchanged_files
from migrations_engine.deploy.functions.routines import Routines
from migrations_engine.deploy.functions.runner import FunctionRunner
from migrations_engine.deploy.session import DeploySession
from migrations_engine.schema import SchemaFile
from migrations_engine.source.attribution import mentions_name
from migrations_engine.source.lexer import GAP, occurs
from migrations_engine.tracking import DeployedFunction, DeployState

_FOLLOWS_COLUMN: Final = re.compile(rf"%{GAP}TYPE\b", re.IGNORECASE)
_PARSED: Final = re.compile(rf"\bBEGIN\b{GAP}\bATOMIC\b", re.IGNORECASE)  #: the body is stored without ``*``


class FileStates:
    """The files of routines of one deploy.

    :param runner: has those that have run
    :ivar kept: the unchanged files, which do not run, with their functions as recorded
    """

    def __init__(
        self, routines: Routines, runner: FunctionRunner, files: Sequence[SchemaFile], state: DeployState
    ) -> None:
        self._routines = routines
        self._runner = runner
        self._files = files
        self.kept = unchanged_files(files, state)
        self._ran_again: set[SchemaFile] = set()
        self._invalidated: frozenset[str] = frozenset()  # labels of files that run although their text is unchanged

    @property
    def current(self) -> frozenset[str]:
        """The identities of the routines that the files create, as far as they have run."""
        return frozenset(
            (*(routine.identity for routine in self._runner.all_made), *(f.identity for f in self.unchanged))
        )

    @property
    def unchanged(self) -> list[DeployedFunction]:
        """The functions of unchanged files, as recorded."""
        return [function for functions in self.kept.values() for function in functions]

    @property
    def pending(self) -> list[SchemaFile]:
        """The files that have yet to run."""
        return [file for file in self._files if file not in self.kept and file not in self._runner.made]

    def is_invalidated(self, label: str | None) -> bool:
        """Return whether the file runs although its text is the deployed one."""
        return label in self._invalidated

    def is_missing(self, message: str) -> bool:
        """Return whether *message* names a function whose file has not run."""
        return any(mentions_name(message, name) for file in self.pending for name in routine_names(file))

    def invalidate(self, identities: Collection[str]) -> None:
        """Make the files of these routines run again."""
        for routines in (self.kept, self._runner.made):
            for file in [file for file, found in routines.items() if any(one.identity in identities for one in found)]:
                del routines[file]

    def invalidate_named(self, names: Collection[str]) -> None:
        """Make the files run again that create routines of these names."""
        for file in [file for file in self.kept if not {*names}.isdisjoint(routine_names(file))]:
            del self.kept[file]

    def invalidate_changed(self, followed: Collection[str], *, after_change: bool) -> None:
        """Make files run again whose functions were changed or dropped, or in this deploy undone with a savepoint.

        :param followed: the identities of functions whose definition has followed a rename
        :param after_change: tables may have changed, so that files with ``%TYPE``, or ``*`` in a parsed body, run again
        """
        known = [function for function in self.unchanged if function.identity]
        now = self._routines.fingerprints([function.identity for function in known])
        again = {
            file
            for file, functions in self.kept.items()
            if any(now.get(f.identity) != f.fingerprint or f.identity in followed for f in functions if f.identity)
            or (after_change and _depends_on_columns(file))
        }
        self._invalidated |= {file.label for file in again}
        for file in again:
            del self.kept[file]
        self.forget_undone()

    def forget_undone(self) -> None:
        """Make files run again if their functions have changed since, or were undone with a savepoint."""
        self._runner.ran_early.clear()
        made = self._runner.all_made
        versions = {routine.version for routine in self._routines.as_they_are([routine.oid for routine in made])}
        changed = {routine.oid for routine in made} - {r.oid for r in made if r.version in versions}
        for file, routines in list(self._runner.made.items()):
            if any(routine.oid in changed for routine in routines):
                del self._runner.made[file]

    def disturbed(self) -> list[SchemaFile]:
        """Return files to run again: they use a renamed routine, or create the same routine as a file that ran."""
        dependent = self._routines.dependent_routines(self._runner.replaced) if self._runner.replaced else set()
        makers: dict[str, set[SchemaFile]] = {}
        for file, routines in self._runner.made.items():
            for routine in routines:
                makers.setdefault(routine.identity, set()).add(file)
        again = {file for identity in dependent & makers.keys() for file in makers[identity]} - self._ran_again
        for kept, functions in self.kept.items():
            identities = {function.identity for function in functions}
            rivals = [file for identity in identities & makers.keys() for file in makers[identity]]
            if rivals or identities & dependent:
                again |= {kept, *rivals}
        for file in again:
            self.kept.pop(file, None)
            self._runner.made.pop(file, None)
        self._ran_again |= again
        return [file for file in self._files if file in again]

    def settle(self, session: DeploySession) -> None:
        """Read the final routines. One that several files create belongs to the last of them, which a warning says."""
        oids = [routine.oid for routine in self._runner.all_made]
        now = {routine.oid: routine for routine in self._routines.as_they_are(oids)} if self._runner.is_stale else {}
        owners: dict[int, SchemaFile] = {}
        for file in (file for file in self._files if file in self._runner.made):
            self._runner.made[file] = [now.get(routine.oid, routine) for routine in self._runner.made[file]]
            for routine in self._runner.made[file]:
                earlier = owners.get(routine.oid)
                if earlier is not None:
                    session.warnings.append(
                        f"{routine.identity} is made by {earlier.label} and by {file.label}; the latter's is in place"
                    )
                    self._runner.made[earlier] = [r for r in self._runner.made[earlier] if r.oid != routine.oid]
                owners[routine.oid] = file

    def by_oid(self) -> dict[int, SchemaFile]:
        """Return the files of unchanged routines by their oids."""
        files = {f.identity: file for file, functions in self.kept.items() for f in functions if f.identity}
        return {oid: files[identity] for identity, oid in self._routines.oids(list(files))}


def _depends_on_columns(file: SchemaFile) -> bool:
    """Return whether routines of *file* may be others when it runs over other columns."""
    return occurs(_FOLLOWS_COLUMN, file.text) or ("*" in file.text and occurs(_PARSED, file.text))

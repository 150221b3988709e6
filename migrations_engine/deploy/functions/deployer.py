"""Deploys functions: changed files run, unchanged ones do not, and routines without a file are dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from migrations_engine.deploy.functions.advice import warn_of_blocks, warn_of_left_behind
from migrations_engine.deploy.functions.checks import broken_by_deploy, validate_bodies
from migrations_engine.deploy.functions.counts import FunctionCounts
from migrations_engine.deploy.functions.earlier_routines import EarlierIdentities, EarlierRoutines, RoutinesOfMigrations
from migrations_engine.deploy.functions.file_states import FileStates
from migrations_engine.deploy.functions.files import (
    calls_functions,
    routine_names,
    routines_among,
    tracking_rows,
)
from migrations_engine.deploy.functions.grants import Recorded, alterations, give_states, run_grants
from migrations_engine.deploy.functions.removal import RoutineRemoval
from migrations_engine.deploy.functions.replaced_in_place import ReplacedInPlace
from migrations_engine.deploy.functions.routines import HIDDEN_NAME, OldRoutine, Routines
from migrations_engine.deploy.functions.runner import FunctionRunner
from migrations_engine.deploy.functions.triggers import drop_triggers
from migrations_engine.deploy.session import DeploySession
from migrations_engine.deploy.stored_results import renew_stored_results
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import RoutineState
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import routine_files, structure_checksum
from migrations_engine.tracking import DeployState, Records


class FunctionDeployer:
    """Deploys the functions of one schema: early if another step needs them, and completely in their own step.

    :param is_new: the database is new, so that files of types and tables run whole and create their routines
    :ivar states: the routines of the files with the privileges and comments that these give
    :ivar left: the identities of earlier routines that stay, because what was forced to stay uses them
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
        self._states_then: Recorded | None = state.last.get("routine_states")
        self._trigger_drops: Sequence[str] = state.last.get("trigger_drops", ())
        self._alterations: Mapping[str, Collection[str]] = state.last.get("alterations", {})  # of the last files
        self._has_new_structure = state.last.get("structure_checksum") != structure_checksum(schema)
        already_made = self._beside_tables if is_new else ()
        self._labels = frozenset(file.label for file in files)
        self._runner = FunctionRunner(session, self._routines, self._known, already_made, self._labels)
        self._states = FileStates(self._routines, self._runner, files, state)
        self._earlier: EarlierRoutines | None = None  #: before the migrations, if there are any
        self._identities = EarlierIdentities(self._routines)
        self._replaced = ReplacedInPlace(session)
        self.left: frozenset[str] = frozenset()
        self.states: Mapping[str, RoutineState] = {}

    @property
    def current(self) -> frozenset[str]:
        """The identities of the routines that the files create, as far as they have run."""
        return self._states.current

    def note_routines(self) -> None:
        """Note the routines before migrations, which may change their privileges, or rename what they use."""
        self._earlier = EarlierRoutines(self._session)
        self._identities.note(self._known)
        self._replaced.note()

    def note_migration(self, file: SchemaFile) -> None:
        """Note the routines that a migration, which has just run, has changed."""
        self._replaced.note_migration(file)

    def deploy_early(self) -> bool:
        """Create functions early, for a step that calls them. Return whether there is a new one."""
        pending = [file for file in self._states.pending if not (self._is_new and file in self._beside_tables)]
        if not pending:
            return False
        self._replaced.note()
        is_new = self._runner.run_what_works(pending) > 0
        self._replaced.note_files()
        if is_new and self._earlier is not None:
            self._earlier.note()
        return is_new

    def make_room(self, name: str) -> bool:
        """Rename the functions *name* that were created early, for a migration that creates their earlier version.

        In the end they are as in their files. Return whether there were any.
        """
        early = {r.oid: file for file, routines in self._runner.made.items() for r in routines if r.name == name}
        for routine in self._routines.named([name]):
            if routine.oid in early:
                self._routines.move_aside(routine)
                self._runner.replaced[routine] = early[routine.oid]
        for file in set(early.values()):
            del self._runner.made[file]
        return bool(early)

    def has_removed(self, name: str) -> bool:
        """Return whether there are functions *name* that files have created and no longer create."""
        return any(routine.name == name for routine in self._existing(self._orphans()))

    def is_missing(self, message: str) -> bool:
        """Return whether *message* names a function whose file has not run."""
        return self._states.is_missing(message)

    def owned(self, identities: Collection[str]) -> set[str]:
        """Return those of *identities* that files of the schema create or have created, maybe with other names."""
        renamed = self._identities.known_under(identities, self._runner.all_made)
        return {one for one in identities if one in self._known or one in renamed or HIDDEN_NAME in one}

    def invalidate(self, identities: Collection[str]) -> None:
        """Make the files of dropped routines run again."""
        self._states.invalidate(self._identities.with_earlier(identities))

    def deploy(
        self,
        records: Records,
        made: Collection[RoutineState],
        drop_dependants: Callable[[int, str], bool] = lambda *_: False,
        restore: Callable[[], None] = lambda: None,
        *,
        may_leave: bool = False,
    ) -> FunctionCounts:
        """Deploy the functions of the schema and record them.

        :param made: the routines that migrations make in an empty database, which stay without a file
        :param drop_dependants: drops those of a routine by oid and identity, and returns whether there were any
        :param restore: creates them again, with their dependencies
        :param may_leave: forced differences stay, and earlier routines that they use stay with them
        :raises FunctionDeployFailed: PostgreSQL refused a file, or a routine to be dropped has other dependants
        """
        migrated = () if self._is_new else made
        self.invalidate_changed()
        if self._states.pending or self._earlier is not None:
            self._replaced.note()
        migrated_routines = RoutinesOfMigrations(self._session, migrated, self._known)
        self._run_all_pending()
        if self._earlier is not None and self._earlier.restore_privileges_of_replaced(self.current):
            self._runner.is_stale = True
        if migrated_routines.take_back(self.current):
            self._runner.is_stale = True
        self._give_states(made)
        removal = RoutineRemoval(self._session, self._routines, drop_dependants, may_leave=may_leave)
        orphans, of_migrations = self._orphans(), {routine.identity for routine in migrated}
        removal.drop_orphans(self._existing(one for one in orphans if one not in of_migrations))
        removal.drop_replaced(self._runner.replaced)
        self._runner.replaced.clear()
        self.left = frozenset(removal.left)
        orphans = [one for one in orphans if one not in self.left]
        if removal.dropped_dependants:
            restore()
            self._run_all_pending()
            self._give_states(made)
        self._check()
        if self._has_new_structure and not self._is_new:
            warn_of_blocks(self._session, self._schema)
        self._record(records, orphans)
        dropped = sum(one not in of_migrations for one in orphans)
        return FunctionCounts.of(
            self._runner.all_made, self._states.unchanged, known=self._known.values(), dropped=dropped
        )

    def invalidate_changed(self) -> None:
        """Make files run again if earlier steps have changed or dropped their functions.

        Files with ``%TYPE`` run again if tables may have changed. So do those with a definition that has followed a
        rename by a migration, because the names in the file may be wrong now. Privileges and comments are restored as
        they were before the migrations.
        """
        deployed = self.current | {one for one, function in self._known.items() if function.file in self._labels}
        followed = self._earlier.restore_privileges(deployed) if self._earlier is not None else set()
        if self._is_new and not self._schema.migrations:  # those of types and tables have just run
            early = {routine.version for routine in self._runner.all_made}
            self._runner.made |= {file: self._routines.made(routine_names(file), early) for file in self._beside_tables}
        self._states.invalidate_changed(followed, after_change=self._has_new_structure)

    def forget_undone(self) -> None:
        """Make files run again if their functions have changed since, or were undone with a savepoint."""
        self._states.forget_undone()

    def revert_removed(self) -> None:
        """Drop the triggers that are gone from the files, and let files run again whose routines are altered no more.

        :raises FunctionDeployFailed: PostgreSQL refused it
        """
        drop_triggers(self._session, self._trigger_drops, self._schema)
        kept = alterations(self._schema)
        self._states.invalidate_named(
            {name for name, texts in self._alterations.items() if not {*texts} <= {*kept.get(name, ())}}
        )

    def _run_all_pending(self) -> None:
        pending = self._states.pending
        while pending:
            try:
                self._runner.run(pending)
            except FunctionDeployFailed as exc:
                raise broken_by_deploy(exc) if self._states.is_invalidated(exc.file) else exc from exc.__cause__
            pending = self._states.disturbed()

    def _give_states(self, made: Collection[RoutineState]) -> None:
        """Run statements that grant, comment and alter again, and revert what the last files had more of them."""
        has_grants = run_grants(self._session, self._schema)
        is_known = self._is_new and not any(map(calls_functions, self._files))  # what a function has is of files alone
        self.states, has_changed = give_states(
            self._session, self._schema, self.current, made, self._states_then, is_new=is_known
        )
        self._runner.is_stale = self._runner.is_stale or has_grants or has_changed
        self._states.settle(self._session)

    def _check(self) -> None:
        """Check the bodies of all routines. Objects that those of unchanged files use may have changed."""
        kept = self._states.by_oid()
        made = {routine.oid: file for file, routines in self._runner.made.items() for routine in routines}
        validate_bodies(self._session, made | kept, kept.keys())
        self._replaced.note_files()
        self._renew_stored_results()

    def _renew_stored_results(self) -> None:
        """Rebuild the indexes of routines that have changed, and name their other stored results in an old database."""
        by_files, by_migrations = self._replaced.by_files, self._replaced.by_migrations - self._replaced.by_files
        for routines, computed in ((by_files, ()), (by_migrations, self._replaced.computed)):
            renew_stored_results(
                self._session,
                routines=sorted(routines),
                computed=computed,
                error_class=FunctionDeployFailed,
                indexes_only=self._is_new,
            )

    def _orphans(self) -> list[str]:
        """Return the identities of routines that files have created and no longer create."""
        current = self.current
        return [identity for identity in (*self._known, *self._identities.retyped()) if identity not in current]

    def _existing(self, orphans: Iterable[str]) -> Iterator[OldRoutine]:
        gone = {one for one, function in self._known.items() if not function.exists}
        for identity in orphans:
            if identity not in gone:
                yield from self._routines.of_identity(identity)

    def _record(self, records: Records, orphans: Sequence[str]) -> None:
        if self._left_behind:
            warn_of_left_behind(self._session, self._routines.named(self._left_behind), self._runner.all_made)
        elif not self._runner.made and not orphans:
            return
        records.forget_functions(orphans, [file.label for file in self._runner.made])
        records.functions(
            [row for file, routines in self._runner.made.items() for row in tracking_rows(file, routines)]
        )
        for file, routines in self._runner.made.items():
            for routine in routines:
                self._session.log("deploy_function", routine.identity, file=file.label)
            if not routines:
                self._session.log("run_function_file", file.label)

"""What differs between the schema and a database that is there already: refused, or done where it is safe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from migrations_engine.catalog import count_rows_at_risk, read_catalog
from migrations_engine.deploy.ddl.alterations import Alteration, alterations
from migrations_engine.deploy.declared import run_missing
from migrations_engine.deploy.file_runner import UNDEFINED
from migrations_engine.deploy.functions import FunctionDeployer
from migrations_engine.deploy.migrations import runs_outside_transaction
from migrations_engine.deploy.session import DeploySession
from migrations_engine.deploy_record import accepted_changes, last_desired_schema
from migrations_engine.desired.desired_schema import DesiredSchema, load_desired_schema
from migrations_engine.desired.scratch_databases import scratch_databases_beside
from migrations_engine.diff import CatalogDiff, diff_catalogs
from migrations_engine.errors import MigrationFailed
from migrations_engine.model import Catalog
from migrations_engine.options import DeployOptions
from migrations_engine.report import Change, SchemaValidation
from migrations_engine.schema import Schema
from migrations_engine.source.dependency_order import order_tables
from migrations_engine.tracking import DeployState, Records

_SENSELESS: Final = ("42", "22")  #: SQLSTATE classes of a statement that names or means what is not there
_ROW_COUNT_TIMEOUT_MS: Final = 5_000  #: for all questions of one comparison how many rows are at risk


class Comparison:
    """The schema beside one database, for the length of one deploy.

    :param server_version: ``server_version_num``
    """

    def __init__(
        self,
        session: DeploySession,
        schema: Schema,
        options: DeployOptions,
        functions: FunctionDeployer,
        state: DeployState,
        *,
        server_version: int,
    ) -> None:
        self._session = session
        self._schema = schema
        self._options = options
        self._functions = functions
        self._state = state
        self._server_version = server_version
        self._desired = DesiredSchema(declared=Catalog(), complete=Catalog())
        self._last: DesiredSchema | None = None
        self._is_new = False
        self._caught_up = False
        self.validation = SchemaValidation()  #: what was found before anything was changed
        self.accepted: tuple[Change, ...] = ()  #: dangerous differences that stay, because somebody forced it
        self.undone: tuple[Change, ...] = ()  #: safe ones that PostgreSQL refused because of those
        self.types_altered = 0

    @property
    def desired(self) -> DesiredSchema:
        """What the schema means, once one of the other methods has learned it."""
        return self._desired

    def learn_from_new(self) -> None:
        """Take what the files of types and tables have just made in an empty database for what they mean."""
        declared = read_catalog(self._session.connection)
        self._desired = DesiredSchema(declared=declared, complete=declared)
        self._is_new = True

    def learn_migrations_from_new(self) -> None:
        """The same after every migration; further deploys of the schema need no scratch database."""
        declared = self._desired.declared
        if self._schema.migrations:
            complete = read_catalog(self._session.connection)
            self._desired = DesiredSchema(declared=declared, complete=complete)

    def share(self) -> None:
        """Let the deploys of the schema to other databases know what this one, to a new database, has learned."""
        if self._is_new:
            self._options.desired_schemas.put(self._schema, self._server_version, self._desired)

    def compare(self, records: Records) -> CatalogDiff:
        """Find what differs, refuse what is dangerous, and give the rest.

        :raises MigrationFailed: something is dangerous and neither forced now nor accepted before
        """
        self._last = last_desired_schema(records, self._state)
        self._desired = self._load()
        self._session.warnings += self._desired.warnings
        diff = self._difference()
        if any(difference.verdict.decided_by_rows for difference in diff.changes):
            self._functions.deploy_early()  # a new check may call one, and so does the question about the rows
        diff = count_rows_at_risk(self._session.connection, diff, _ROW_COUNT_TIMEOUT_MS)
        self._refuse_dangers(diff)
        return diff

    def make_types(self, diff: CatalogDiff) -> None:
        """Make the declared types that are missing, and add the values that enums lack."""
        there = {(type_.schema, type_.name) for type_ in diff.actual.types}
        missing = {(t.schema, t.name) for t in self._desired.declared.types} - there
        if missing:
            run_missing(self._session, self._schema.types, self._functions, missing)
        self.types_altered = self.add_enum_values(diff)

    def add_enum_values(self, diff: CatalogDiff) -> int:
        """Add the values that enums lack, and give their number."""
        return self._alter(diff, only={"add_enum_value"})

    def catch_up_early(self) -> bool:
        """For a migration that needs what ``tables/`` newly declares: make it before its turn, once."""
        if self._is_new or self._caught_up:
            return False
        self._caught_up = True
        return self.catch_up()

    def catch_up(self) -> bool:
        """Make what is declared, safe and still missing in an old database, and tell whether there was anything."""
        if self._is_new:
            return False
        diff = self._difference()
        there = {(relation.schema, relation.name) for relation in diff.actual.relations}
        missing = {(r.schema, r.name) for r in self._desired.declared.relations if r.is_table} - there
        if missing:
            run_missing(self._session, order_tables(self._schema.tables), self._functions, missing)
            diff = self._difference()
        self._alter(count_rows_at_risk(self._session.connection, diff, _ROW_COUNT_TIMEOUT_MS))
        return bool(missing or diff)

    def remaining(self) -> CatalogDiff:
        """What differs still, now that all was done; on tables that keep a forced difference, more than that may."""
        diff = self._difference(formerly=self._desired.declared)
        tables = {change.table for change in self.accepted}
        known = [change.key for change in (*self.accepted, *self.undone)]
        changes = _without((difference.as_change() for difference in diff.changes), known)
        for change in changes:
            if change.table in tables and change.compatibility == "safe":
                self._leave_undone(change, _summary(change))
        if self._session.satisfied and not self._is_new:
            self._warn_of_other_effects(diff.actual, {*known, *(change.key for change in changes)})
        return diff

    def _warn_of_other_effects(self, actual: Catalog, known: set[tuple[str | None, ...]]) -> None:
        """Tell where a migration found its effect there already, and what is there is not what it makes elsewhere."""
        meant = self._desired.complete
        diff = diff_catalogs(actual=actual, declared=meant, complete=meant, formerly=meant)
        for change in _without((difference.as_change() for difference in diff.changes), known):
            self._session.warnings.append(f"not as the migrations make it in a new database: {_summary(change)}")

    def _load(self) -> DesiredSchema:
        """Learn what the schema means: from the last deploy if that had the same tables, else in a scratch database."""
        last = self._state.last
        if self._last is not None and (last["structure_checksum"], last["server_version"]) == (
            self._schema.structure_checksum,
            self._server_version,
        ):
            return self._last
        scratch = self._options.scratch or scratch_databases_beside(self._session.connection)

        def learn() -> DesiredSchema:
            outside = any(runs_outside_transaction(file) for file in self._schema.migrations)
            with scratch.database() if outside else scratch.transaction() as connection:
                return load_desired_schema(connection, self._schema, search_path=self._options.search_path)

        return self._options.desired_schemas.get(self._schema, self._server_version, learn)

    def _difference(self, formerly: Catalog | None = None) -> CatalogDiff:
        actual = read_catalog(self._session.connection)
        if actual == self._desired.complete == self._desired.declared:
            return CatalogDiff(actual=actual, wanted=actual)
        return diff_catalogs(
            actual=actual,
            declared=self._desired.declared,
            complete=self._desired.complete,
            formerly=formerly or (self._last.declared if self._last is not None else None),
        )

    def _refuse_dangers(self, diff: CatalogDiff) -> None:
        earlier = {change.key for change in accepted_changes(self._state)}
        found = diff.validation()
        dangers = (*found.dataloss_changes, *found.incompatible_changes)
        self.accepted = tuple(change for change in dangers if self._options.force or change.key in earlier)
        silent = earlier if not self._options.force else set()
        self.validation = SchemaValidation(
            safe_changes=_without(found.safe_changes, silent),
            dataloss_changes=_without(found.dataloss_changes, silent),
            incompatible_changes=_without(found.incompatible_changes, silent),
        )
        self._session.warnings += diff.warnings
        self._session.warnings += [f"left as it is since it was forced: {_summary(c)}" for c in self.accepted]
        blocking = () if self._options.force else _without(dangers, earlier)
        for change in _without(self.accepted, earlier):
            self._session.log("accept_difference", change.table, change=change.change_type, column=change.column)
        if blocking:
            raise MigrationFailed(
                f"the schema differs dangerously from the database: {'; '.join(_summary(c) for c in blocking)}. "
                "Nothing was changed. If it is meant, let a migration make the change and repeat the request with "
                "force; what no migration changes is left as it is then",
                validation=self.validation,
            )

    def _alter(self, diff: CatalogDiff, only: set[str] | None = None) -> int:
        wanted = [a for a in alterations(diff) if only is None or a.change.change_type in only]
        for alteration in wanted:
            self._try(diff, alteration)
        return len(wanted)

    def _run(self, alteration: Alteration) -> None:
        step = "types" if alteration.change.change_type == "add_enum_value" else "tables"
        with self._session.failures_as(what=f"{alteration.change.change_type} on {alteration.table}"):
            self._session.run(alteration.sql, step=step, effect=alteration.effect)
        for change in alteration.changes:
            self._session.log(change.change_type, change.table, column=change.column)

    def _try(self, diff: CatalogDiff, alteration: Alteration) -> None:
        """Run a statement, after the functions that it may call.

        Where differences stay that somebody forced, what needs the missing half of them stays undone, too. What takes
        several statements, as a view that is dropped and made again, is done whole or fails the deploy.
        """
        try:
            with self._session.savepoint():
                self._run(alteration)
        except MigrationFailed as exc:
            sqlstate = (exc.server and exc.server.sqlstate) or ""
            if sqlstate in UNDEFINED and self._functions.deploy_early():
                self._try(diff, alteration)
            elif not (self.accepted and sqlstate.startswith(_SENSELESS)):
                raise
            elif len(alteration.changes) > 1:
                for difference in diff.changes:
                    if difference.as_change() in alteration.changes:
                        for single in alterations(replace(diff, changes=(difference,))):
                            self._try(diff, single)
            elif _takes_nothing_away(diff, alteration.change):
                self._leave_undone(alteration.change, exc.message)
            else:
                raise

    def _leave_undone(self, change: Change, what: str) -> None:
        self.undone = (*_without(self.undone, [change.key]), change)
        self._session.warnings.append(f"not done, as it needs what was left as it is: {what}")


def _takes_nothing_away(diff: CatalogDiff, change: Change) -> bool:
    """Whether all is as before when a statement for *change* fails."""
    return change.change_type.startswith("add_") or sum(a.change == change for a in alterations(diff)) == 1


def _without(changes: Iterable[Change], keys: Iterable[tuple[str | None, ...]]) -> tuple[Change, ...]:
    left_out = set(keys)
    return tuple(change for change in changes if change.key not in left_out)


def _summary(change: Change) -> str:
    subject = f"{change.table}.{change.column}" if change.column else change.table
    risk = "" if change.rows_at_risk is None else f", {change.rows_at_risk} rows at risk"
    return f"{subject}: {change.change_type.replace('_', ' ')}, {change.compatibility} ({change.reason}{risk})"
